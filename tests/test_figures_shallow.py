"""The pictures of the plain model: their numbers against closed forms, small data drawn, and a planted error seen."""

import numpy as np
import pytest

from theory.figures import ufm_angles, ufm_minority, ufm_of_kink
from theory.figures.figure import figures
from theory.related.zhou22a import bias_threshold
from ufm.structures import dnc
from ufm.structures.sel import step_cosines


class Small:
    """A stand-in for `Work`: fast, every so many cells, in this process."""

    fast, rng = True, 0

    def __init__(self, step):
        self.step = step

    def map(self, function, cells, desc=""):
        return [function(cell) for cell in list(cells)[:: self.step]]


def test_they_are_registered():
    found = figures()
    for module, source in ((ufm_of_kink, "zhou22a"), (ufm_minority, "hong23"), (ufm_angles, "thrampoulidis22")):
        assert found[module.FIGURE.id] is module.FIGURE and module.FIGURE.key == source


def test_the_kink_lies_at_the_threshold_and_descents_on_the_curve():
    data = ufm_of_kink.data(Small(3))
    for p in data["points"]:
        assert (
            p["cosine"] == pytest.approx(ufm_of_kink.universal(p["K"], p["ratio"]), abs=1e-8)
            and p["deviation"] < 1e-8
            and abs(p["gap"]) < 1e-12
        )
    for line in data["left"]:
        moved = np.array(line["bias"])[np.array(line["cosine"]) > -1 / 3 + 1e-12]
        assert line["threshold"] == bias_threshold(line["kappa"]) and moved[0] == pytest.approx(
            line["threshold"], rel=0.07
        )
    assert (
        abs(ufm_of_kink.universal(4, 0.9) - ufm_of_kink.universal(4, 1.1)) > 0.02
    )  # the planted error of a threshold 20% off would be seen
    assert len(ufm_of_kink.FIGURE.picture(data).axes) == 2
    assert {row["kind"] for row in ufm_of_kink.rows(data)} == {"curve", "universal", "descent"}


def test_minorities_merge_at_the_drawn_ratio():
    for lam in ufm_minority.LAMS:
        R = ufm_minority.merging_ratio(lam)
        counts = [max(1, round(ufm_minority.N_MIN * R * share)) for share in (0.97, 1.03)]
        below, above = (
            ufm_minority.descended({"R": m / ufm_minority.N_MIN, "lam": lam, "rng": 0})["minority"] for m in counts
        )
        assert below < 0.99 < above == pytest.approx(1, abs=1e-8)
    data = ufm_minority.data(Small(6))
    for p in data["points"]:
        edges = ufm_minority.thresholds(p["R"])
        assert (p["rank"] == 0) == (p["lam"] > edges["vanish"]) and (p["rank"] == 5) == (p["lam"] < edges["merge"])
    assert len(ufm_minority.FIGURE.picture(data).axes) == 2
    assert {row["kind"] for row in ufm_minority.rows(data)} == {"map", "descent", "threshold", "merging ratio"}


def test_cosines_of_a_simplex_and_of_zero():
    from ufm.problem import Problem

    found = ufm_minority.classifier_cosines(dnc(Problem(K=5, lam=1e-3)), 2)
    assert found == pytest.approx(dict.fromkeys(("minority", "majority", "mixed"), -0.25))
    dead = ufm_minority.descended({"R": 10.0, "lam": 0.5, "rng": 0})
    assert dead["rank"] == 0 and dead["minority"] is None


def test_angles_tend_to_their_limit_at_the_predicted_rate():
    far, near = (ufm_angles.angles({"R": 10, "lam": lam, "rng": 0}) for lam in (1e-3, 1e-12))
    limit = step_cosines(6, 10.0, 3)
    for kind in ufm_angles.KINDS:
        assert abs(near[kind] - limit[kind]) < abs(far[kind] - limit[kind])
    rate = ufm_angles.predicted_rate(ufm_angles.counts(10))
    apart = [abs(ufm_angles.distance({"R": 10, "lam": lam, "rng": 0})["scaled"] - rate) for lam in (1e-4, 1e-8, 1e-12)]
    assert apart[0] > apart[1] > apart[2] and apart[2] < 0.05 * rate
    data = ufm_angles.data(Small(5))
    assert len(ufm_angles.FIGURE.picture(data).axes) == 2
    assert {row["kind"] for row in ufm_angles.rows(data)} == {"SEL", "minimum", "path", "limit"}
