"""One equation in one variable t > 0, and a proved enclosure of its root on the branch that is asked for.

    G(t) = t^q sum_i w_i v_i(t) = level,   q = 1 - 2/D,   w_i > 0.

Where for every piece (`pulls`)

    e_i(t) = -t v_i'(t)/v_i(t)   increases strictly from 0 as long as v_i > 0, and v_i' < 0 throughout,      (*)

t G'(t) = t^q sum_i w_i v_i (q - e_i). If e_i(b) < q for all i, G rises on (0, b]; if e_i(a) > q or v_i(a) <= 0 for all
i, it falls on [a, infinity). So signs at single points prove statements about whole branches: a sign change of G -
level on [a, b] with G falling from a on is the largest root and the only one there (`large`), one with G rising up to b
is the only root left of it (`small`), and v_i decreasing gives G <= b^q sum_i w_i v_i(a) between a and b: no root at
all when that is below the level at the peak. At D = 2, q = 0 and G only falls from sum_i w_i v_i(0).

Source: the monotonicity argument as given here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ufm.certificates.check.rejected import DoesNotExist, Undecided
from ufm.numerics import balls

if TYPE_CHECKING:
    from ufm.numerics.balls import Ball


@dataclass(frozen=True)
class Piece:
    """One kind of column: weight w, pull v(t) and drop(t) = -t v'(t) = e v."""

    weight: Ball
    value: Callable
    drop: Callable


@dataclass(frozen=True)
class Equation:
    """t^q sum_i w_i v_i(t) = level."""

    pieces: tuple[Piece, ...]
    level: Ball
    q: Fraction

    def pull(self, t):
        return balls.total(piece.weight * piece.value(t) for piece in self.pieces)

    def drop(self, t):
        return balls.total(piece.weight * piece.drop(t) for piece in self.pieces)

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


def solve(equation: Equation, root: str, name: str):
    """The ball of the named root of G(t) = level; DoesNotExist or Undecided."""
    peak = _peak(equation, name)
    if root == "small":
        if equation.q == 0:
            raise DoesNotExist(f"{name}: its scale equation only falls at D = 2, so that there is no small root.")
        return _root(equation, peak, -1, name)
    return _root(equation, peak, 1, name)


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
    low, high = _bisect(equation.slope_sign, low, high, balls.bits() - 16)
    if equation.sign(low) > 0:
        return low
    if _below(equation, low, high):
        raise DoesNotExist(none)
    raise Undecided(f"{name} is too close to its fold")


def _below(equation: Equation, low, high) -> bool:
    """Proved: G < level everywhere, for log t of the peak near [low, high]."""
    step = (high - low).mid() + balls.ball(2) ** (20 - balls.bits()) * (1 + abs(high))
    while step < 8:
        a, b = (low - step).mid(), (high + step).mid()
        if equation.rises_until(a.exp()) and equation.falls_from(b.exp()):
            return _cells_below(equation, a, b, balls.bits() // 2)
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
    for _ in range(2 + balls.bits().bit_length()):
        t = u.exp()
        pull = equation.pull(t)
        if not pull > 0:
            break
        slope = q - equation.drop(t) / pull
        step = (pull.log() + q * u - log_level) / slope
        if not step.is_finite():
            break
        u = (u - step).mid()
        if abs(step) < balls.ball(2) ** (8 - balls.bits()):
            break
    return _enclosure(equation, u, side, name)


def _enclosure(equation: Equation, u, side: int, name: str):
    """[e^(u-w), e^(u+w)] with a proved sign change on the proved branch."""
    width = balls.ball(2) ** (6 - balls.bits()) * (1 + abs(u))
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
