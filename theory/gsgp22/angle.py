"""D4. Without lam: the angle between a weight matrix and a batch gradient bounds its distance to low rank."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, planted
from theory.gsgp22.gradient_rank import tail
from theory.gsgp22.residual import TIGHT, layers, settings


def check(case):
    """With v = W/|W| and P = G - <G,v> v: dist_{mB}(v) <= |P|/|G| <= |P|/|<G,v>|, for the batch with the least room."""
    for l, W, found in layers(case):
        v = W / np.linalg.norm(W)
        far = tail(v, case.get("patches", 1) * case.B)
        sines, tangents = zip(*(angle(G, v, case.get("part", 1.0)) for G in found), strict=True)
        note = f"layer {l + 1}: sine {min(sines):.4g}, tangent {min(tangents):.4g}"
        if case.point == "tight":
            yield Evidence(far, "==", min(sines), 1e-9, note=note)
        else:
            yield Evidence(far, "<=", min(sines), 1e-12, note=note)
        yield Evidence(far, "<=", min(tangents), 1e-12, note=note)


def angle(G, v, part: float = 1.0) -> tuple[float, float]:
    """(sine, tangent) of the angle between the lines of G and v, |v| = 1; (1, inf) for G = 0."""
    along, size = abs(float(np.vdot(G, v))), np.linalg.norm(G)
    across = part * np.linalg.norm(G - np.vdot(G, v) * v)
    return (across / size, across / along if along else np.inf) if size else (1.0, np.inf)


CLAIM = Claim(
    id="gsgp22:angle",
    title="dist of W/|W| to rank m B is at most the sine of its angle to a batch gradient",
    statement=(
        "For v = W/|W| and P = G_B - <G_B,v> v the distance of v to rank m B is at most |P|/|<G_B,v>|, the tangent of"
        " the angle of W and G_B, at every point and for every lam, also lam = 0; and at most its sine |P|/|G_B|, which"
        " is sharper, always below 1, and attained."
    ),
    source="gsgp22, the bound without decay",
    hypotheses={
        "a tight point is one layer on whole inputs": lambda c: c.point != "tight" or c.get("patches", 1) == 1,
        "B <= N": lambda c: c.point == "tight" or ("n" in c and c.B <= c.K * c.n),
        "a tight point needs K > B, d > B and lam > 0": lambda c: (
            c.point != "tight" or (min(c.K, c.d) > c.B and c.lam > 0)
        ),
    },
    check=check,
    cases=[*TIGHT, *settings(40, "start", "trained"), *(case.but(lam=0.0) for case in settings(8, "start", "trained"))],
    controls=[
        *(planted("half of the sine", **{**case}, part=0.5) for case in TIGHT[:3]),
        planted("the sine is a thousandth smaller", **{**TIGHT[3]}, part=0.999),
    ],
    uses=("gsgp22:gradient-rank",),
    scope="drawn settings with ten batches each; the sine is ours: min over c of |v - c G| instead of c = 1/<G,v>",
)
