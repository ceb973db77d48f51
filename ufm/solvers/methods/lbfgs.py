"""L-BFGS with Newton's finish."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.solvers.methods.method import Method, setting, whole


@dataclass(frozen=True)
class LBFGS(Method):
    """Quasi-Newton steps, finished by Newton on the rank stratum (linear models), on kinks (relu, leaky_relu) or in
    factors (smooth activations).

    Source: nocedal06.
    """

    name = "lbfgs"
    title = "L-BFGS"
    space = "reduced"
    finished = True

    max_steps: int = setting(10_000, whole, "most steps")
    pairs: int = setting(10, whole, "stored pairs of L-BFGS")

    @property
    def arrays(self) -> int:
        return 4 * self.pairs

    def run(self, chunk) -> None:
        from ufm.solvers import finish

        finish.run_lbfgs(self, chunk)
