"""What every source promises: points of the problem it was asked about, how each was met, and a sentence where it has
nothing to do; the same points for one seed, and none of the table's business."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from discovered import members, names
from zoo import ZOO

import ufm
from ufm.critical.point import CriticalPoint
from ufm.landscapes.gather import met
from ufm.landscapes.sources.source import VERBS, Settings, Source, asked
from ufm.numerics.seeds import seed_sequence
from ufm.points import FactorPoint, point_of
from ufm.problem import Problem

PROBLEMS = {
    **{title: ZOO[title] for title in ("two classes", "three, collapse wins", "mse", "bias", "unequal counts", "tanh")},
    "relu": Problem(K=3, L=2, lam=0.02, activation="relu"),
    "relu, mse": Problem(K=6, L=3, lam=1e-3, loss="mse", activation="relu"),
    "narrow": Problem(K=4, d=2, L=2, lam=0.01),
}
OPTIONS = {"landscape": {"max_idempotents": 2}, "profile": {"ranks": [1, 2]}, "compare": {}}
"""What the verbs pass on beside starts and seed."""

every = pytest.mark.parametrize("name", names("source"))


def settings(title: str, verb: str, seed: int = 0, starts: int | None = 1) -> Settings:
    return Settings(verb, PROBLEMS[title], seed_sequence(seed), starts, False, dict(OPTIONS[verb]))


def listed(stream) -> tuple[list, object]:
    """(what a generator yields, what it returns)."""
    found, points = [], iter(stream)
    while True:
        try:
            found.append(next(points))
        except StopIteration as end:
            return found, end.value


@functools.cache
def yields(name: str, seed: int = 0) -> dict:
    """{(problem, verb): (what it yields, what it returns)} wherever it has something to do, for one start; for its own
    number of starts at one problem where that is nothing."""
    source = members("source")[name]
    keys = [(t, verb) for t, problem in PROBLEMS.items() for verb in source.verbs if not source.applies(problem)]
    found = {key: listed(source.stream(settings(*key, seed)).points) for key in keys}
    if not any(points for points, _ in found.values()):
        found[keys[0]] = listed(source.stream(settings(*keys[0], seed, starts=None)).points)
    return found


def unpacked(what, name: str):
    """(how, point, times) of one thing yielded."""
    if not isinstance(what, tuple):
        return name, what, 1
    return (*what, 1) if len(what) == 2 else what


@every
def test_it_is_a_record_with_verbs(name):
    source = members("source")[name]
    assert isinstance(source, Source) and source.name == name and source.doc and "\n" not in source.doc
    assert source.verbs and set(source.verbs) <= set(VERBS)


@every
def test_it_yields_points_of_the_problem_and_how_they_were_met(name):
    assert any(found for found, _ in yields(name).values())
    for (title, _), (found, said) in yields(name).items():
        assert said is None or isinstance(said, str)
        for what in found:
            how, point, times = unpacked(what, name)
            assert isinstance(how, str) and how and isinstance(times, int) and times >= 0
            if point is None:  # a try that came to nothing
                continue
            inner = point_of("point", point)
            assert inner.problem == PROBLEMS[title] and (PROBLEMS[title].linear or isinstance(inner, FactorPoint))
            measured = met(point)
            assert np.isfinite(measured.fun) and measured.rank >= 0
            if isinstance(point, CriticalPoint):
                assert met(point.point).fun == pytest.approx(point.fun, rel=1e-10)


@every
def test_where_it_has_nothing_to_do_it_says_why(name):
    source = members("source")[name]
    reasons = list(map(source.applies, PROBLEMS.values()))
    assert all(not reason or (reason.endswith(".") and "\n" not in reason) for reason in reasons)
    for title, reason in zip(PROBLEMS, reasons, strict=True):
        for verb in VERBS:
            streams = [stream.name for stream in asked(settings(title, verb))]
            assert (name in streams) == (verb in source.verbs and not reason)


@every
def test_one_seed_gives_the_same_points(name):
    key = next((key for key, (found, _) in yields(name).items() if found))
    before, told = yields(name)[key]
    found, said = listed(members("source")[name].stream(settings(*key)).points)
    if not found:  # nothing for one start
        return
    assert said == told and len(found) == len(before)
    for one, other in zip(before, found, strict=True):
        (how, point, times), again = unpacked(one, name), unpacked(other, name)
        assert (how, times) == (again[0], again[2]) and (point is None) == (again[1] is None)
        assert point is None or met(point).fun == met(again[1]).fun


def test_random_numbers_of_one_source_are_no_others():
    one, other = (settings("mse", "landscape").draw(name).random() for name in ("one", "other"))
    assert one != other and one == settings("mse", "landscape").draw("one").random()


@pytest.mark.parametrize("verb", VERBS)
def test_its_critical_points_are_in_the_table_of_the_verb(verb):
    problem = ZOO["three, collapse wins"]
    table = getattr(ufm, verb)(problem, starts=1, rng=0)
    values = np.array([row.fun for row in table])
    for stream in asked(settings("three, collapse wins", verb)):
        for what in listed(stream.points)[0]:
            if unpacked(what, stream.name)[1] is None:
                continue
            point = met(unpacked(what, stream.name)[1])
            if verb == "landscape" and point.stratum is not None and point.stratum.grad_norm <= 1e-13:
                assert np.min(np.abs(values - point.fun)) < 1e-9, (stream.name, what)
            assert np.min(values) <= point.fun + 1e-9
