"""Pages as notebooks for a classroom: `python docs/notebooks.py` writes docs/notebooks/*.ipynb, executed.

    python docs/notebooks.py                 # convert and execute all of PAGES (needs nbformat, nbclient, ipykernel)
    python docs/notebooks.py --check  # exit 1 where a notebook in the folder is not the conversion of its page
        (standard library only)
    python docs/notebooks.py start.md        # one page

A page is text with snippets of `>>>` lines. Text becomes markdown cells; snippets become code cells without prompts,
cut after every expression so that its value is shown, for a notebook shows the last one alone. Beyond that:

* a snippet that must raise is wrapped in `try`, and prints what the error says;
* a line marked `+SKIP` is kept as a comment, since it writes a file or prints what differs between machines;
* a picture that the page assigns (`axes = ufm.plot...`) without showing it is shown;
* a picture that the page embeds below the snippet that draws it becomes its caption, for the notebook shows what it has
  drawn itself;
* links lead from docs/notebooks, and to the notebook of a page where there is one.
"""

from __future__ import annotations

import ast
import doctest
import json
import os
import posixpath
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS / "notebooks"
PAGES = ("start.md", "textbook/01_model.md", "textbook/03_collapse.md", "textbook/04_low_rank.md")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FENCE = re.compile(r"^```python\n(.*?)^```[ \t]*\n?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
DIRECTIVE = re.compile(r"[ \t]*#[ \t]*doctest:.*$", re.MULTILINE)


def convert(page: str) -> dict:
    """The notebook of a page, a path below docs, without outputs: nbformat 4.5 as plain dicts."""
    text = (DOCS / page).read_text(encoding="utf-8")
    said = (
        f"*Made from `docs/{page}` by `docs/notebooks.py`: change the page, not the notebook. It needs the package"
        " (`pip install .`) and Jupyter.*"
    )
    cells = [("markdown", said), ("code", "%matplotlib inline")]
    place = 0
    for block in FENCE.finditer(text):
        cells.append(("markdown", _linked(_captioned(text[place : block.start()].strip(), cells[-1]), page)))
        if ">>>" in block[1]:
            cells += [("code", source) for source in _code_cells(block[1])]
        else:
            cells.append(("markdown", block[0].strip()))
        place = block.end()
    cells.append(("markdown", _linked(_captioned(text[place:].strip(), cells[-1]), page)))
    made = [
        _cell(kind, source, f"{Path(page).stem}-{i}".replace("_", "-"))
        for i, (kind, source) in enumerate(cells)
        if source
    ]
    return {"cells": made, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def execute(notebook: dict) -> dict:
    """The same notebook with its outputs, in a fresh kernel; raises nbclient's CellExecutionError where a cell fails.
    Nothing of the machine is kept."""
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = {"kernel_name": "python3", "extra_arguments": ["--log-level=40"], "timeout": 300, "record_timing": False}
    NotebookClient(node, resources={"metadata": {"path": str(DOCS)}}, **settings).execute()
    done = json.loads(nbformat.writes(node))
    for before, after in zip(notebook["cells"], done["cells"], strict=True):
        after["metadata"], after["source"] = before["metadata"], before["source"]
        if "outputs" in after:
            after["outputs"] = joined_streams(after["outputs"])
    return {**done, "metadata": METADATA}


def joined_streams(outputs: list[dict]) -> list[dict]:
    """Neighbouring pieces of one stream as one output: how a kernel cuts what is printed is a matter of timing."""
    joined: list[dict] = []
    for output in outputs:
        if joined and output["output_type"] == "stream" and joined[-1].get("name") == output["name"]:
            joined[-1] = {**output, "text": "".join([*joined[-1]["text"], *output["text"]]).splitlines(keepends=True)}
        else:
            joined.append(output)
    return joined


def text_of(notebook: dict) -> str:
    """The file's text: sorted keys, one line per line of source."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def path_of(page: str) -> Path:
    """Where the notebook of a page lies."""
    return FOLDER / f"{Path(page).stem}.ipynb"


def sources(notebook: dict) -> list[tuple[str, str]]:
    """(kind, source) of every cell, what a conversion determines."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def stale(page: str) -> bool:
    """Whether the notebook in the folder is missing or is not the conversion of the page as it stands."""
    path = path_of(page)
    return not path.exists() or sources(json.loads(path.read_text(encoding="utf-8"))) != sources(convert(page))


def _cell(kind: str, source: str, id: str) -> dict:
    cell = {"cell_type": kind, "id": id, "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


def _code_cells(block: str) -> list[str]:
    """Sources of the cells of one snippet."""
    examples = doctest.DocTestParser().get_examples(block)
    cells, lines = [], []
    for i, example in enumerate(examples):
        source = DIRECTIVE.sub("", example.source).rstrip()
        after = examples[i + 1].source if i + 1 < len(examples) else ""
        lines.append(_adapted(example, source))
        if shown := _picture(source):
            if not re.match(rf"{shown}\b(\.figure)?\s*$", after):
                lines.append(f"{shown}.figure")
                cells, lines = [*cells, "\n".join(lines)], []
        elif _is_shown(example, source):
            cells, lines = [*cells, "\n".join(lines)], []
    return [*cells, "\n".join(lines)] if lines else cells


def _adapted(example: doctest.Example, source: str) -> str:
    if example.options.get(doctest.SKIP):
        return "\n".join(f"# {line}" for line in source.splitlines())
    if example.exc_msg is not None:
        kind = re.match(r"[\w.]+", example.exc_msg)[0]
        inner = "\n".join(f"    {line}" for line in source.splitlines())
        return f"try:\n{inner}\nexcept {kind} as error:\n    print(error)"
    return source


def _is_shown(example: doctest.Example, source: str) -> bool:
    """Whether the snippet's value or error is part of the page, so that a cell must end here."""
    if example.options.get(doctest.SKIP):
        return False
    return example.exc_msg is not None or isinstance(ast.parse(source).body[-1], ast.Expr)


def _picture(source: str) -> str | None:
    """The name to which a picture is assigned: `axes` for `axes = ufm.plot.logits(dnc)`, None for other statements."""
    statement = ast.parse(source).body[-1]
    if (
        not isinstance(statement, ast.Assign)
        or not isinstance(statement.value, ast.Call)
        or not isinstance(statement.targets[0], ast.Name)
    ):
        return None
    called = ast.unparse(statement.value.func)
    return (
        statement.targets[0].id
        if called.startswith("ufm.plot.") and called.rpartition(".")[2] not in ("save", "colour")
        else None
    )


def _captioned(text: str, before: tuple[str, str]) -> str:
    """Text whose first picture is a caption in italics where the cell before has just drawn it."""
    last = re.search(r"^(\w+)(?:\.figure)?\Z", before[1], re.MULTILINE)
    drawn = before[0] == "code" and last is not None and f"{last[1]} = ufm.plot." in before[1]
    return re.sub(r"\A!\[([^\]]*)\]\([^)]*\)", r"*\1*", text) if drawn else text


def _linked(text: str, page: str) -> str:
    """Links as they lead from docs/notebooks."""

    def moved(match: re.Match) -> str:
        target, hash, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        here = f"{Path(place).stem}.ipynb" if place in PAGES else f"../{place}"
        return f"{match[1]}{here}{hash}{anchor}{match[3]}"

    return LINK.sub(moved, text)


def main(arguments: list[str]) -> int:
    pages = [page for page in arguments if page != "--check"] or list(PAGES)
    if wrong := [page for page in pages if page not in PAGES]:
        print(f"no notebook is made of {', '.join(wrong)}; there are {', '.join(PAGES)}", file=sys.stderr)
        return 2
    if "--check" in arguments:
        old = [page for page in pages if stale(page)]
        print(
            "\n".join(f"stale: {path_of(page).relative_to(DOCS.parent)} is not docs/{page}" for page in old)
            or "all notebooks are those of their pages"
        )
        return bool(old)
    FOLDER.mkdir(exist_ok=True)
    for page in pages:
        path_of(page).write_text(text_of(execute(convert(page))), encoding="utf-8")
        print(path_of(page).relative_to(DOCS.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
