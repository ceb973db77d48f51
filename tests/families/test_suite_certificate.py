"""What every kind of certificate promises: a proof that its checker reads again from the text alone, a hope where there
is none, a sentence where it does not apply, and no proof that survives a changed digit."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest

pytest.importorskip("flint")

from discovered import members, names
from zoo import ZOO

import ufm
from ufm.certificates.certificate import Certificate, load, save
from ufm.certificates.check import Rejected
from ufm.certificates.check.checker import check
from ufm.certificates.kind import Kind

ASKED = ("two classes", "mse", "four, zero wins", "relu", "label smoothing", "four, one layer", "six")
"""Problems of every sort, the cheapest first; each kind proves something about one of them at least."""

every = pytest.mark.parametrize("word", names("certificate"))


def options(kind: Kind) -> dict:
    """The options that must be given, with the example that the kind names."""
    return {name: example.split()[0] for name, example in kind.needs.items()}


@functools.cache
def proofs(word: str) -> dict[str, tuple[Certificate, ...]]:
    """What is made of the first problems on which it applies and for which its options are meant, until two are
    proved."""
    kind, found = members("certificate")[word], {}
    for title in ASKED:
        problem = ZOO[title]
        if kind.applies(problem) or sum(any(c.holds for c in made) for made in found.values()) == 2:
            continue
        try:
            kind.require(problem, **options(kind))
        except ValueError:
            continue
        found[title] = tuple(ufm.certify(problem, word, **options(kind)))
    return found


def proved(word: str) -> list[Certificate]:
    return [c for made in proofs(word).values() for c in made if c.holds]


@every
def test_it_is_a_record_with_a_word(word):
    kind = members("certificate")[word]
    assert isinstance(kind, Kind) and kind.word == word == word.lower() and kind.says and kind.hope
    assert set(kind.options) == {*kind.needs, *kind.takes} and callable(kind.make)


@every
def test_it_proves_something_and_its_proofs_stand(word):
    assert proved(word)
    for made in proofs(word).values():
        assert made
        for one in made:
            assert one.kind == word and one.statement and one.arithmetic in ("ball", "exact", "interval", "float")
            assert one.check() == one.holds and bool(one.why) != one.holds


@every
def test_where_it_does_not_apply_it_says_why_and_proves_nothing(word):
    kind, said = members("certificate")[word], 0
    for title in ASKED:
        reason = kind.applies(ZOO[title])
        if reason:
            said += 1
            assert reason.endswith(".") and "\n" not in reason
            try:
                kind.require(ZOO[title], **options(kind))
            except ValueError:
                continue
            made = ufm.certify(ZOO[title], word, **options(kind))
            assert made and not any(one.holds for one in made) and all(one.why for one in made)
    assert said  # the relu model at least


@every
def test_what_it_needs_is_asked_for_by_name(word):
    kind = members("certificate")[word]
    for name in kind.needs:
        with pytest.raises((ValueError, TypeError), match=name):
            ufm.certify(ZOO["four, pairs win"], word)
    with pytest.raises((ValueError, TypeError), match="nonsense"):
        ufm.certify(ZOO["four, pairs win"], word, nonsense=1, **options(kind))


@every
def test_its_proofs_travel_as_text(word, tmp_path):
    kept = [made[0] for made in proofs(word).values()]
    save(kept, tmp_path / "proofs.json")
    back = load(tmp_path / "proofs.json")
    assert back == kept and [one.check() for one in back] == [one.holds for one in kept]


def leaves(data, path=()):
    """(path, value) of every number, and every text that holds a digit."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        yield path, data
    if isinstance(data, str) and any(map(str.isdigit, data)):
        yield path, data


def changed(data, path, value):
    """The data with one digit, sign or number changed."""
    other = copy.deepcopy(data)
    at = functools.reduce(lambda part, key: part[key], path[:-1], other)
    digit = next((i for i, c in enumerate(value) if c.isdigit() and c != "0"), None) if isinstance(value, str) else None
    if digit is not None:
        at[path[-1]] = f"{value[:digit]}{(int(value[digit]) % 9) + 1}{value[digit + 1 :]}"
    elif isinstance(value, str):
        at[path[-1]] = f"1{value}"
    else:
        at[path[-1]] = value + 1
    return other


@every
def test_a_changed_digit_breaks_the_seal_and_proves_nothing_else(word):
    """Changed data are refused, or prove what they say themselves: never the old statement about another problem."""
    one = proved(word)[0]
    marks = list(leaves(one.data))
    for path, value in marks[:: max(1, len(marks) // 12)]:
        other = changed(one.data, path, value)
        assert not dataclasses.replace(one, data=other).check()
        try:
            found = check(one.method, other)
        except Rejected as reason:
            assert str(reason)
            continue
        whole = check(one.method, one.data)
        assert (found.statement, found.margin, found.problem) != (whole.statement, whole.margin, whole.problem), path
