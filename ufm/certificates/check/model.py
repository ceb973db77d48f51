"""The problem as a certificate states it: whole numbers and exact texts, read in ball arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls
from ufm.numerics.records import picked


@dataclass(frozen=True)
class Model:
    """min g(Z) + sum_l (lam_l/2)||A_l||^2 + (bias/2)||b||^2 with K classes of n_c samples and L linear layers.

    n: (n_1, ..., n_K); d: (d_1, ..., d_L); lam: (lam_0, ..., lam_L) exact texts; loss by name (`ce`, `mse`,
    `label_smoothing(0.1)`); bias: exact text or None. Only linear activations.
    """

    K: int
    n: tuple[int, ...]
    d: tuple[int, ...]
    L: int
    lam: tuple[str, ...]
    loss: str = "ce"
    bias: str | None = None

    @property
    def D(self) -> int:
        return self.L + 1

    @property
    def N(self) -> int:
        return sum(self.n)

    @property
    def balanced(self) -> bool:
        return len(set(self.n)) == 1

    @property
    def max_rank(self) -> int:
        return min(self.K, *self.d)

    def Lam(self):
        """(prod lam_l)^(1/D), a ball; exact where all lam_l are one text."""
        if len(set(self.lam)) == 1:
            return balls.ball(self.lam[0])
        product = balls.ball(1)
        for lam in self.lam:
            product *= balls.ball(lam)
        return product.root(self.D)

    def C(self):
        """C = (D/2) Lam n^(1/D) of the normal form g + C sum s_i^(2/D) on class means; balanced problems only."""
        return self.Lam() * self.D / 2 * balls.ball(self.n[0]).root(self.D)

    def words(self) -> str:
        """`K=4, n=1, d=4, L=2, lam=1/75, cross-entropy, linear layers`."""
        n, d, lam = (
            values[0] if len(set(values)) == 1 else f"({', '.join(map(str, values))})"
            for values in (self.n, self.d, self.lam)
        )
        loss = {"ce": "cross-entropy", "mse": "MSE"}.get(self.loss, self.loss)
        bias = "" if self.bias is None else f", bias weight {self.bias}"
        return f"K={self.K}, n={n}, d={d}, L={self.L}, lam={lam}, {loss}, linear layers{bias}"

    def to_dict(self) -> dict:
        lists = {name: list(values) for name, values in picked(self, "n d lam").items()}
        return picked(self, "K n d L lam loss bias") | lists

    @staticmethod
    def of(data: dict) -> Model:
        """The problem that a certificate's data state, under `problem` (`model` in older ones). Raises Rejected."""
        return Model.from_dict(data["problem"] if "problem" in data else data["model"])

    @staticmethod
    def from_dict(data: dict) -> Model:
        """Raises Rejected unless every field is there, of the right length, with lam > 0."""
        try:
            K, L = data["K"], data["L"]
            model = Model(K, tuple(data["n"]), tuple(data["d"]), L, tuple(data["lam"]), data["loss"], data["bias"])
            whole = [K, L, *model.n, *model.d]
            fits = len(model.n) == K >= 2 and len(model.d) == L >= 1 and len(model.lam) == L + 1
            good = fits and all(type(v) is int and v >= 1 for v in whole) and all(isinstance(t, str) for t in model.lam)
            if not good or not all(balls.ball(t) > 0 for t in model.lam):
                raise Rejected(f"the problem is not one: {data}")
            if model.bias is not None and not balls.ball(model.bias) >= 0:
                raise Rejected(f"bias must not be negative; got {model.bias}.")
            return model
        except (KeyError, TypeError, ValueError) as error:
            raise Rejected(f"the problem cannot be read: {error}") from None
