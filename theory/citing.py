"""Whose work a thing stands on: the keys of refs.bib in the `source` of claims and figures, and after the `Source:` of
docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator

from theory import references, registry
from ufm.numerics import families

PACKAGE = ("ufm", "gk25")
"""What is cited where nothing is named: the package and the paper that it grew from."""
_SOURCES = re.compile(r"\bSources?:(.*?)(?:\n\s*\n|\Z)", re.DOTALL)


def entries(things: Iterable) -> dict[str, str]:
    """key -> BibTeX entry of what the things stand on, each once and in their order."""
    keys = dict.fromkeys(key for thing in things for key in _keys(thing))
    known = references.references()
    if not set(keys) <= set(known):
        known = bibliography()
    return {families.choice("source", key, known): known[key] for key in keys}


def bibliography() -> dict[str, str]:
    """The entries of refs.bib, and those that claims and figures bring along."""
    claims, figures = _cited()
    return references.references() | references.carried([*claims.values(), *figures.values()])


def _cited() -> tuple[dict, dict]:
    from theory.figures.figure import FIGURES

    return registry.CLAIMS.members(), FIGURES.members()


def _keys(thing) -> Iterator[str]:
    """The keys of the sources of a thing; ValueError for what has none."""
    if thing is None:
        yield from PACKAGE
    elif isinstance(thing, str):
        yield from _named(thing)
    elif isinstance(source := getattr(thing, "source", None), str):
        yield source.split(",")[0].strip()
    elif hasattr(thing, "claim"):
        yield from _keys(thing.claim)
    elif inspect.isroutine(thing) or inspect.isclass(thing):
        yield from documented(thing)
    elif callable(getattr(thing, "make", None)):  # a structure
        yield from documented(thing.make)
    elif hasattr(thing, "problem"):  # what a verb returned
        yield from PACKAGE
        yield from _used(thing)
    elif isinstance(thing, Iterable):
        for one in thing:
            yield from _keys(one)
    elif type(thing).__module__ != "builtins":
        yield from documented(type(thing))
    else:
        kind = type(thing).__name__
        raise ValueError(f"thing must be a name, a claim, a verdict, a structure or what a verb returned; got {kind}.")


def _used(result) -> Iterator[str]:
    """What a result stands on beside the package: its loss, its method, the structure that it names."""
    from ufm.solvers.methods.method import METHODS
    from ufm.structures.structure import structure_of

    loss, method = result.problem.loss, METHODS.members().get(str(getattr(result, "method", "")))
    if not (loss.cross_entropy or loss.quadratic):
        yield from documented(type(loss))
    if method is not None:
        yield from documented(method)
    structure = structure_of(getattr(result, "name", None))
    if structure is not None:
        yield from documented(structure.make)


def documented(thing) -> tuple[str, ...]:
    """The keys after `Source:` in the docstring of a function or a class, else in that of its module; else the
    package's.

    >>> from ufm import structures
    >>> documented(structures.petersen), documented(documented)
    (('bannai84', 'palais79'), ('ufm',))
    """
    known = references.references()
    for text in (inspect.getdoc(thing), getattr(sys.modules.get(thing.__module__), "__doc__", "")):
        said = " ".join(_SOURCES.findall(text or ""))
        found = dict.fromkeys(word for word in re.findall(r"[\w-]+", said) if word in known)
        if found:
            return tuple(found)
    return ("ufm",)


def _named(word: str) -> Iterator[str]:
    """The keys of what a word names: a source, a claim, a figure, a structure, a method, a loss."""
    if word in references.references():
        yield word
        return
    from ufm.losses import LOSSES
    from ufm.solvers.methods.method import METHODS
    from ufm.structures.structure import STRUCTURES

    for family in (STRUCTURES, METHODS, LOSSES):
        if word in family.members():
            thing = family.members()[word]
            yield from documented(getattr(thing, "make", thing))
            return
    cited = {name: one.key for members in _cited() for name, one in members.items()}
    known = bibliography()
    yield cited[word] if word in cited else families.choice("key", word, [*known, *cited] if ":" in word else known)
