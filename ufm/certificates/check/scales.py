"""Scales, singular values and losses of the named structures, proved in ball arithmetic.

Every structure but `zero` and `pairs+apex` has scales t > 0 that each solve one equation in one variable (`equations`),

    G(t) = t^q sum_i w_i v_i(t) = level,   q = 1 - 2/D,   level = Lam weight factor^(-q),

where v_i = -dl/dt is the pull of the loss on one kind of column (`pulls`), and w_i > 0. A structure from a file in use
is what its own `enclosure` says (`contributed`).

Source: gk25 (the scale equations of dnc and pairs).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from ufm.certificates.check import contributed
from ufm.certificates.check.enclosed import Enclosed
from ufm.certificates.check.equations import Equation, solve
from ufm.certificates.check.model import Model
from ufm.certificates.check.odd import apex, odd_pairs
from ufm.certificates.check.pulls import (
    block_equation,
    block_fit,
    loss_kind,
    penalty,
)
from ufm.certificates.check.rejected import DoesNotExist, Rejected, Undecided
from ufm.numerics import balls

CAP = 2048
_NAME = re.compile(
    r"(zero|dnc|pairs\+apex|pairs|blocks)(?:\((\d+(?:,\d+)*)\))?(?:\(((?:large|small)(?:,(?:large|small))*)\))?"
)


def is_name(name) -> bool:
    """Whether this is the name of a structure with a closed form here, or with an enclosure in a file of its own."""
    return is_closed(name) or (isinstance(name, str) and contributed.structure(name) is not None)


def is_closed(name) -> bool:
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
    made = _maker(model, name, root, start)
    bits = 128
    while True:
        with balls.precision(bits):
            try:
                found = made()
                if _sharp(found, digits):
                    return found
                why = f"{name} is known to fewer than {digits} digits at {bits} bits."
            except Undecided as reason:
                why = f"{reason} (at {bits} bits)"
        if bits >= CAP:
            raise Undecided(why)
        bits *= 2


def _maker(model: Model, name: str, root, start) -> Callable[[], Enclosed]:
    """The structure in balls of the precision that is set when it is called."""
    given = None if is_closed(name) or not isinstance(name, str) else contributed.structure(name)
    if given is not None:
        return lambda: _given(model, name, given)
    kind, parts, roots = _parse(model, name, root)
    return lambda: enclose_at_precision(model, kind, parts, roots, name, start)


def _given(model: Model, name: str, enclosure: Callable) -> Enclosed:
    """What a structure's own `enclosure(model) -> (singular values, value of the fit)` says."""
    try:
        values, fit = enclosure(model)
        pairs = tuple((balls.ball(v[0]), int(v[1])) if isinstance(v, tuple) else (balls.ball(v), 1) for v in values)
        fit = balls.ball(fit)
    except (TypeError, ValueError) as reason:
        raise Rejected(f"{name} is not enclosed here: {reason}") from None
    if not all(s > 0 for s, _ in pairs) or sum(times for _, times in pairs) > model.max_rank:
        raise Rejected(f"{name} must have positive singular values, at most {model.max_rank}.")
    return Enclosed(fit + penalty(model, pairs), (), pairs)


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
        return odd_pairs(model, roots[0], name)
    if kind == "pairs+apex":
        return apex(model, name, start)
    found = _blocks(model, parts, roots, name)
    if set(parts) != {2} or len(parts) == 1:  # a single pair is the simplex of two classes, and called so
        return found
    values = tuple(a / 2 for a in found.scales)
    return Enclosed(
        found.loss, values[:1] if model.balanced and len(set(roots)) == 1 else values, found.singular_values
    )


def _parse(model: Model, name: str, root) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """(kind, parts, one root per part of at least 2)."""
    if not is_closed(name):
        raise Rejected(f"no closed form is known for a structure called {name!r}.")
    match = _NAME.fullmatch(name.replace(" ", ""))
    assert match is not None  # is_closed says so
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
        total = balls.total(x.exp() for x in b)
        p = [x.exp() / total for x in b]
        grad = [pi - y + weight * x for pi, y, x in zip(p, target, b, strict=True)]
        value = total.log() - sum(y * x for y, x in zip(target, b, strict=True)) + weight / 2 * sum(x * x for x in b)
        size = sum(g * g for g in grad)
        if size < balls.ball(2) ** (8 - 2 * balls.bits()) or not size > 0:
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
