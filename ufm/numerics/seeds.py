"""Seeds that can be written down and replayed.

A run records a `seed_record`; handing that record back as `rng` gives the same numbers. Start i of
many always draws from child i, so result i depends neither on the number of starts nor on their order.
"""

from __future__ import annotations

import numbers

import numpy as np


def seed_sequence(rng=None) -> np.random.SeedSequence:
    """The SeedSequence meant by None, an int, a record, a SeedSequence or a Generator (which is advanced)."""
    if rng is None:
        return np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):
        return np.random.SeedSequence(entropy=rng.entropy, spawn_key=rng.spawn_key)
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence(int(rng.integers(2**63)))
    if isinstance(rng, dict) and "entropy" in rng:
        try:
            return np.random.SeedSequence(entropy=rng["entropy"], spawn_key=tuple(rng.get("spawn_key", ())))
        except (TypeError, ValueError):
            pass
    if isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and int(rng) >= 0:
        return np.random.SeedSequence(int(rng))
    raise ValueError(
        f"rng must be None, a non-negative integer, a numpy Generator or SeedSequence, or a recorded seed; got {rng!r}."
    )


def child(seed: np.random.SeedSequence, i: int) -> np.random.SeedSequence:
    """Child i of a seed, without changing the seed."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, i))


def seed_record(seed: np.random.SeedSequence) -> dict:
    """A JSON-able record from which `seed_sequence` makes the same seed."""
    return {"entropy": seed.entropy, "spawn_key": list(seed.spawn_key)}


def generator(seed: np.random.SeedSequence) -> np.random.Generator:
    """A fresh PCG64 generator at the start of its stream."""
    return np.random.Generator(np.random.PCG64(seed))
