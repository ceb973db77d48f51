"""Every kind of certificate on problems of every sort, and a kind that comes in a file of its own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

pytest.importorskip("flint")

from zoo import ZOO

import ufm
from ufm.certificates import certificate
from ufm.certificates.check import Rejected
from ufm.certificates.check.checker import checkers
from ufm.certificates.check.krawczyk import zero_near
from ufm.certificates.check.losses import column_loss
from ufm.certificates.check.pulls import block_fit, block_piece
from ufm.certificates.check.record import sealed
from ufm.certificates.kind import CERTIFICATES, kinds
from ufm.certificates.models import model as exact_model
from ufm.certificates.orders import order
from ufm.cli import main
from ufm.numerics import balls, families
from ufm.objectives.factors import objective_of
from ufm.points import LogitPoint

BASELINE = '''
"""The value of F at zero."""

from ufm.certificates.certificate import certify_data
from ufm.certificates.check import Checked, Checker, Rejected
from ufm.certificates.check.model import Model
from ufm.certificates.kind import Kind
from ufm.certificates.models import model
from ufm.numerics import balls


def check(data):
    """F(0) = log K under cross-entropy, at least the number `lower`."""
    problem = Model.of(data)
    if problem.loss != "ce" or not balls.ball(problem.K).log() >= balls.ball(data["lower"]):
        raise Rejected("F(0) is smaller.")
    return Checked("baseline", f"F(0) >= {data['lower']} for K = {problem.K}", None, "ball")


def make(problem, lam=None, *, digits=5):
    lower = balls.below(balls.ball(problem.K).log(), digits)
    return certify_data("value at zero", {"problem": model(problem, lam).to_dict(), "lower": lower}, "baseline", "F(0)")


def applies(problem):
    return "" if problem.loss.cross_entropy else "F(0) is log K under cross-entropy alone."


CHECKER = Checker("value at zero", check, states_problem=True)
KIND = Kind("baseline", "F at zero, from below", "F(0) >= a number", make, applies, takes=("digits",))
'''


@pytest.fixture
def use(tmp_path, clean):
    """use(text): a file with this text is in use until the test ends."""

    def written(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        families.use(tmp_path / name)

    return written


def test_the_words_are_the_families(capsys):
    assert list(kinds())[:6] == ["order", "critical", "global", "bound", "completeness", "theorem"]
    assert set(kinds()) == set(CERTIFICATES.members())
    with pytest.raises(SystemExit):
        main_help = __import__("ufm.cli", fromlist=["build"]).build()
        main_help.parse_args(["certify", "--help"])
    assert ", ".join(kinds()) in " ".join(capsys.readouterr().out.split())


def test_a_kind_in_one_file_is_made_checked_and_named_as_trusted(use, tmp_path, capsys):
    use(BASELINE)
    problem = ufm.Problem(K=4, L=2, lam=0.02)
    proofs = ufm.certify(problem, ["baseline"])
    assert proofs.hold and proofs.check() and proofs[0].statement == "F(0) >= 1.3862 for K = 4"
    assert "the checker 'value at zero' of mine.py" in repr(proofs)
    assert ufm.certify(problem, ["order", "baseline"], digits=3)[-1].statement == "F(0) >= 1.38 for K = 4"
    refused = ufm.certify(ufm.Problem(K=4, L=2, lam=0.02, loss="mse"), ["baseline"])[0]
    assert not refused.holds and refused.kind == "baseline" and "cross-entropy alone" in refused.why
    file = tmp_path / "proofs.json"
    command = ["certify", "-K", "4", "-L", "2", "--lam", "0.02", "--what", "order,baseline", "--save", str(file)]
    assert main(command) == 0
    assert "value at zero" in capsys.readouterr().out
    assert main(["certify", "--check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "stands: F(0) >= 1.3862 for K = 4 (baseline)" in said and "the checker 'value at zero' of mine.py" in said
    families.forget()
    assert main(["certify", "--check", str(file)]) == 2  # its word is not known without the file
    assert "kind must be one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, said",
    [
        ({"grp": "V_4"}, "certify has no argument 'grp' for order"),
        ({"witness": "cvxpy"}, "no argument 'witness'"),
        ({"what": ["completeness"]}, "group must be named for completeness, for example V_4 at K=4"),
        ({"group": "V_5"}, "group must be a symmetry"),
    ],
)
def test_options_that_no_kind_takes_are_refused_before_any_work(options, said):
    with pytest.raises(ValueError, match=said):
        ufm.certify(ufm.Problem(K=4, L=2, lam=0.02), **{"what": ["order"], **options})


def test_places_of_before_work_for_one_release():
    problem = ufm.Problem(K=4, L=2, lam=1 / 75)
    with pytest.warns(DeprecationWarning, match="lam by name"):
        old = ufm.certify(problem, ["order"], "1/75")
    assert [json.dumps(c.data) for c in old] == [
        json.dumps(c.data) for c in ufm.certify(problem, ["order"], lam="1/75")
    ]


# Certificates of before


BEFORE = certificate.load(Path(__file__).parent / "data" / "certificates.json")
"""Made before data had one seal and one form: orders carry a `seal`, ranges of lam their problem in parts."""


@pytest.mark.parametrize("proof", BEFORE, ids=lambda proof: f"{proof.method}: {proof.statement[:40]}")
def test_a_certificate_made_before_still_checks(proof):
    assert proof.check() == proof.holds
    if proof.holds and "digest" not in proof.data and "seal" in proof.data:
        for side in ("left", "right"):
            for key in {"structure", "point"} & set(proof.data[side]):
                data = {**proof.data, side: {**proof.data[side], key: "zero(small)"}}
                assert "seal" in replace(proof, data=data).signed().objection()


def test_every_method_is_among_them():
    assert {proof.method for proof in BEFORE} == {name for name, checker in checkers().items() if not checker.origin}


def test_zero_names_its_problem_now_and_did_not_before():
    problem = ufm.Problem(K=4, n=2, d=5, L=1, lam=0.01)
    proof = ufm.certify(ufm.structures.zero(problem))[0]
    assert proof.check() and proof.statement.endswith(
        "is Z = 0 of K=4, n=2, d=5, L=1, lam=0.01, cross-entropy, linear layers"
    )
    for change in ({"d": [6]}, {"n": [2, 2, 2, 3]}, {"lam": ["0.01", "0.02"]}):
        data = sealed({**proof.data, "problem": {**proof.data["problem"], **change}})
        assert not replace(proof, data=data).signed().check()
    old = next(c for c in BEFORE if c.label == "zero" and c.data["problem"]["L"] == 1)
    assert old.statement.endswith("is Z = 0") and old.check()


# Every kind on problems of every sort


QUICK = ("two classes", "four, near the crossing", "four, one layer", "bias", "free bias", "unequal counts, bias")
QUICK += ("focal", "label smoothing", "mse, three layers", "mse, bias", "mse, unequal counts", "relu", "tanh")


def cases():
    """(word, name of a problem), the ones that take long for the slow suite."""
    for word in kinds():
        for name, problem in ZOO.items():
            long = word == "bound" and problem.loss.cross_entropy and problem.L > 1 and problem.bias is None
            marks = () if name in QUICK and not long else pytest.mark.slow
            yield pytest.param(word, name, marks=marks, id=f"{word}: {name}")


def slips(node):
    """Copies of nested data with one digit changed: the last of every text and number."""
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(len(node)):
            for other in slips(node[key]):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = other
                yield copy
    elif isinstance(node, (str, int)) and not isinstance(node, bool):
        text = str(node)
        for i in [i for i, letter in enumerate(text) if letter.isdigit()][-1:]:
            yield type(node)(text[:i] + str((int(text[i]) + 1) % 10) + text[i + 1 :])


@pytest.mark.parametrize("word, name", list(cases()))
def test_a_kind_proves_or_says_why_and_what_it_proves_checks(word, name, tmp_path):
    problem, kind = ZOO[name], kinds()[word]
    given = {"group": f"S_{problem.K}"} if "group" in kind.needs else {}
    proofs = ufm.certify(problem, [word], **given)
    reason = kind.applies(problem)
    assert proofs and all(proof.holds or len(proof.why) > 20 for proof in proofs)
    assert not reason or [(proof.kind, proof.why) for proof in proofs] == [(word, reason)]
    for proof in proofs:
        assert proof.kind == word or (word, proof.kind) == ("global", "bound")
        assert proof.check() == proof.holds and proof.statement in repr(proof) and proof.label in repr(proof)
    proofs.save(tmp_path / "proofs.json")
    again = certificate.load(tmp_path / "proofs.json")
    assert [proof.to_dict() for proof in again] == [proof.to_dict() for proof in proofs]
    for proof in [proof for proof in proofs if proof.holds][:2]:
        assert all(not replace(proof, data=data).check() for data in slips(proof.data))
        assert all(not replace(proof, data=data).signed().check() for data in slips(proof.data))


def test_a_certificate_cannot_say_that_it_trusts_less_than_it_does(use):
    use(BASELINE)
    proof = ufm.certify(ufm.Problem(K=4, L=2, lam=0.02), ["baseline"])[0]
    assert proof.trusts == ("the checker 'value at zero' of mine.py",)
    assert not replace(proof, trusts=()).signed().check() and not replace(proof, trusts=()).check()


# Losses and structures from files, in proofs


SOFT = '''
"""A loss whose pull on the label grows faster than its logit at first, one without balls, and a structure."""

from dataclasses import dataclass, replace

import numpy as np

from ufm.losses import Loss
from ufm.numerics import balls
from ufm.points import from_matrix
from ufm.structures.structure import Structure


@dataclass(frozen=True)
class Late(Loss):
    """1/(1 + (z_y/width)^4) + sum_{i != y} z_i^2/2."""

    width: float = 1.0
    keyword = "late"

    def _parts(self, Z, Y):
        q = np.sum(Z * Y, axis=-2, keepdims=True) / self.width
        return q, 1 + q**4

    def value(self, Z, Y):
        q, s = self._parts(Z, Y)
        return (1 / s)[..., 0, :] + 0.5 * np.sum(Z * Z * (1 - Y), axis=-2)

    def grad(self, Z, Y):
        q, s = self._parts(Z, Y)
        return Z * (1 - Y) - 4 * q**3 / s**2 / self.width * Y

    def hvp(self, Z, Y, V):
        q, s = self._parts(Z, Y)
        return V * (1 - Y) + (32 * q**6 / s**3 - 12 * q**2 / s**2) / self.width**2 * Y * V

    def enclosure(self, z, y):
        width, zero, one = balls.ball(balls.text(self.width)), balls.ball(0), balls.ball(1)
        q = z[y] / width
        q2 = q * q
        s = 1 + q2 * q2
        bend = (32 * q2 * q2 * q2 / (s * s * s) - 12 * q2 / (s * s)) / (width * width)
        rest = sum((v * v / 2 for i, v in enumerate(z) if i != y), zero)
        slope = [-4 * q * q2 / (s * s) / width if i == y else v for i, v in enumerate(z)]
        rows = [[zero if i != j else bend if i == y else one for j in range(len(z))] for i in range(len(z))]
        return 1 / s + rest, slope, rows


@dataclass(frozen=True)
class Bare(Loss):
    """|z - y|^2/2, without balls."""

    keyword = "bare"
    convex = True

    def value(self, Z, Y):
        return 0.5 * np.sum((Z - Y) ** 2, axis=-2)

    def grad(self, Z, Y):
        return Z - Y

    def hvp(self, Z, Y, V):
        return V + np.zeros_like(Z)


def unit(problem):
    return replace(from_matrix(problem, np.eye(problem.K) - 1 / problem.K), name="unit")


def enclosure(model):
    if model.loss != "ce" or not model.balanced:
        raise ValueError("it is for cross-entropy and equal counts.")
    return [(balls.ball(model.n[0]).sqrt(), model.K - 1)], ((model.K - 1) * balls.ball(-1).exp()).log1p()


UNIT = Structure("unit", "Z = I - 11'/K, rank K - 1", make=unit, enclosure=enclosure)
'''


def late_point(problem):
    """The rank K point Z = diag(t) on the small roots of the loss `late`: a barrier for every class."""
    D, places, I = problem.D, problem.labels, np.eye(problem.K)

    def scale(n):
        def pull(t):
            return n / problem.N * 4 * t**3 / (1 + t**4) ** 2 / np.sqrt(n) - problem.Lam * (np.sqrt(n) * t) ** (
                2 / D - 1
            )

        return np.sqrt(n) * brentq(pull, 1e-3, 0.7, xtol=1e-15)

    s = np.array([scale(n) for n in problem.counts])
    order = np.argsort(-s, kind="stable")
    V = (places[:, None] == np.arange(problem.K)) / np.sqrt(problem.counts)
    return LogitPoint(problem, I[:, order], s[order], V[:, order])


@pytest.mark.parametrize("K, n, L, lam", [(2, 3, 2, 0.01), (2, (1, 4), 1, 0.02), (3, 2, 3, 0.01), (2, 1, 2, 0.01)])
def test_the_index_under_a_loss_that_is_not_convex_counts_samples_of_one_class(K, n, L, lam, use):
    use(SOFT)
    point = late_point(ufm.Problem(K=K, n=n, L=L, lam=lam, loss="late", d=K + 1))
    proof = ufm.certify(point)[0]
    objective, x = objective_of(point.lift())
    negative = int(np.sum(np.linalg.eigvalsh(objective.hessian(x)) < -1e-9))
    assert proof.check() and proof.data["index"] == negative >= K
    assert negative == K + sum(int(count) - 1 for count in point.problem.counts)
    assert proof.statement.endswith(", by the balls of mine.py") and proof.trusts == ("the balls of mine.py",)
    families.forget()
    assert "no loss is called 'late(1)'" in proof.objection()


def test_orders_and_critical_points_of_a_contributed_loss(use, tmp_path, capsys):
    use(SOFT)
    problem = ufm.Problem(K=3, n=2, L=2, lam=0.01, loss="late(0.5)")
    low = ufm.minimize(problem, rng=0).point
    proof = order(low, ufm.structures.zero(problem))
    assert proof.check() and proof.statement == "point(left) < point(zero), by the balls of mine.py"
    assert proof.margin == pytest.approx(1 - ufm.classify(low).fun, abs=1e-12)
    proofs = ufm.certify(problem)
    assert proofs.check() and "trusted: " in repr(proofs) and repr(proofs).endswith(", the balls of mine.py.")
    assert {c.kind for c in proofs if c.holds} == {"order", "critical"}
    assert not any(c.holds for c in ufm.certify(problem, ["global", "bound", "completeness"], group="S_3"))
    plain = ufm.Problem(K=3, n=(1, 2, 2), L=1, lam=0.02, loss="late")
    assert all("not for the loss 'late(1)'." in c.why for c in ufm.certify(plain, ["global", "bound"]))
    table = ufm.compare(problem, starts=1, rng=0)
    assert table.certified and "proved" in table.verdict()
    file = tmp_path / "proofs.json"
    words = ["certify", "-K", "3", "-n", "2", "-L", "2", "--lam", "0.01", "--loss", "late(0.5)", "--save", str(file)]
    assert main([*words, "--from", str(tmp_path / "mine.py")]) == 0
    families.forget()
    assert main(["certify", "--check", str(file)]) == 1
    assert main(["certify", "--check", str(file), "--from", str(tmp_path / "mine.py")]) == 0
    assert "the balls of mine.py" in capsys.readouterr().out


def test_a_loss_that_says_nothing_in_balls_or_something_else_is_refused_with_the_reason(use):
    use(SOFT)
    problem = ufm.Problem(K=3, L=2, lam=0.01, loss="bare")
    for proof in (*ufm.certify(problem), *ufm.certify(ufm.structures.zero(problem)), *ufm.certify(problem, ["bound"])):
        assert not proof.holds and "no ball enclosure: the loss 'bare' of mine.py has no method enclosure" in proof.why
    for wrong in ("return 1", "return 1, [1], [[1]]", "return 1, z, 7", "return z"):
        use(SOFT.replace("width, zero, one = balls", f"{wrong}\n        width, zero, one = balls"))
        why = ufm.certify(ufm.structures.zero(ufm.Problem(K=3, L=2, lam=0.01, loss="late")))[0].why
        assert "the enclosure of the loss 'late(1)' must return (value, 3 slopes, 3 rows of 3)" in why, why


def test_a_structure_says_itself_what_it_is_in_balls(use):
    use(SOFT)
    problem = ufm.Problem(K=4, n=2, L=2, lam=0.02)
    proof, point = order("unit", "zero", problem), order(ufm.structures.get("unit").make(problem), "zero", problem)
    assert proof.check() and point.check() and proof.margin == pytest.approx(point.margin, rel=1e-12)
    assert proof.statement == "unit < zero, by the balls of mine.py" and point.statement == "point(unit) < zero"
    assert proof.data["left"]["scales"] == [] and proof.data["left"]["structure"] == "unit"
    assert "equal counts" in order("unit", "zero", ufm.Problem(K=3, n=(1, 2, 2), L=2, lam=0.02)).why
    assert "singular values, at most 2" in order("unit", "zero", ufm.Problem(K=4, d=2, L=2, lam=0.02)).why
    families.forget()
    assert not proof.check()


# One loss in balls


@pytest.mark.parametrize("name", ["ce", "label_smoothing(0.2)", "mse", "focal(1.5)", "focal(0)"])
def test_the_losses_in_balls_are_those_in_floats(name):
    rng, K = np.random.default_rng(4), 5
    floats, Y = ufm.losses.loss(name), np.eye(K)
    Z = rng.normal(size=(K, K)) * 3
    with balls.precision(128):
        for c in range(K):
            loss, z = column_loss(name), [balls.ball(float(v)) for v in Z[:, c]]
            assert balls.to_float(loss.value(z, c)) == pytest.approx(floats.value(Z, Y)[c], rel=1e-12)
            if not loss.smooth:
                with pytest.raises(Rejected, match="no gradient and Hessian"):
                    loss.column(z, c)
                continue
            value, slope, curved = loss.column(z, c)
            assert value.overlaps(loss.value(z, c))
            assert all(a.overlaps(b) for a, b in zip(slope, loss.slope(z, c), strict=True))
            np.testing.assert_allclose([balls.to_float(v) for v in slope], floats.grad(Z, Y)[:, c], atol=1e-12)
            rows = [[balls.to_float(v) for v in row] for row in curved.tolist()]
            np.testing.assert_allclose(rows, floats.hessians(Z, Y)[c], atol=1e-12)


@pytest.mark.parametrize("name", ["ce", "label_smoothing(0.2)", "mse"])
@pytest.mark.parametrize("K, k", [(4, 2), (5, 5), (7, 3)])
def test_the_closed_forms_of_a_block_are_the_loss_of_its_columns(name, K, k):
    """fit(t) = l(z(t)), pull = -dl/dt (k/(k-1)), of z(t) = t (e_c - 1/k) on the block."""
    model = exact_model(ufm.Problem(K=K, L=2, lam=0.01, loss=name))
    with balls.precision(200):
        loss, piece = column_loss(name), block_piece(model, k, balls.ball(1))
        for t in (balls.ball("0.3"), balls.ball(2)):
            ray = [(balls.ball(int(i == 0)) - balls.ball(1) / k) if i < k else balls.ball(0) for i in range(K)]
            z = [t * v for v in ray]
            assert loss.value(z, 0).overlaps(block_fit(model, k, t))
            down = -sum((a * b for a, b in zip(loss.slope(z, 0), ray, strict=True)), balls.ball(0))
            assert abs(down * k / (k - 1) - piece.value(t)) < 1e-50


# Krawczyk's operator


def test_krawczyk_finds_roots_and_only_roots():
    def circle(x):
        a, b = x
        return [a * a + b * b - 2, a - b], [[2 * a, 2 * b], [balls.ball(1), balls.ball(-1)]]

    with balls.precision(128):
        found = zero_near(circle, [1.2, 0.8])
        assert all(v.contains(1) and v.rad() < 1e-30 for v in found)
        assert zero_near(lambda x: ([x[0] * x[0]], [[2 * x[0]]]), [0.1]) is None  # a double root
        assert zero_near(lambda x: ([x[0] * x[0] + 1], [[2 * x[0]]]), [0.7]) is None  # no root
