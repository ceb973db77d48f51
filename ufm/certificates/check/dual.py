"""The plain model, L = 1: a point of the dual problem bounds the convex objective from below.

With one column x_c = Z_c/sqrt(n_c) + b per class, w_c = n_c/N, and targets t_c (one-hot y_c, smoothed for label
smoothing),

    F(Z, b) = sum_c w_c l_c(x_c) + Lam ||Z||_* + (beta/2)||b||^2,       l_c(x) >= <q_c, x> - l_c*(q_c)  for every q_c,

so that, with G = (w_c q_c/sqrt(n_c))_c and v = sum_c w_c q_c,

    F >= -sum_c w_c l_c*(q_c) - |v|^2/(2 beta)  if ||G||_op <= Lam
        (without the v term where there is no bias; v = 0 if beta = 0).

Cross-entropy: q = P - t with P in the simplex, -l* is the entropy of P. MSE: l*(q) = |q|^2/2 + <q, y>. One column per
class is enough, for the class means of any Z cost no more (Jensen; a projection lowers the nuclear norm).

*Witness.* Z = A B' and b are numbers; F at this point of factor space, with Lam (|A|^2 + |B|^2)/2 for the penalty, is
the upper end. The dual point is the gradient there, repaired: for beta = 0 it is mixed with q = mean target - t_c
(`mix`) and v is subtracted from every column, P >= 0 being checked; then q is shrunk towards 0 (`shrink`), P towards
its target, until ||G|| <= Lam. That is proved by a congruence: for a float matrix V of near-eigenvectors of G'G,
V'(Lam^2 - G'G)V and V'V have dominant diagonals. No solver and no eigenvalue is trusted.

*Closed form*, equal counts, any bias: C = Lam sqrt(n). Cross-entropy with smoothing delta: at Z = a S, b = 0, the
gradient is -(r - delta/K)/sqrt(n) S with r = 1/(e^a + K - 1), which is -Lam S at the root r = C + delta/K (a > 0 iff C
< (1 - delta)/K), and of norm (1 - delta)/(K sqrt(n)) <= Lam at a = 0 otherwise. MSE: with b = (1 - a_1)/(K (1 + beta))
and modes a_i sqrt(n) = sqrt(n) - K n Lam/weight_i where positive, weight 1 on the simplex modes and beta/(1 + beta) on
the constant one, the gradient is -Lam on every mode that is on, and above -Lam on the others. In both cases G lies in
the subdifferential: the point is a global minimum exactly, with no gap. It needs the rank of dnc; at smaller widths the
value is a lower bound.

Source: zhu21, zhou22a, zhou22b (the minima), the dual and its repair as given here.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ufm.certificates.check import scales as closed
from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.losses import column_loss
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import loss_kind
from ufm.certificates.check.record import at_least, decided, proved_below
from ufm.certificates.check.rejected import Rejected, Undecided
from ufm.numerics import balls

if TYPE_CHECKING:
    from ufm.numerics.balls import Ball

METHOD = "dual"
BITS = 160


def check(data: dict) -> Checked:
    """data: problem, claim (`global` or `bound`), lower, upper (exact texts or None), witness (A, B, b, shrink, mix, or
    None)."""
    model = Model.of(data)
    refuse(model)
    if data["witness"] is None:
        return _closed(model, data)
    with balls.precision(BITS):
        low, high, exact_zero = bracket(model, data["witness"])
        proved_below(low, data["lower"])
        if data["claim"] == "bound" or high is None:
            return Checked("bound", at_least(model, data["lower"]), None, "ball")
        if exact_zero:
            return Checked("global", "zero is a global minimum", None, "ball")
        if not high <= balls.ball(data["upper"]):
            raise Rejected(f"the upper bound {data['upper']} is not above {high.str(20)}.")
        gap = balls.to_float(balls.ball(data["upper"]) - balls.ball(data["lower"]))
        return Checked("bound", f"the global minimum lies in [{data['lower']}, {data['upper']}]", gap, "ball")


def refuse(model: Model) -> None:
    """Rejected unless L = 1 and the loss is convex with a known conjugate."""
    if model.L != 1:
        raise Rejected(f"the plain model is convex at L=1 only; got L={model.L}.")
    loss_kind(model)


# The closed form


def _closed(model: Model, data: dict) -> Checked:
    name, value, margin = decided(lambda: minimum(model))
    proved_below(value, data["lower"])
    if data["claim"] == "bound" or not reached(model, name):
        return Checked("bound", at_least(model, data["lower"]), None, "ball")
    return Checked("global", f"{name} is a global minimum", margin, "ball")


def minimum(model: Model) -> tuple[str, object, float | None]:
    """(name, value at widths K, F(zero) - F(dnc); at zero how far lam lies above the threshold, relatively)."""
    if not model.balanced:
        raise Rejected(f"the closed form needs equal counts; got n={list(model.n)}.")
    wide = replace(model, d=(max(model.K, *model.d),))
    kind, smoothing = loss_kind(model)
    ratio = model.K * model.Lam() * balls.ball(model.n[0]).sqrt() / (1 - smoothing)
    zero = closed.enclose_at_precision(wide, "zero", (), (), "zero", None).loss
    if ratio >= 1:
        return "zero", zero, balls.to_float(ratio - 1)
    if not ratio < 1:
        raise Undecided("lam is too close to where dnc meets zero")
    name = "dnc"
    value = closed.enclose_at_precision(wide, name, () if kind == "mse" else (model.K,), ("large",), name, None).loss
    return name, value, balls.to_float(zero - value)


def reached(model: Model, name: str) -> bool:
    """Whether the widths allow the rank of the closed form."""
    rank = (
        model.K if model.loss == "mse" and not (model.bias is not None and balls.ball(model.bias) == 0) else model.K - 1
    )
    return name == "zero" or model.max_rank >= rank


# The witness


def bracket(model: Model, witness: dict) -> tuple[Ball, Ball | None, bool]:
    """(lower ball, upper ball or None where the rank exceeds the width, whether the witness is zero)."""
    A, B = _matrix(witness["A"], model.K), _matrix(witness["B"], model.K)
    b = [balls.ball(0)] * model.K if model.bias is None else [balls.ball(text) for text in witness["b"]]
    rank = len(witness["A"][0])
    if len(witness["B"][0]) != rank or len(b) != model.K:
        raise Rejected("the witness's factors do not fit together.")
    points = columns(model, (A * B.transpose()).tolist() if rank else [[balls.ball(0)] * model.K] * model.K, b)
    low = dual_value(model, slopes(model, points), witness["shrink"], witness["mix"])
    penalty = model.Lam() / 2 * sum((x * x for M in (A, B) for x in M.entries()), balls.ball(0))
    ridge = 0 if model.bias is None else balls.ball(model.bias) / 2 * balls.total(x * x for x in b)
    high = primal_value(model, points) + penalty + ridge
    zero = rank == 0 and model.bias is None and balls.ball(witness["shrink"]) == 1
    return low, high if rank <= model.max_rank else None, zero


def _matrix(rows, K: int):
    if len(rows) != K or len({len(row) for row in rows}) != 1:
        raise Rejected(f"a witness factor needs {K} rows of one length.")
    return (
        balls.flint().arb_mat([[balls.ball(text) for text in row] for row in rows])
        if rows[0]
        else balls.flint().arb_mat(K, 0)
    )


def columns(model: Model, Z, b) -> list[list]:
    """x_c = Z_c/sqrt(n_c) + b."""
    roots = [balls.ball(n).sqrt() for n in model.n]
    return [[Z[j][c] / roots[c] + b[j] for j in range(model.K)] for c in range(model.K)]


def weights(model: Model) -> list:
    return [balls.ball(Fraction(n, model.N)) for n in model.n]


def slopes(model: Model, points) -> list[list]:
    """q_c: the gradient of l_c at x_c."""
    loss = column_loss(model.loss)
    return [loss.slope(point, c) for c, point in enumerate(points)]


def primal_value(model: Model, points):
    """sum_c w_c l_c(x_c)."""
    loss = column_loss(model.loss)
    return sum(w * loss.value(point, c) for c, (w, point) in enumerate(zip(weights(model), points, strict=True)))


def targets(model: Model) -> list[list]:
    """t_c, of cross-entropy."""
    loss = column_loss(model.loss)
    return [loss.target(model.K, c) for c in range(model.K)]


def dual_value(model: Model, q, shrink: str, mix: str) -> Ball:
    """The repaired dual objective; Rejected where the repair does not make it feasible."""
    w = weights(model)
    kept, mixed = balls.ball(shrink), balls.ball(mix)
    if not (0 < kept <= 1 and 0 <= mixed <= 1):
        raise Rejected("shrink must lie in (0, 1] and mix in [0, 1].")
    free = model.bias is not None and balls.ball(model.bias) == 0
    if free:
        q = _balanced(model, q, mixed)
    q = [[kept * x for x in column] for column in q]
    _feasible(model, q)
    value = balls.total(
        weight * _minus_conjugate(model, column, c) for c, (weight, column) in enumerate(zip(w, q, strict=True))
    )
    if model.bias is not None and not free:
        value -= balls.total(x * x for x in _mean(w, q)) / (2 * balls.ball(model.bias))
    return value


def _mean(w, q) -> list:
    return [sum(weight * column[j] for weight, column in zip(w, q, strict=True)) for j in range(len(q))]


def _balanced(model: Model, q, mix) -> list[list]:
    """Mixed with the slopes of the mean target and with v subtracted, so that sum_c w_c q_c = 0 exactly."""
    w, t = weights(model), targets(model)
    mean = _mean(w, t)
    q = [
        [(1 - mix) * x + mix * (m - y) for x, m, y in zip(column, mean, target, strict=True)]
        for column, target in zip(q, t, strict=True)
    ]
    v = _mean(w, q)
    return [[x - y for x, y in zip(column, v, strict=True)] for column in q]


def _minus_conjugate(model: Model, q, c: int):
    """-l_c*(q): the entropy of P = t + q, or -|q|^2/2 - q_c."""
    if model.loss == "mse":
        return -sum(x * x for x in q) / 2 - q[c]
    P = [t + x for t, x in zip(column_loss(model.loss).target(model.K, c), q, strict=True)]
    if not all(p > 0 for p in P):
        raise Rejected(f"column {c} of the dual is not a probability vector.")
    return -sum(p * p.log() for p in P)


def _feasible(model: Model, q) -> None:
    """Rejected unless ||(w_c q_c/sqrt(n_c))_c||_op <= Lam is proved."""
    import numpy as np

    matrix, K = balls.flint().arb_mat, model.K
    factor = [balls.ball(n).sqrt() / (model.N * model.Lam()) for n in model.n]
    G = matrix([[q[c][j] * factor[c] for c in range(K)] for j in range(K)])
    middle = np.array([[balls.to_float(x) for x in row] for row in G.tolist()])
    frame = matrix(np.linalg.eigh(middle.T @ middle)[1].tolist())
    image, gram = G * frame, frame.transpose() * frame
    if not (_dominance(gram) > 0 and _dominance(gram - image.transpose() * image) >= 0):
        raise Rejected("the dual point is not shown to be feasible: its operator norm is not proved to be at most Lam.")


def _dominance(M):
    """The least excess of a diagonal entry over the absolute sum of its row: not negative, and the symmetric M is
    semidefinite; positive, and it is regular."""
    rows = M.tolist()
    excess = [row[i] - sum(abs(x) for j, x in enumerate(row) if j != i) for i, row in enumerate(rows)]
    return min((x.lower() for x in excess), key=balls.to_float)


CHECKER = Checker(METHOD, check, states_problem=True)
