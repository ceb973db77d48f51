"""What the checkers share: data that notice a changed digit, and precision that grows until a question is decided."""

from __future__ import annotations

from ufm.certificates.check.rejected import Rejected, Undecided
from ufm.numerics import balls
from ufm.numerics.records import fingerprint

CAP = 4096


def sealed(data: dict) -> dict:
    """data with the digest of its canonical text under `digest`.

    A digit of a witness can change without harm to the proof; the digest says that these are not the data that were
    checked.
    """
    return {**data, "digest": _digest(data)}


def opened(data: dict) -> dict:
    """data, or Rejected when they are not the ones that were sealed. Older certificates have no digest; those of orders
    have a `seal` of their inputs."""
    if "digest" in data and data["digest"] != _digest(data):
        raise Rejected("the data were changed after they were sealed.")
    if "seal" in data and data["seal"] != _seal(data):
        raise Rejected("the problem or a point was changed: the seal does not fit.")
    return data


def _digest(data: dict) -> str:
    return fingerprint({key: value for key, value in data.items() if key != "digest"})


def _seal(data: dict) -> str:
    sides = [
        {key: value for key, value in data[side].items() if key not in ("loss", "radius", "scales")}
        for side in ("left", "right")
    ]
    return fingerprint([data["problem"], *sides])[:32]


def decided(question):
    """question() in 128, 256, ... bits, until it does not raise Undecided."""
    bits = 128
    while True:
        try:
            with balls.precision(bits):
                return question()
        except Undecided as reason:
            if bits >= CAP:
                raise Undecided(f"{reason} (at {bits} bits)") from None
        bits *= 2


def at_least(model, lower: str) -> str:
    """The statement of a lower bound."""
    return f"F >= {lower} for every Z" + ("" if model.bias is None else " and b")


def proved_below(value, lower: str) -> None:
    """Rejected unless the number `lower` lies below the ball `value`."""
    if not value >= balls.ball(lower):
        raise Rejected(f"the lower bound {lower} is not below {value.str(20)}.")
