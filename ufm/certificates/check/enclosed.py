"""What is proved of a point: balls of its loss, scales and singular values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Enclosed:
    """Balls that contain the loss F, the scales, and the singular values with multiplicities."""

    loss: object
    scales: tuple
    singular_values: tuple
