"""What the metrics of a layer, and of all layers, are: records with their formulas."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ufm.numerics.content import ByContent
from ufm.numerics.records import plain
from ufm.numerics.tables import Column, Shown


@dataclass(frozen=True, eq=False)
class Collapse(ByContent):
    """What `collapse` measured: NaN where it is 0/0, with a sentence in `warnings`; None where it lacks a classifier.

    nc1 = tr(pinv(S_B) S_W)/K = sum_{i<=r} |R v_i|^2 / (N s_i^2), M = sum s_i u_i v_i', over every s_i^2 > d eps s_1^2.
    nc1_rank_aware: the same sum over i <= nc1_rank, the singular values before the gap. nc1_quotient = tr S_W / tr S_B.
    nc2 = |MM'/|MM'| - S/sqrt(K-1)|_F. Its parts over the |mu_c - m|: equinorm = std/mean; over the cosines of different
    classes: equiangularity = std, maxangle = mean |cos + 1/(K-1)|. With _W the same of the rows of W (not centred).
    nc2_orthogonal: |mu mu'/|mu mu'| - I/sqrt(K)|_F of the means as they are, zero for the orthogonal frames of ReLU
    layers. nc3 = |WM'/|WM'| - S/sqrt(K-1)|_F.  self_duality = |W/|W| - M/|M||_F^2.
    nc4: part of the samples on which argmin_c |x - mu_c| and argmax_c <w_c, x> (+ b_c where given) agree. A sample with
    ties, equality up to rounding, counts |A and B| / (|A| |B|) over the sets A, B of tied classes; nc4_ties is the part
    of samples with a tie.
    cdnv: mean over pairs of (v_c + v_c')/(2 |mu_c - mu_c'|^2), v_c = mean |x - mu_c|^2 in class c.
    spectrum: s_i/sqrt(K), i <= min(K-1, d): the between-class standard deviations.
    ranks: of `class_means_centred` (M), `features` (X) and `W`, each with numerical {tol: count}, stable, effective,
    nuclear, participation, and machine (s_i > max(shape) eps s_1).
    """

    nc1: float
    nc1_rank: int
    nc1_rank_aware: float
    nc1_quotient: float
    nc2: float
    equinorm: float
    equiangularity: float
    maxangle: float
    nc2_orthogonal: float
    equinorm_W: float | None
    equiangularity_W: float | None
    maxangle_W: float | None
    nc3: float | None
    self_duality: float | None
    nc4: float | None
    nc4_ties: float | None
    cdnv: float
    ranks: dict
    spectrum: tuple[float, ...]
    counts: tuple[int, ...]
    d: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict:
        """Every field, ready for JSON: None where undefined."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    def __repr__(self) -> str:
        sides = f"equinorm {self.equinorm:.2e}, equiangularity {self.equiangularity:.2e}, max angle {self.maxangle:.2e}"
        inverse = f"rank {self.nc1_rank}; pseudo-inverse {self.nc1:.3e}, quotient {self.nc1_quotient:.3e}"
        ties = f"; ties {self.nc4_ties:.3g}" if self.nc4_ties else ""
        rows = [
            ("NC1", self.nc1_rank_aware, inverse),
            ("NC2", self.nc2, sides),
            ("NC3", self.nc3, f"self-duality {_number(self.self_duality)}"),
            ("NC4", self.nc4, f"part of the samples where the nearest mean is the prediction{ties}"),
            ("CDNV", self.cdnv, "variability over distance, mean over pairs of classes"),
        ]
        lines = [f"  {name:<5} {_number(value):<10} {note}" for name, value, note in rows if value is not None]
        tolerances = ", ".join(next(iter(self.ranks.values()))["numerical"])
        ranks = [(_ranks_line(r), name.replace("_", " ")) for name, r in self.ranks.items()]
        lines += [f"  rank  {said:<28} {name}; s > tol |s|, tol {tolerances}" for said, name in ranks]
        head = f"Collapse: {sum(self.counts)} samples, {len(self.counts)} classes, d={self.d}"
        return "\n".join([head, *lines, *(f"  warning: {text}" for text in self.warnings)])


@dataclass(frozen=True, eq=False, repr=False)
class LayerCollapse(ByContent, Shown):
    """DNC1-DNC3 of every layer, from the first to the last features.

    dnc1 = tr S_W / tr S_B; dnc2 = nc2 (simplex), with `orthogonal` = nc2_orthogonal beside it for layers behind a ReLU;
    dnc3 = |W'W/|W'W| - M'M/|M'M||_F for the weight W that reads this layer (None where not given): zero when W
    stretches the feature space exactly as the class means do, as at balanced collapsed points of equal classes, mean
    zero and one nonzero singular value. Only the last layer's Collapse has nc3 and nc4. `identity` is ufm.identify of
    the last layer's logits, `name` its name; None without a last weight.
    """

    names: tuple[str, ...]
    layers: tuple[Collapse, ...]
    dnc3: tuple[float | None, ...]
    identity: Any

    @property
    def dnc1(self) -> tuple[float, ...]:
        return tuple(layer.nc1_quotient for layer in self.layers)

    @property
    def dnc2(self) -> tuple[float, ...]:
        return tuple(layer.nc2 for layer in self.layers)

    @property
    def orthogonal(self) -> tuple[float, ...]:
        return tuple(layer.nc2_orthogonal for layer in self.layers)

    @property
    def name(self) -> str | None:
        return None if self.identity is None else self.identity.name

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, key) -> Collapse:
        """The Collapse of a layer, by name or position."""
        return self.layers[self.names.index(key) if isinstance(key, str) else key]

    def to_dict(self) -> dict:
        """{name, layers: {layer: {dnc1, dnc2, orthogonal, dnc3, and every field of its Collapse}}}, ready for JSON."""
        columns = {"dnc1": self.dnc1, "dnc2": self.dnc2, "orthogonal": self.orthogonal, "dnc3": self.dnc3}
        rows = [{key: plain(value[l]) for key, value in columns.items()} for l in range(len(self))]
        layers = {n: {**row, **layer.to_dict()} for n, row, layer in zip(self.names, rows, self.layers, strict=True)}
        return {"name": self.name, "layers": layers}

    def shown(self) -> list:
        columns = [Column("layer", lambda row: row[0], side="<", width=5), Column("d", lambda row: row[1].d, width=5)]
        for head, of in (("DNC1", "nc1_quotient"), ("DNC2", "nc2"), ("(orth.)", "nc2_orthogonal")):
            columns.append(Column(head, lambda row, of=of: getattr(row[1], of), ".3e", 9, "<"))
        columns.append(Column("DNC3", lambda row: row[2], ".3e", 9, "<"))
        columns.append(Column("rank", lambda row: row[1].nc1_rank, side="<"))
        rows = list(zip(self.names, self.layers, self.dnc3, strict=True))
        notes = [f"warning, {name}: {text}" for name, layer, _ in rows for text in layer.warnings]
        said = [] if self.identity is None else [f"logits: {self.identity!r}"]
        return [(rows, columns, False), *said, *notes]


def _number(value) -> str:
    return "-" if value is None else f"{value:.3e}"


def _ranks_line(r: dict) -> str:
    return f"{'/'.join(str(count) for count in r['numerical'].values())} (stable {r['stable']:.3g})"
