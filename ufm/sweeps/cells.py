"""One task of a sweep, and what is known of it before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics.records import fingerprint


@dataclass(frozen=True)
class Cell:
    """One task: a verb on a problem with settings; `repeat` counts copies that differ by their seed alone.

    key: a hash of everything that determines the result, and nothing else: not the place in the grid.
    """

    verb: str
    problem: dict
    settings: dict
    repeat: int
    rng: int

    @property
    def key(self) -> str:
        return fingerprint(self.to_dict())[:24]

    def to_dict(self) -> dict:
        return {
            "verb": self.verb,
            "problem": self.problem,
            "settings": self.settings,
            "repeat": self.repeat,
            "rng": self.rng,
        }


def as_arguments(problem: dict) -> dict:
    """Lists as tuples, as Problem wants them."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in problem.items()}
