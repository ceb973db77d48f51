"""What is proved of a point: balls of its loss, scales and singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Enclosed:
    """Balls that contain the loss F, the scales, and the singular values with multiplicities."""

    loss: Any
    scales: tuple
    singular_values: tuple
