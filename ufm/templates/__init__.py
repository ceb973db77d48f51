"""What `ufm new KIND NAME` writes: one Python file of each kind, which runs as it is.

A template is a module whose names are `example`, `Example` and `EXAMPLE`; a skeleton is its text with these renamed.
Packages add kinds through the entry-point group `ufm.templates`: a `Template`, or a module that holds some. Needs no
numpy.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import keyword
import re
import shlex
import tokenize
from dataclasses import dataclass
from pathlib import Path

from ufm.numerics import arguments
from ufm.numerics.families import Family

PLACEHOLDERS = ("example", "Example", "EXAMPLE")


@dataclass(frozen=True)
class Template:
    """One kind of contribution.

    kind: the word for it. module: the template's. family: where its members are, `module:NAME`. next: what to type
    next, with {name} and {file}. called: what the member is called, with {name}.
    """

    kind: str
    module: str
    family: str
    next: tuple[str, ...]
    called: str = "{name}"

    def text(self) -> str:
        """The text of the template; it is not run."""
        spec = importlib.util.find_spec(self.module)
        return Path(str(spec and spec.origin)).read_text(encoding="utf-8")

    def members(self) -> dict[str, object]:
        """What there is of this kind already, by name."""
        module, _, name = self.family.partition(":")
        return getattr(importlib.import_module(module), name).members()


LOSS = Template(
    "loss",
    "ufm.templates.loss",
    "ufm.losses:LOSSES",
    (
        "ufm compare -K 4 -L 2 --lam 0.01 --loss {name} --from {file}",
        "ufm basins -K 4 -L 2 --lam 0.01 --loss '{name}(0.5)' --starts 20 --from {file}",
    ),
)
STRUCTURE = Template(
    "structure",
    "ufm.templates.structure",
    "ufm.structures:STRUCTURES",
    ("ufm compare -K 8 -L 3 --lam 1e-4 --from {file}", "ufm certify -K 8 -L 3 --lam 1e-4 --what order --from {file}"),
)
METHOD = Template(
    "method",
    "ufm.templates.method",
    "ufm.solvers.methods.method:METHODS",
    (
        "ufm solve -K 4 -L 2 --lam 0.01 --method {name} --from {file}",
        "ufm basins -K 4 -L 2 --lam 0.01 --method {name} --starts 20 --from {file}",
    ),
)
CERTIFICATE = Template(
    "certificate",
    "ufm.templates.certificate",
    "ufm.certificates.kind:CERTIFICATES",
    (
        "ufm certify -K 4 -L 2 --lam 0.01 --what {name} --save proofs.json --from {file}",
        "ufm certify --check proofs.json --from {file}",
    ),
)
SOURCE = Template(
    "source",
    "ufm.templates.source",
    "ufm.landscapes.sources.source:SOURCES",
    (
        "ufm compare -K 4 -L 2 --lam 0.02 --starts 0 --from {file}",
        "ufm landscape -K 4 -L 2 --lam 0.02 --starts 0 --from {file}",
    ),
)
TEMPLATES: Family[Template] = Family(
    "templates",
    lambda: ["ufm.templates"],
    lambda value: isinstance(value, Template),
    lambda template: template.kind,
    ("loss", "structure", "method", "certificate", "source", "claim", "figure"),
)


def new(kind: str, name: str, folder: str | Path = ".") -> Path:
    """Write the skeleton of a kind under a name to `folder/name.py`; the file.

    Raises ValueError, before anything is written, for an unknown kind, a name that is none or is taken, and a file that
    exists.
    """
    from ufm.numerics.files import write_atomically

    templates = TEMPLATES.members()
    template = templates[arguments.choice("kind", kind, templates)]
    text = skeleton(template, name)
    path = Path(folder) / f"{name}.py"
    if path.exists():
        raise ValueError(f"file {str(path)!r} exists and is not overwritten; take another name or folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda stream: stream.write(text.encode()))
    return path


def skeleton(template: Template, name: str) -> str:
    """The template's text under a name."""
    if not (isinstance(name, str) and name.isidentifier() and name.islower() and name.isascii()):
        raise ValueError(f"name must be a Python identifier in small letters, as huber or my_loss; got name={name!r}.")
    text = template.text()
    renamed: dict[str, str] = dict(zip(PLACEHOLDERS, (name, name.title().replace("_", ""), name.upper()), strict=True))
    words = tokenize.generate_tokens(io.StringIO(text).readline)
    known = {word.string for word in words if word.type == tokenize.NAME} - set(PLACEHOLDERS)
    if keyword.iskeyword(name) or known & set(renamed.values()):
        raise ValueError(f"name stands for something else in the skeleton of a {template.kind}; got name={name!r}.")
    if template.called.format(name=name) in template.members():
        raise ValueError(f"name is taken: there is a {template.kind} {name!r}; take another.")
    return re.sub("|".join(rf"\b{word}\b" for word in PLACEHOLDERS), lambda word: renamed[word[0]], text)


def next_steps(kind: str, name: str, path: str | Path) -> list[str]:
    """What to type next."""
    template = TEMPLATES.members()[kind]
    return [line.format(name=name, file=shlex.quote(str(path))) for line in template.next]
