"""Scales, singular values and losses of the named structures, proved in ball arithmetic.

Every structure but `zero` and `pairs+apex` has scales t > 0 that each solve one equation in one variable,

    G(t) = t^q sum_i w_i v_i(t) = level,   q = 1 - 2/D,   level = Lam weight factor^(-q),

where v_i = -dl/dt is the pull of the loss on one kind of column, and w_i > 0. For the pieces used here

    e_i(t) = -t v_i'(t)/v_i(t)   increases strictly from 0 as long as v_i > 0, and v_i' < 0 throughout.      (*)

Hence t G'(t) = t^q sum_i w_i v_i (q - e_i). If e_i(b) < q for all i, G rises on (0, b]; if e_i(a) > q or v_i(a) <= 0
for all i, it falls on [a, infinity). So signs at single points prove statements about whole branches: a sign change of
G - level on [a, b] with G falling from a on is the largest root and the only one there (`large`), one with G rising up
to b is the only root left of it (`small`), and v_i decreasing gives G <= b^q sum_i w_i v_i(a) between a and b: no root
at all when that is below the level at the peak. At D = 2, q = 0 and G only falls from sum_i w_i v_i(0).

Why (*) holds. *Cross-entropy, a block of k classes in K = k + r*, x = e^(t/k): v = (k + r x)/(x^k + k - 1 + r x) and
-v'/v = A/B,

    A = k x^k + r (1 - 1/k) x^(k+1) + (r/k) x,   B = (x^k + k - 1 + r x)(k + r x).

In A'B - AB' every coefficient is positive but two: -(r^3/k) x^2, outweighed for x >= 1 by r^3 (k-1)^2/k x^(k+2), and
-r x^(2k). With y = r x, t (log A/B)' >= -log(x) y/((k + (1-1/k) y)(k + y)) >= -y log(y)/(4 + 3y + y^2/2) > -1, so t A/B
increases. *The lone class of odd pairs*: v = (K-1)/(e^t + K - 1), e = t e^t/(e^t + K - 1). *Label smoothing* subtracts
a constant c from v: e becomes e v/(v - c), a product of two increasing factors. *MSE*: v = 1 - rho t, e = rho t/(1 -
rho t).

Source: gk25 (the scale equations of dnc and pairs), the monotonicity argument as given here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import DoesNotExist, Rejected, Undecided
from ufm.numerics import balls

CAP = 2048
_NAME = re.compile(
    r"(zero|dnc|pairs\+apex|pairs|blocks)(?:\((\d+(?:,\d+)*)\))?(?:\(((?:large|small)(?:,(?:large|small))*)\))?"
)
_LOSS = re.compile(r"(\w+)(?:\(([^()]+)\))?")


@dataclass(frozen=True)
class Enclosed:
    """Balls that contain the loss F, the scales, and the singular values with multiplicities."""

    loss: object
    scales: tuple
    singular_values: tuple


@dataclass(frozen=True)
class Piece:
    """One kind of column: weight w, pull v(t) and drop(t) = -t v'(t) = e v."""

    weight: object
    value: Callable
    drop: Callable


@dataclass(frozen=True)
class Equation:
    """t^q sum_i w_i v_i(t) = level."""

    pieces: tuple[Piece, ...]
    level: object
    q: Fraction

    def pull(self, t):
        return sum(piece.weight * piece.value(t) for piece in self.pieces)

    def drop(self, t):
        return sum(piece.weight * piece.drop(t) for piece in self.pieces)

    def power(self, t):
        return t ** balls.ball(self.q) if self.q else balls.ball(1)

    def sign(self, u) -> int:
        """Of G(e^u) - level; 0 where the balls cannot tell."""
        t = u.exp()
        return _sign(self.pull(t) * self.power(t) - self.level)

    def rises_until(self, t) -> bool:
        """Proved: G rises on (0, t]."""
        return self.q > 0 and all(0 < piece.drop(t) < self.q_ball * piece.value(t) for piece in self.pieces)

    def falls_from(self, t) -> bool:
        """Proved: G falls on [t, infinity)."""
        return all(piece.drop(t) > self.q_ball * piece.value(t) and piece.drop(t) > 0 for piece in self.pieces)

    def slope_sign(self, u) -> int:
        """Of G'(e^u), at this point alone."""
        t = u.exp()
        return _sign(self.q_ball * self.pull(t) - self.drop(t))

    @property
    def q_ball(self):
        return balls.ball(self.q)


def is_name(name) -> bool:
    """Whether this is written as the name of a structure with a closed form."""
    match = _NAME.fullmatch(name.replace(" ", "")) if isinstance(name, str) else None
    return match is not None and (match[2] is not None) == (match[1] == "blocks")


def enclose(model: Model, name: str, root: str | tuple[str, ...] = "large", digits: int = 30, start=None) -> Enclosed:
    """The structure `name` of a problem: its scales exist and are the only ones on their branch, proved.

    name: zero, dnc, pairs, blocks(6,2,2), pairs+apex, followed by (small) or (large,small) where `root` (one word or
    one per part of at least 2) does not say it. digits: correct significant digits of loss and scales; the precision is
    doubled from 128 bits until they are. start: three numbers near the scales of `pairs+apex`, searched for where not
    given. That point is proved to be critical and the only one near; that no lower one lies on its family is not
    proved.

    Raises DoesNotExist where that is proved, Undecided where nothing is, Rejected for names and losses without a proof.
    """
    kind, parts, roots = _parse(model, name, root)
    bits = 128
    while True:
        with balls.precision(bits):
            try:
                found = enclose_at_precision(model, kind, parts, roots, name, start)
                if _sharp(found, digits):
                    return found
                why = f"{name} is known to fewer than {digits} digits at {bits} bits."
            except Undecided as reason:
                why = f"{reason} (at {bits} bits)"
        if bits >= CAP:
            raise Undecided(why)
        bits *= 2


def _sharp(found: Enclosed, digits: int) -> bool:
    tiny = balls.ball(10) ** -digits
    return all(bool(x.rad() <= tiny * abs(x.mid())) for x in (found.loss, *found.scales))


def enclose_at_precision(
    model: Model, kind: str, parts: tuple[int, ...], roots: tuple[str, ...], name: str, start
) -> Enclosed:
    """The structure in balls of the precision now set."""
    if kind == "zero":
        return _zero(model)
    if kind == "dnc" and model.loss == "mse":
        return _dnc_mse(model, roots[0], name)
    if kind == "pairs" and model.K % 2:
        return _odd_pairs(model, roots[0], name)
    if kind == "pairs+apex":
        return _apex(model, name, start)
    found = _blocks(model, parts, roots, name)
    if set(parts) != {2} or len(parts) == 1:  # a single pair is the simplex of two classes, and called so
        return found
    values = tuple(a / 2 for a in found.scales)
    return Enclosed(
        found.loss, values[:1] if model.balanced and len(set(roots)) == 1 else values, found.singular_values
    )


def _parse(model: Model, name: str, root) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """(kind, parts, one root per part of at least 2)."""
    if not is_name(name):
        raise Rejected(f"no closed form is known for a structure called {name!r}.")
    match = _NAME.fullmatch(name.replace(" ", ""))
    kind, K = match[1], model.K
    words = tuple(match[3].split(",")) if match[3] else (root,) if isinstance(root, str) else tuple(root)
    if match[3] and isinstance(root, str) and root != "large" and words != (root,):
        raise Rejected(f"{name} and root={root!r} contradict each other.")
    if not words or any(word not in ("large", "small") for word in words):
        raise Rejected(f"root must be `large` or `small`, one or one per part; got {root!r}.")
    if kind == "blocks":
        parts = tuple(sorted(map(int, match[2].split(",")), reverse=True))
        if sum(parts) != K or parts[-1] < 1 or parts[0] < 2:
            raise Rejected(f"{name} is not a partition of K={K} with a part of at least 2.")
    else:
        parts = {"dnc": (K,), "pairs": (2,) * (K // 2)}.get(kind, ())
    several = kind == "blocks" or (kind == "pairs" and K % 2 == 0)
    big = sum(k > 1 for k in parts) if several else 1
    words = words * big if len(words) == 1 else words
    if len(words) != big:
        raise Rejected(f"{name} needs one root or {big}; got {len(words)}.")
    if kind in ("zero", "pairs+apex") and words != ("large",):
        raise Rejected(f"{name} has no small root.")
    return kind, parts, words


# The losses


def loss_kind(model: Model):
    """(`ce` or `mse`, smoothing as a ball)."""
    match = _LOSS.fullmatch(model.loss)
    if match and match[1] == "label_smoothing":
        smoothing = balls.ball(match[2] or "0.1")
        if not 0 <= smoothing < 1:
            raise Rejected(f"label smoothing must lie in [0, 1); got {model.loss}.")
        return "ce", smoothing
    if match and model.loss in ("ce", "mse", "focal(0)"):
        return "mse" if model.loss == "mse" else "ce", balls.ball(0)
    raise Rejected(
        f"no proof that the scales under the loss {model.loss!r} are unique on their branch; ce, mse and"
        " label_smoothing have one."
    )


def block_piece(model: Model, k: int, weight, stretch: int = 1) -> Piece:
    """The pull on a column of a block of k classes at t = stretch times the variable: v of the module."""
    kind, smoothing = loss_kind(model)
    if kind == "mse":
        return _linear_piece(weight, balls.ball(1))
    r = model.K - k

    def parts(t):
        X = (-t / k).exp()
        return X, X**k, X ** (k - 1)

    def plain(t):
        X, Xk, Xk1 = parts(stretch * t)
        return (k * Xk + r * Xk1) / (1 + (k - 1) * Xk + r * Xk1)

    def drop(t):
        t = stretch * t
        X, Xk, Xk1 = parts(t)
        rate = (k * X + balls.ball(Fraction(r * (k - 1), k)) + balls.ball(Fraction(r, k)) * Xk) / (
            (1 + (k - 1) * Xk + r * Xk1) * (k * X + r)
        )
        return t * rate * (k * Xk + r * Xk1) / (1 + (k - 1) * Xk + r * Xk1)

    return Piece(weight, lambda t: plain(t) - smoothing, drop)


def _lone_piece(model: Model, weight) -> Piece:
    """The pull on a lone column z = t e_c."""
    _, smoothing = loss_kind(model)
    others = model.K - 1
    constant = smoothing * others / model.K

    def drop(t):
        y = others * (-t).exp()
        return t * y / (1 + y) ** 2

    def value(t):
        y = others * (-t).exp()
        return y / (1 + y) - constant

    return Piece(weight, value, drop)


def _linear_piece(weight, rho) -> Piece:
    """v = 1 - rho t."""
    return Piece(weight, lambda t: 1 - rho * t, lambda t: rho * t)


def block_fit(model: Model, k: int, t):
    """The loss of one column of a block of k classes at scale t, without bias; k = 1 is a column of zeros."""
    kind, smoothing = loss_kind(model)
    share = balls.ball(Fraction(k - 1, k))
    if kind == "mse":
        return (1 - share * t * (2 - t)) / 2
    y, z = (-t).exp(), (-share * t).exp()
    return ((k - 1) * y + (model.K - k) * z).log1p() + smoothing * share * t


def penalty(model: Model, singular_values):
    """(D/2) Lam sum s^(2/D)."""
    total = sum((times * s ** balls.ball(Fraction(2, model.D)) for s, times in singular_values), balls.ball(0))
    return model.Lam() * model.D / 2 * total


# One equation


def solve(equation: Equation, root: str, name: str):
    """The ball of the named root of G(t) = level; DoesNotExist or Undecided."""
    peak = _peak(equation, name)
    if root == "small":
        if equation.q == 0:
            raise DoesNotExist(f"{name}: its scale equation only falls at D = 2, so that there is no small root.")
        return _root(equation, peak, -1, name)
    return _root(equation, peak, 1, name)


def _bits() -> int:
    return balls.flint().ctx.prec


def _peak(equation: Equation, name: str):
    """log t of a point where G > level, proved there; None says: as small as you like (D = 2)."""
    none = f"{name} does not exist, proved: its scale equation has no positive root at this lam."
    if equation.q == 0:
        top = equation.pull(balls.ball(0))
        if top <= equation.level:
            raise DoesNotExist(none)
        if not top > equation.level:
            raise Undecided(f"{name} is too close to where it ceases to exist")
        return None
    low, high = _bracket(equation.slope_sign, balls.ball(0))
    low, high = _bisect(equation.slope_sign, low, high, 30)
    if equation.sign(low) > 0:
        return low
    low, high = _bisect(equation.slope_sign, low, high, _bits() - 16)
    if equation.sign(low) > 0:
        return low
    if _below(equation, low, high):
        raise DoesNotExist(none)
    raise Undecided(f"{name} is too close to its fold")


def _below(equation: Equation, low, high) -> bool:
    """Proved: G < level everywhere, for log t of the peak near [low, high]."""
    step = (high - low).mid() + balls.ball(2) ** (20 - _bits()) * (1 + abs(high))
    while step < 8:
        a, b = (low - step).mid(), (high + step).mid()
        if equation.rises_until(a.exp()) and equation.falls_from(b.exp()):
            return _cells_below(equation, a, b, _bits() // 2)
        step *= 16 if step < 2.0**-10 else 1.5
    return False


def _cells_below(equation: Equation, a, b, depth: int) -> bool:
    """Proved: G < level between e^a and e^b, by the lesser of b^q v(a) and the mean value theorem for log G."""
    middle, cell = ((a + b) / 2).mid(), a.union(b).exp()
    if equation.pull(a.exp()) * equation.power(b.exp()) < equation.level:
        return True
    if equation.sign(middle) >= 0 or depth == 0:
        return False
    pull = equation.pull(cell)
    if pull > 0:
        t = middle.exp()
        rate = equation.q_ball - equation.drop(cell) / pull
        reach = (b - middle).union(middle - a)
        if equation.pull(t) * equation.power(t) * (abs(rate) * reach).exp() < equation.level:
            return True
    return _cells_below(equation, a, middle, depth - 1) and _cells_below(equation, middle, b, depth - 1)


def _root(equation: Equation, peak, side: int, name: str):
    """The root right (side 1) or left (-1) of the peak."""
    if peak is None:
        low, high = _bracket(equation.sign, balls.ball(0))
    else:
        low, step = peak, side
        high = low + step
        while equation.sign(high) >= 0:
            low, step = high, 2 * step
            high = high + step
            if abs(step) > 2**40:
                raise Undecided(f"{name}: no sign change was found")
    low, high = _bisect(equation.sign, low, high, 40)
    u = ((low + high) / 2).mid()
    q, log_level = equation.q_ball, equation.level.log()
    for _ in range(2 + _bits().bit_length()):
        t = u.exp()
        pull = equation.pull(t)
        if not pull > 0:
            break
        slope = q - equation.drop(t) / pull
        step = (pull.log() + q * u - log_level) / slope
        if not step.is_finite():
            break
        u = (u - step).mid()
        if abs(step) < balls.ball(2) ** (8 - _bits()):
            break
    return _enclosure(equation, u, side, name)


def _enclosure(equation: Equation, u, side: int, name: str):
    """[e^(u-w), e^(u+w)] with a proved sign change on the proved branch."""
    width = balls.ball(2) ** (6 - _bits()) * (1 + abs(u))
    while width < 2.0**-20:
        inner, outer = (u - side * width).mid(), (u + side * width).mid()
        if equation.sign(inner) > 0 and equation.sign(outer) < 0:
            if _branch(equation, inner, side):
                return inner.exp().union(outer.exp())
            break
        width *= 8
    raise Undecided(f"{name}: its scale could not be enclosed on one branch")


def _branch(equation: Equation, a, side: int) -> bool:
    """Proved: G falls from e^a on (side 1), or rises up to it (-1), on the stretch where columns disagree."""
    proved = equation.falls_from if side > 0 else equation.rises_until
    b, step = a, balls.ball(2) ** -10
    while step < 8:
        if proved(b.exp()):
            return b is a or _cells_slope(equation, a, b, side, 14)
        b, step = (a + side * step).mid(), 2 * step
    return False


def _cells_slope(equation: Equation, a, b, side: int, depth: int) -> bool:
    if equation.slope_sign(a.union(b)) == -side:
        return True
    if depth == 0 or equation.slope_sign(a) != -side:
        return False
    middle = ((a + b) / 2).mid()
    return _cells_slope(equation, a, middle, side, depth - 1) and _cells_slope(equation, middle, b, side, depth - 1)


def _bracket(sign: Callable, u):
    """(low, high) with sign + at low and - at high, by growing steps from u."""
    side = 1 if sign(u) > 0 else -1
    step, low = 1, u
    while abs(step) <= 2**60:
        high = low + side * step
        if sign(high) == -side:
            return (low, high) if side > 0 else (high, low)
        low, step = high, 2 * step
    raise Undecided("no sign change was found")


def _bisect(sign: Callable, low, high, steps: int):
    """Halve [low, high], sign + at low and - at high (low may be the right end), until a sign cannot be told."""
    for _ in range(steps):
        middle = ((low + high) / 2).mid()
        found = sign(middle)
        if found == 0:
            break
        low, high = (middle, high) if found > 0 else (low, middle)
    return low, high


def _sign(x) -> int:
    return 1 if x > 0 else -1 if x < 0 else 0


# The structures


def _q(model: Model) -> Fraction:
    return 1 - Fraction(2, model.D)


def block_equation(model: Model, k: int, count: int) -> Equation:
    """(sqrt(count)/N) v(t) = Lam (sqrt(count) t)^(-q): a block of k classes with `count` samples each."""
    root = balls.ball(count).sqrt()
    level = model.Lam() * model.N / root
    q = _q(model)
    return Equation((block_piece(model, k, balls.ball(1)),), level * root ** balls.ball(-q) if q else level, q)


def _blocks(model: Model, parts: tuple[int, ...], roots: tuple[str, ...], name: str) -> Enclosed:
    if model.K - len(parts) > min(model.d):
        raise DoesNotExist(f"{name} needs widths of at least its rank {model.K - len(parts)}; got d={list(model.d)}.")
    kind, _ = loss_kind(model)
    counts = _block_counts(model, parts, name)
    keys = [(k, count, word) for (k, count), word in zip(counts, roots, strict=True)]
    if model.bias is not None and kind == "ce" and not (model.balanced and len(set(keys)) == 1 and parts[-1] > 1):
        raise Rejected(f"{name} is not critical with a bias, or not shown to be: blocks or counts differ.")
    known = {key: solve(block_equation(model, key[0], key[1]), key[2], name) for key in dict.fromkeys(keys)}
    fit, multiplicity = balls.ball(0), dict.fromkeys(known, 0)
    for key in keys:
        k, count, _ = key
        fit += k * count * block_fit(model, k, known[key])
        multiplicity[key] += k - 1
    fit += (model.N - sum(k * count for k, count, _ in keys)) * block_fit(model, 1, balls.ball(0)) + _bias_gain(model)
    singular = tuple((known[key] * balls.ball(key[1]).sqrt(), times) for key, times in multiplicity.items())
    return Enclosed(fit / model.N + penalty(model, singular), tuple(known[key] for key in keys), singular)


def _bias_gain(model: Model):
    """N times what the bias b = (n_c/N)_c/(1 + bias) adds for MSE at class logits with n-weighted row sums zero."""
    if model.bias is None or model.loss != "mse":
        return balls.ball(0)
    return -balls.ball(Fraction(sum(n * n for n in model.n), 2 * model.N)) / (1 + balls.ball(model.bias))


def _block_counts(model: Model, parts: tuple[int, ...], name: str) -> list[tuple[int, int]]:
    """(k, samples per class) of every part of at least 2: equal counts inside, the fullest group first."""
    groups: dict[int, int] = {}
    for count in model.n:
        groups[count] = groups.get(count, 0) + 1
    chosen = []
    for k in (k for k in parts if k > 1):
        fullest = max(groups, key=groups.__getitem__)
        if groups[fullest] < k:
            raise DoesNotExist(
                f"{name} needs equal counts inside each block; n={list(model.n)} has no {k} classes left with one"
                " count."
            )
        groups[fullest] -= k
        chosen.append((k, fullest))
    return chosen


def _zero(model: Model) -> Enclosed:
    """F(0) with the best bias: log K, or min_b log sum e^b - y'b + (bias/2)|b|^2 with y the mean target."""
    kind, smoothing = loss_kind(model)
    if kind == "mse":
        return Enclosed(balls.ball(Fraction(1, 2)) + _bias_gain(model) / model.N, (), ())
    if model.bias is None or model.balanced:
        return Enclosed(balls.ball(model.K).log(), (), ())
    target = [balls.ball(Fraction(n, model.N)) * (1 - smoothing) + smoothing / model.K for n in model.n]
    weight = balls.ball(model.bias)
    if weight == 0:
        return Enclosed(-sum(y * y.log() for y in target), (), ())
    return Enclosed(_best_bias(target, weight), (), ())


def _best_bias(target, weight):
    """Newton with the diagonal-plus-rank-one Hessian; strong convexity bounds the rest by |grad|^2/(2 weight)."""
    b = [y.log().mid() for y in target]
    mean = sum(b) / len(b)
    b = [((x - mean) / (1 + weight)).mid() for x in b]
    for _ in range(60):
        total = sum(x.exp() for x in b)
        p = [x.exp() / total for x in b]
        grad = [pi - y + weight * x for pi, y, x in zip(p, target, b, strict=True)]
        value = total.log() - sum(y * x for y, x in zip(target, b, strict=True)) + weight / 2 * sum(x * x for x in b)
        size = sum(g * g for g in grad)
        if size < balls.ball(2) ** (8 - 2 * _bits()) or not size > 0:
            break
        inverse = [1 / (pi + weight) for pi in p]
        step = [i * g for i, g in zip(inverse, grad, strict=True)]
        lift = sum(pi * s for pi, s in zip(p, step, strict=True)) / (
            1 - sum(pi * pi * i for pi, i in zip(p, inverse, strict=True))
        )
        step = [s + i * pi * lift for s, i, pi in zip(step, inverse, p, strict=True)]
        longest = max(abs(balls.to_float(s)) for s in step)
        b = [(x - s / max(1.0, longest)).mid() for x, s in zip(b, step, strict=True)]
    gap = (size / (2 * weight)).upper()
    return value.union(value - gap)


def _odd_pairs(model: Model, root: str, name: str) -> Enclosed:
    """m pairs and a lone class of one scale b, the stationary point of F along it."""
    _odd_only(model, name)
    kind, smoothing = loss_kind(model)
    K, m, n, q = model.K, model.K // 2, model.n[0], _q(model)
    p = balls.ball(Fraction(2, model.D))
    if kind == "mse":
        pieces = (_linear_piece(balls.ball(1), balls.ball(Fraction(4 * m + 1, K))),)
    else:
        pieces = (
            block_piece(model, 2, balls.ball(Fraction(2 * m, K)), 2),
            _lone_piece(model, balls.ball(Fraction(1, K))),
        )
    level = model.Lam() * balls.ball(n).root(model.D) * (m * balls.ball(2) ** p + 1)
    b = solve(Equation(pieces, level, q), root, name)
    if kind == "mse":
        fit = (1 - 2 * b + (4 * m + 1) * b * b / K) / 2
    else:
        lone = ((K - 1) * (-b).exp()).log1p() + smoothing * b * (K - 1) / K
        fit = (2 * m * block_fit(model, 2, 2 * b) + lone) / K
    s = balls.ball(n).sqrt() * b
    singular = ((2 * s, m), (s, 1))
    return Enclosed(fit + penalty(model, singular), (b,), singular)


def _odd_only(model: Model, name: str) -> None:
    if model.K % 2 == 0 or not model.balanced or model.bias is not None:
        raise DoesNotExist(
            f"{name} with a lone class needs odd K, equal counts and no bias; got K={model.K}, bias={model.bias}."
        )
    if model.K // 2 + 1 > min(model.d):
        raise DoesNotExist(f"{name} needs widths of at least its rank {model.K // 2 + 1}; got d={list(model.d)}.")


def _dnc_mse(model: Model, root: str, name: str) -> Enclosed:
    """Every class a mode of its own: s + N Lam s^(2/D-1)/weight = sqrt(n_c); the constant mode of a biased model has
    weight bias/(1+bias)."""
    modes = _modes(model)
    known, reasons = {}, []
    for count, weight in dict.fromkeys((count, weight) for count, weight, _ in modes):
        try:
            known[count, weight] = _mode(model, count, weight, root, name)
        except DoesNotExist as reason:
            reasons.append(reason)
    if not known:
        raise reasons[0]
    found = [(known[c, w], c, w, times) for c, w, times in modes if (c, w) in known]
    found = _largest(found, model.max_rank, name)
    fit = sum((balls.ball(Fraction(c * times, 2 * model.N)) * _share(model, w) for c, w, times in modes), balls.ball(0))
    for a, c, w, times in found:
        fit -= balls.ball(Fraction(c * times, 2 * model.N)) * _share(model, w) * a * (2 - a)
    singular = tuple((a * balls.ball(c).sqrt(), times) for a, c, _, times in found)
    values = tuple(sorted((a for a, *_ in found), key=balls.to_float, reverse=True))
    return Enclosed(fit + penalty(model, singular), values, singular)


def _modes(model: Model) -> list[tuple[int, bool, int]]:
    """(samples per class, whether it is the constant mode of a biased model, multiplicity)."""
    if model.bias is None:
        return [(count, False, model.n.count(count)) for count in dict.fromkeys(model.n)]
    if not model.balanced or model.max_rank < model.K:
        raise DoesNotExist(f"dnc for MSE with a bias needs equal counts and widths of at least K={model.K}.")
    return [(model.n[0], False, model.K - 1), (model.n[0], True, 1)]


def _share(model: Model, constant: bool):
    weight = balls.ball(model.bias) if constant else None
    return balls.ball(1) if weight is None else weight / (1 + weight)


def _mode(model: Model, count: int, constant: bool, root: str, name: str):
    share, base = _share(model, constant), block_equation(model, model.K, count)
    if share == 0:
        raise DoesNotExist(f"{name}: the constant mode has no pull at bias 0.")
    return solve(Equation(base.pieces, base.level / share, base.q), root, name)


def _largest(found, rank: int, name: str):
    """The modes of the `rank` largest singular values, largest first; ties only among equal ones."""
    size = [a * balls.ball(c).sqrt() for a, c, *_ in found]
    order = sorted(range(len(found)), key=lambda i: -balls.to_float(size[i]))
    chosen = []
    for place, i in enumerate(order):
        if rank <= 0:
            break
        a, c, w, times = found[i]
        if times >= rank and place + 1 < len(order) and not size[i] > size[order[place + 1]]:
            raise Undecided(f"{name}: which modes fit into the width could not be told")
        chosen.append((a, c, w, min(times, rank)))
        rank -= times
    return chosen


def _apex(model: Model, name: str, start) -> Enclosed:
    """m pairs and an apex: a zero of the gradient in (b, t_0, t_1), isolated by Krawczyk's test."""
    _odd_only(model, name)
    kind, _ = loss_kind(model)
    if model.K == 3:
        raise DoesNotExist("pairs+apex needs K >= 5: at K=3 its family contains dnc.")
    if kind == "mse":
        a = solve(block_equation(model, 2, model.n[0]), "large", name)
        r = model.K // 2 + 1
        singular = ((a * balls.ball(model.n[0]).sqrt(), r),)
        return Enclosed(
            (1 - balls.ball(Fraction(r, model.K)) * a * (2 - a)) / 2 + penalty(model, singular), (a / 2, a), singular
        )
    v = krawczyk(lambda v: _apex_terms(model, v)[1:], start if start is not None else _apex_start(model, name), name)
    b, tau = v[0], (v[1] ** 2 + v[2] ** 2).sqrt()
    if not (b > 0 and tau > 0):
        raise Undecided(f"{name}: a scale is not shown to be positive")
    root = balls.ball(model.n[0]).sqrt()
    return Enclosed(_apex_terms(model, v)[0] * model.Lam(), tuple(v), ((2 * root * b, model.K // 2), (root * tau, 1)))


def _apex_terms(model: Model, v):
    """(F, gradient, Hessian)/Lam in v = (b, t_0, t_1): columns b(e_0 - e_1) + c t_1 u, and t_0 u, c = 1/sqrt(K-1).

    With delta = u_K - u_1 = sqrt(K/(K-1)) the losses are log(1 + e^-2b + (K-3)e^-b + e^(-b + c delta t_1)), log(1 +
    (K-1)e^(-delta t_0)).
    """
    _, smoothing = loss_kind(model)
    K, m, n, D, Lam = model.K, model.K // 2, model.n[0], model.D, model.Lam()
    b, t0, t1 = v
    p, delta, c = balls.ball(Fraction(2, D)), balls.ball(Fraction(K, K - 1)).sqrt(), 1 / balls.ball(K - 1).sqrt()
    E0, E1, E2 = (-2 * b).exp(), (K - 3) * (-b).exp(), (c * delta * t1 - b).exp()
    S, E = 1 + E0 + E1 + E2, (K - 1) * (-delta * t0).exp()
    first, k = (2 * E0 + E1 + E2) / S, c * delta
    tilt, own = E2 / S, E / (1 + E)
    low, high = -1 / balls.ball(K * (K - 1)).sqrt(), balls.ball(Fraction(K - 1, K)).sqrt()
    pairs, lone = balls.ball(Fraction(K - 1, K)) / Lam, balls.ball(Fraction(1, K)) / Lam
    tau2 = t0 * t0 + t1 * t1
    pair, apex = m * (4 * balls.ball(n)) ** (p / 2) * b**p, (n * tau2) ** (p / 2)
    fit = pairs * ((E0 + E1 + E2).log1p() + smoothing * (b + c * low * t1)) + lone * (E.log1p() + smoothing * high * t0)
    value = fit + (pair + apex) / p
    gradient = [
        pairs * (smoothing - first) + pair / b,
        lone * (smoothing * high - delta * own) + apex * t0 / tau2,
        pairs * (k * tilt + smoothing * c * low) + apex * t1 / tau2,
    ]
    bend, twist = apex / tau2, (p - 2) * apex / tau2**2
    bb = pairs * ((4 * E0 + E1 + E2) / S - first**2) + (p - 1) * pair / b**2
    b1 = pairs * k * tilt * (first - 1)
    aa = lone * delta**2 * own / (1 + E) + bend + twist * t0 * t0
    cc = pairs * k**2 * tilt * (1 - tilt) + bend + twist * t1 * t1
    ac = twist * t0 * t1
    return value, gradient, [[bb, 0 * b, b1], [0 * b, aa, ac], [b1, ac, cc]]


def _apex_start(model: Model, name: str):
    """The lowest end of Newton descents (with |Hessian|) from five starts: a guess in float64."""
    import numpy as np

    def terms(v):
        with balls.precision(128):
            f, g, H = _apex_terms(model, [balls.ball(float(x)) for x in v])
        return (
            balls.to_float(f),
            np.array([balls.to_float(x) for x in g]),
            np.array([[balls.to_float(x) for x in row] for row in H]),
        )

    try:
        guess = balls.to_float(_odd_pairs(model, "large", name).scales[0])
    except DoesNotExist:
        raise Undecided(
            f"{name} was not found: the pairs of one scale that the search starts from do not exist"
        ) from None
    ends = []
    for start in ((1, 1, 0), (1, 2, 0), (1, 1.5, -0.5), (1, 1.5, 0.5), (0.7, 1, -1)):
        v = guess * np.array(start, dtype=float)
        f, g, H = terms(v)
        for _ in range(60):
            size, frame = np.linalg.eigh(H)
            step = -frame @ ((frame.T @ g) / np.maximum(abs(size), 1e-12 * np.max(abs(size))))
            step *= min(1.0, np.linalg.norm(v) / np.linalg.norm(step))
            for halving in range(30):
                w = v + step * 0.5**halving
                if w[0] > 0 and np.hypot(w[1], w[2]) > 0 and (new := terms(w))[0] < f:
                    break
            else:
                break
            v, (f, g, H) = w, new
        if v[0] > 1e-6 * guess and np.hypot(v[1], v[2]) > 1e-6 * guess:
            ends.append((f, tuple(v)))
    if not ends:
        raise Undecided(f"{name} was not found: every start ended at a lower rank")
    return min(ends)[1]


def krawczyk(system: Callable, start, name: str) -> list:
    """Balls with one zero of v -> (g, H): x - Y g(x) + (1 - Y H(X))(X - x) lies inside X (krawczyk69)."""
    matrix = balls.flint().arb_mat
    x = [balls.ball(value).mid() for value in start]
    for _ in range(4 + 2 * _bits().bit_length()):
        g, H = system(x)
        try:
            inverse = matrix(H).inv()
        except ZeroDivisionError:
            raise Undecided(f"{name}: its Hessian is not shown to be regular") from None
        step = inverse * matrix([[value] for value in g])
        x = [(value - step[i, 0]).mid() for i, value in enumerate(x)]
        if not all(value.is_finite() for value in x):
            raise Undecided(f"{name}: Newton's method left the real numbers")
    g, H = system(x)
    Y = matrix([[entry.mid() for entry in row] for row in matrix(H).inv().tolist()])
    radius = balls.ball(2) ** (-(_bits() // 2)) * max(abs(balls.to_float(value)) for value in x)
    box = [value + balls.between(-radius, radius) for value in x]
    spread = matrix([[b - value] for b, value in zip(box, x, strict=True)])
    size = len(x)
    one = matrix([[int(i == j) for j in range(size)] for i in range(size)])
    image = (
        matrix([[value] for value in x])
        - Y * matrix([[value] for value in g])
        + (one - Y * matrix(system(box)[1])) * spread
    )
    found = [image[i, 0] for i in range(size)]
    if not all(b.contains_interior(y) for b, y in zip(box, found, strict=True)):
        raise Undecided(f"{name}: Krawczyk's test does not hold")
    return found
