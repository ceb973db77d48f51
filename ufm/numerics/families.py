"""Open families (losses, structures, methods, ...): whatever is in a folder of the package, in a file that the user
names, or in an installed package is found, and nothing has to be registered.

A *member* is a value at the top of a module that a family recognises: a class of its kind defined there, or an object
of its kind. Three places are searched, in this order:

    own            the modules of the family's folder
    used           files named with `use(path)`, `--from PATH` or the environment variable UFM_FROM
    installed      the entry points of the group `ufm.<family>`, each a member or a module that holds some

One file may hold members of several families. It becomes a module of `ufm.contributed`, so that its functions and the
objects of its classes can be sent to other processes, which find the same files through UFM_FROM.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from ufm.numerics import arguments, words

FROM = "UFM_FROM"
"""Environment variable with the paths in use, so that processes started from here find the same members."""
CONTRIBUTED = "ufm.contributed."
"""How the names of the modules made of files in use begin."""

_used: dict[str, tuple[str, ModuleType]] = {}
"""Absolute path of a file in use: (digest of its text, the module made of it). Like Python's own table of modules, it
belongs to the process."""
_running: set[str] = set()
"""Files that are being run: what they import may ask for members."""


class Unknown(ValueError):
    """A name that nothing has which is known here: it may be that of a contribution whose file is not in use."""


def choice(said: str, name, known: Iterable[str]) -> str:
    """One of the known names, or Unknown that lists the nearest and says how the files of others come in."""
    try:
        return arguments.choice(said, name, known)
    except ValueError as mistake:
        raise Unknown(f"{mistake} One from a file of your own needs that file: --from FILE, ufm.use(FILE).") from None


Member = TypeVar("Member")


@dataclass(frozen=True)
class Family(Generic[Member]):
    """One kind of thing that can be contributed.

    name: its plural, which is also the group of its entry points, `ufm.<name>`. own: names of the modules that hold
    the package's own members. member: whether a value is one. called: the name of a member. first: names that lead.
    """

    name: str
    own: Callable[[], Iterable[str]]
    member: Callable[[object], bool]
    called: Callable[[Any], str]
    first: tuple[str, ...] = ()

    def members(self) -> dict[str, Member]:
        """Name -> member, those of `first` first and then by name. ValueError where two have one name."""
        return dict(self._found(_state()))

    def get(self, name: str, said: str = "") -> Member:
        """The member of this name, `said` being the argument that has it; Unknown, which lists the nearest."""
        members = self.members()
        return members[choice(said or self.name, name, members)]

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a family lives as long as the process)
    def _found(self, state) -> tuple[tuple[str, Member], ...]:
        found: dict[str, tuple[Member, str]] = {}
        for module, value in self._walk():
            name = self.called(value)
            if name in found and found[name][0] is not value:
                raise ValueError(f"{self.name}: the name {name!r} is taken twice, in {found[name][1]} and in {module}.")
            found[name] = value, module
        order = sorted(found, key=lambda name: (self._place(name), name))
        return tuple((name, found[name][0]) for name in order)

    def _place(self, name: str) -> int:
        return self.first.index(name) if name in self.first else len(self.first)

    def _walk(self) -> Iterator[tuple[str, Member]]:
        for name in self.own():
            yield from self._of(importlib.import_module(name))
        for _, module in _used.values():
            yield from self._of(module)
        for entry in entry_points(f"ufm.{self.name}"):
            value = _loaded(entry)
            if isinstance(value, ModuleType):
                yield from self._of(value)
            elif value is not None and self.member(value):
                yield entry.value, value

    def _of(self, module: ModuleType) -> Iterator[tuple[str, Member]]:
        """The members of a module; a class that it only imports is another module's."""
        where = getattr(module, "__file__", module.__name__)
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ != module.__name__:
                continue
            for one in value if isinstance(value, (tuple, list)) else (value,):
                if self.member(one):
                    yield where, cast(Member, one)


def modules_in(package: str) -> list[str]:
    """The names of the modules directly in a folder of the package."""
    folder = importlib.import_module(package)
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folder.__path__) if not module.ispkg]


@words.named_arguments
def use(path: str | os.PathLike) -> tuple[str, ...]:
    """Take up the contributions in a Python file, or in every Python file of a folder; the files, by absolute path.

    The files are run, as an import runs them. A file that changed since is read again. Raises ValueError naming the
    path where there is nothing to read, or where a file cannot be run, with the reason.
    """
    files = _files(path)
    for file in files:
        _take(file)
    os.environ[FROM] = os.pathsep.join(_used)
    return tuple(files)


def used() -> tuple[str, ...]:
    """The files in use, for processes that should find the same members (`use` each of them there)."""
    _from_environment()
    return tuple(_used)


def forget() -> None:
    """Put down every file in use, here and for processes started from here."""
    for _, module in _used.values():
        sys.modules.pop(module.__name__, None)
    _used.clear()
    os.environ.pop(FROM, None)


def _files(path, said: str = "from") -> list[str]:
    if not isinstance(path, (str, os.PathLike)) or not str(path).strip() or "\0" in str(path):
        raise ValueError(f"{said} must name a Python file (.py) or a folder of them; got {path!r}.")
    where = Path(path).expanduser().resolve()
    if where.is_dir():
        files = sorted(str(file) for file in where.glob("*.py") if not file.name.startswith(("_", "test_", "conftest")))
        if not files:
            raise ValueError(f"{said} must name a Python file or a folder with some; there is none in {str(path)!r}.")
        return files
    if not where.is_file() or where.suffix != ".py":
        raise ValueError(f"{said} must name a Python file (.py) or a folder of them; got {str(path)!r}.")
    return [str(where)]


def _take(file: str) -> None:
    try:
        text = Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"from: {file} cannot be read: {error.strerror}.") from None
    digest = hashlib.sha256(text).hexdigest()
    if file in _running or (file in _used and _used[file][0] == digest):
        return
    stem = re.sub(r"\W", "_", Path(file).stem)
    name = f"{CONTRIBUTED}{stem}_{hashlib.sha256(file.encode()).hexdigest()[:8]}"
    loader = SourceFileLoader(name, file)
    spec = ModuleSpec(name, loader, origin=file)
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    _running.add(file)
    try:
        exec(loader.source_to_code(text, file), vars(module))  # as an import does, but past its cache on disk
    except (Exception, SystemExit) as error:
        sys.modules.pop(name) if before is None else sys.modules.update({name: before})
        raise ValueError(f"from: {file} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        _running.discard(file)
    _used[file] = digest, module


def _from_environment() -> None:
    for path in os.environ.get(FROM, "").split(os.pathsep):
        for file in _files(path, FROM) if path and path not in _used else ():
            if file not in _used:
                _take(file)


def _state() -> tuple:
    """What the members of a family depend on: the files in use, by what they say."""
    _from_environment()
    return tuple((file, digest) for file, (digest, _) in _used.items())


def entry_points(group: str) -> tuple:
    """The entry points that installed packages have in a group."""
    return _entry_points().get(group, ())


@functools.cache
def _entry_points() -> dict:
    """The entry points of the groups `ufm.*`, by group."""
    from importlib import metadata

    points = metadata.entry_points()
    return {group: tuple(points.select(group=group)) for group in points.groups if group.startswith("ufm.")}


def _loaded(entry):
    """What an entry point names; None, with a warning, where an installed package cannot be loaded."""
    try:
        return entry.load()
    except Exception as error:
        warnings.warn(f"{entry.group}: {entry.value} cannot be loaded: {type(error).__name__}: {error}", stacklevel=2)
        return None
