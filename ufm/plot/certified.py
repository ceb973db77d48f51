"""The picture of a certified phase diagram: colour means proof."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ufm.certificates.certified_phases import ABSENT, CertifiedPhases
from ufm.plot.style import beside, colour, house_style, legend_beside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_DNC, UNDECIDED = "#e6e6e6", "0.6"


def certified_phases(diagram: CertifiedPhases, ax: Axes | None = None) -> Axes:
    """lam (up, log scale) for every K (across, grouped by L): the colour of the structure proved to cost less than DNC,
    or DNC's own where it is proved to cost less than every structure compared; light grey where DNC does not exist,
    hatched where nothing is proved.

    Thin hatched slits are drawn at their true height, so that they may be hairlines. Structures of one family share a
    colour.
    """
    from matplotlib.patches import Rectangle

    columns = [(L, K) for L in diagram.Ls for K in diagram.Ks]
    gap = 0.6
    place = {(L, K): i + gap * diagram.Ls.index(L) for i, (L, K) in enumerate(columns)}
    with house_style():
        ax = new_axes(ax, figsize=(2.4 + 0.34 * (len(columns) + gap * len(diagram.Ls)), 3.6))
        for (L, K), cells in groupby(diagram.cells, key=lambda c: (c.L, c.K)):
            for family, run in groupby(cells, key=lambda c: _family(c.winner)):
                run = list(run)
                low, high = run[0].lam_low, run[-1].lam_high
                ax.add_patch(Rectangle((place[L, K] - 0.45, low), 0.9, high - low, **_paint(family)))
        ends = [c.lam_low for c in diagram.cells] + [c.lam_high for c in diagram.cells] or [1e-4, 1e-1]
        height = min(ends), max(ends)
        ax.set(yscale="log", xlim=(-0.7, max(place.values()) + 0.7), ylim=height, xlabel="$K$", ylabel="$\\lambda$")
        ax.set_xticks(list(place.values()), [str(K) for _, K in columns])
        ax.tick_params(axis="x", length=0)
        for L in diagram.Ls:
            spots = [place[L, K] for K in diagram.Ks]
            at = (sum(spots) / len(spots), 1.02)
            beside(ax, f"$L = {L}$", at, xycoords=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
        _legend(ax, list(dict.fromkeys(_family(c.winner) for c in diagram.cells)))
        return ax


def _family(winner: str | None) -> str | None:
    return winner and winner.split("(")[0]


def _paint(family: str | None) -> dict:
    if family is None:
        return {"facecolor": "white", "edgecolor": UNDECIDED, "hatch": "//////", "lw": 0.0}
    return {"facecolor": NO_DNC if family == ABSENT else colour(family), "edgecolor": "none", "lw": 0.0}


def _legend(ax, families) -> None:
    """What each colour proves, beside the axes."""
    from matplotlib.patches import Patch

    order = ["dnc", *(f for f in families if f not in ("dnc", ABSENT, None)), ABSENT, None]
    said = {
        "dnc": "dnc < all compared",
        "blocks": "blocks(...) < dnc",
        ABSENT: "dnc does not exist",
        None: "not decided",
    }
    handles = [Patch(label=said.get(f, f"{f} < dnc"), **_paint(f)) for f in order if f in families]
    if handles:
        legend_beside(ax, handles, title="proved", title_fontsize=8, alignment="left")
