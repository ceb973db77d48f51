"""The few array operations a batch needs, on numpy, torch, cupy or any namespace of the array API (2023.12).

Rows are starts. Bookkeeping (one number per start) stays in numpy on the host; arrays with a start's coordinates live
in the namespace `xp` on its device. numpy alone needs no further package; everything else goes through
array-api-compat.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ufm.numerics import install


@dataclass(frozen=True)
class Arrays:
    """A namespace of float64 arrays on one device."""

    xp: ModuleType
    device: object = None

    def __reduce__(self):
        return (namespace, ()) if self.host else (namespace, (self.device, self.xp))

    @functools.cached_property
    def host(self) -> bool:
        """True for plain numpy, where results may be written into buffers."""
        return self.xp is np

    def put_in(self, a):
        """A numpy array in this namespace; booleans and integers keep their kind."""
        a = np.ascontiguousarray(a)
        return a if self.host else self.xp.asarray(a.copy(), device=self.device)

    def take_out(self, a) -> np.ndarray:
        """The numpy array of one of this namespace."""
        if self.host:
            return a
        import array_api_compat

        if array_api_compat.is_array_api_obj(a) and not array_api_compat.is_array_api_strict_namespace(self.xp):
            if array_api_compat.is_cupy_array(a):
                return np.asarray(a.get())  # pyright: ignore[reportAttributeAccessIssue] CuPy's own
            return np.asarray(array_api_compat.to_device(a, "cpu"))
        return np.from_dlpack(a)  # pyright: ignore[reportArgumentType] what has no namespace that is known

    def rows(self, a, index):
        """a[index] for a numpy index of rows."""
        return a[index] if self.host else self.xp.take(a, self.put_in(index), axis=0)

    def put_rows(self, a, index, rows):
        """a with a[index] = rows; numpy arrays are changed in place."""
        if self.host:
            a[index] = rows
            return a
        order = np.arange(a.shape[0])
        order[index] = a.shape[0] + np.arange(len(index))
        return self.xp.take(self.xp.concat([a, rows], axis=0), self.put_in(order), axis=0)

    def dot(self, a, b):
        """Row by row inner products over the last axis, whose leading axes broadcast."""
        if self.host:
            return np.vecdot(a, b)
        a, b = self.xp.broadcast_arrays(a, b)
        return self.xp.vecdot(a, b, axis=-1)

    def matmul(self, a, b, out=None):
        return np.matmul(a, b, out=out) if self.host else self.xp.matmul(a, b)

    def transpose(self, a):
        return np.swapaxes(a, -1, -2) if self.host else self.xp.matrix_transpose(a)

    def zeros(self, shape):
        return np.zeros(shape) if self.host else self.xp.zeros(shape, dtype=self.xp.float64, device=self.device)

    @property
    def name(self) -> str:
        where = "" if self.device is None else f" on {self.device}"
        return "numpy" if self.host else self.xp.__name__.removeprefix("array_api_compat.") + where


NUMPY = Arrays(np)


def namespace(device=None, xp=None) -> Arrays:
    """The arrays meant by `device` or `xp`: nothing for numpy, a name like `torch`, `torch:cuda:0`, `cupy`, or a
    namespace.

    Raises ValueError for other devices, ImportError naming the package or the extra that is missing.
    """
    if xp is None and device in (None, "numpy"):
        return NUMPY
    if xp is np:
        if device not in (None, "numpy", "cpu"):
            raise ValueError(f"device must be None, 'numpy' or 'cpu' with xp=numpy; got device={device!r}.")
        return NUMPY
    if xp is None:
        package, _, where = str(device).partition(":")
        if package not in ("torch", "cupy"):
            raise ValueError(
                f"device must be 'numpy', 'torch', 'torch:cuda', 'cupy' or given with xp; got device={device!r}."
            )
        where = (int(where) if where.isdigit() else where) or None
        return Arrays(*_compat(package, where))
    return Arrays(_wrapped(xp), device)


def _compat(package: str, where):
    import importlib.util

    _need_compat()
    try:
        xp = importlib.import_module(f"array_api_compat.{package}")
    except ImportError as error:
        if importlib.util.find_spec(package) is None:
            raise install.missing(f"device={package!r}", package) from None
        raise ImportError(
            f"device={package!r} needs the package {package}, which cannot be imported: {error}"
        ) from None
    if package == "cupy" and where is not None:
        where = xp.cuda.Device(where)
    return xp, where


def _wrapped(xp):
    compat = _need_compat()
    return compat.array_namespace(xp.zeros(1))


def _need_compat():
    try:
        import array_api_compat
    except ImportError:
        raise install.missing("a batch in other arrays than numpy's", "array-api-compat", "gpu") from None
    return array_api_compat
