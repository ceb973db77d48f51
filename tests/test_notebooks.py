"""Notebooks are their pages: sources as converted, outputs as the pages say, nothing of any machine inside."""

import base64
import doctest
import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
SPEC = importlib.util.spec_from_file_location("docs_notebooks", DOCS / "notebooks.py")
notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(notebooks)

PAGES = notebooks.PAGES
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|usr|opt|work|var|mnt|Users)/|[A-Z]:\\\\")


def committed(page: str) -> dict:
    return json.loads(notebooks.path_of(page).read_text(encoding="utf-8"))


def outputs(notebook: dict) -> list[dict]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def said(notebook: dict) -> list[str]:
    """What every code cell printed or showed, as text, in order."""
    texts = []
    for output in outputs(notebook):
        parts = output["text"] if output["output_type"] == "stream" else output["data"].get("text/plain", [])
        texts.append("".join(parts))
    return texts


def unanswered(page: str, notebook: dict) -> list[str]:
    """Snippets of the page whose promised output is not among the notebook's, in order."""
    texts, missing = iter(said(notebook)), []
    for example in doctest.DocTestParser().get_examples((DOCS / page).read_text(encoding="utf-8")):
        if example.options.get(doctest.SKIP) or not (example.want or example.exc_msg):
            continue
        want = example.want if example.exc_msg is None else example.exc_msg.split(": ", 1)[1]
        if not any(doctest.OutputChecker().check_output(want, text.rstrip("\n") + "\n", FLAGS) for text in texts):
            missing.append(example.source)
            texts = iter(said(notebook))
    return missing


@pytest.mark.parametrize("page", PAGES)
def test_the_notebook_is_the_conversion_of_its_page(page):
    assert not notebooks.stale(page), (
        f"{notebooks.path_of(page).name} is older than docs/{page}: python docs/notebooks.py"
    )
    found, made = committed(page), notebooks.convert(page)
    bare = [
        {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in found["cells"]
    ]
    assert {**found, "cells": bare} == made
    assert notebooks.path_of(page).read_text(encoding="utf-8") == notebooks.text_of(found)


@pytest.mark.parametrize("page", PAGES)
def test_the_notebook_was_executed_and_holds_what_the_page_promises(page):
    found = committed(page)
    counts = [cell["execution_count"] for cell in found["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert {output["output_type"] for output in outputs(found)} <= {"stream", "execute_result", "display_data"}
    assert all(output.get("name") != "stderr" for output in outputs(found))
    assert unanswered(page, found) == []
    pictures = [output["data"]["image/png"] for output in outputs(found) if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2 and all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize("page", PAGES)
def test_the_notebook_says_nothing_of_a_machine(page):
    text = notebooks.path_of(page).read_text(encoding="utf-8")
    assert MACHINE.search(re.sub(r'"image/png": "[^"]*"', "", text)) is None
    assert set(committed(page)["metadata"]) == {"kernelspec", "language_info"}
    assert not re.search(r"\bat 0x[0-9a-f]+", "".join(said(committed(page))))
    assert len(text) < 1_000_000


def test_machine_paths_and_missing_answers_are_seen():
    for path in ("/home/ada/ufm", 'File "/tmp/x.py"', "/root/.cache/"):
        assert MACHINE.search(path)
    for fine in ("https://example.org/home/page", "../usr/x", "a/b"):
        assert not MACHINE.search(fine)
    page, found = PAGES[0], committed(PAGES[0])
    first = next(output for output in outputs(found) if "text/plain" in output.get("data", {}))
    first["data"]["text/plain"] = ["minimise something else"]
    assert unanswered(page, found)


def test_no_page_of_the_folder_is_forgotten():
    assert {path.name for path in notebooks.FOLDER.glob("*.ipynb")} == {notebooks.path_of(page).name for page in PAGES}


# ------------------------------------------------------------------------------------------------ the converter


PAGE = """# A page

Text with a [chapter](textbook/01_model.md#here), a [page](choosing.md), the [start](start.md), [itself](#far), [out](https://example.org)
and ![a picture](images/duel.png).

```python
>>> import ufm
>>> problem = ufm.Problem(K=4, L=2,
...                       lam=0.01)
>>> problem.K
4
>>> problem.L, problem.n
(2, 1)

```

```bash
ufm compare -K 4
```

```python
>>> ufm.Problem(K=1, lam=0.1)
Traceback (most recent call last):
    ...
ValueError: K must be ...
>>> axes = ufm.plot.logits(ufm.structures.dnc(problem))
>>> ufm.plot.save(axes.figure, "f.pdf")   # doctest: +SKIP
>>> ax = ufm.plot.logits(ufm.structures.dnc(problem))
>>> ax.figure
<Figure size ...>
>>> round(0.1 + 0.2, 3)   # doctest: +ELLIPSIS
0.3

```

The end.
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    (tmp_path / "start.md").write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(notebooks, "DOCS", tmp_path)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    return tmp_path


def test_snippets_become_cells_that_end_where_something_is_shown(page):
    made = notebooks.convert("start.md")
    code = [source for kind, source in notebooks.sources(made) if kind == "code"]
    assert code == [
        "%matplotlib inline",
        "import ufm\nproblem = ufm.Problem(K=4, L=2,\n                      lam=0.01)\nproblem.K",
        "problem.L, problem.n",
        "try:\n    ufm.Problem(K=1, lam=0.1)\nexcept ValueError as error:\n    print(error)",
        "axes = ufm.plot.logits(ufm.structures.dnc(problem))\naxes.figure",
        '# ufm.plot.save(axes.figure, "f.pdf")\nax = ufm.plot.logits(ufm.structures.dnc(problem))\nax.figure',
        "round(0.1 + 0.2, 3)",
    ]
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id) for id in ids)
    for source in code[1:]:
        compile(source, "cell", "exec")


@pytest.mark.parametrize("drawn, shown", [("logits(dnc)", "axes.figure"), ("comparison(duel)", "axes")])
def test_embedded_pictures_become_captions_of_drawn_ones(page, drawn, shown):
    picture = "![the duel](images/duel.png)"
    block = f"```python\n>>> axes = ufm.plot.{drawn}\n>>> {shown}\n<Figure size ...>\n\n```\n\n"
    (page / "start.md").write_text(f"{picture}\n\n{block}{picture}\n\nText. {picture}\n", encoding="utf-8")
    text = [source for kind, source in notebooks.sources(notebooks.convert("start.md")) if kind == "markdown"]
    assert text[1:] == ["![the duel](../images/duel.png)", "*the duel*\n\nText. ![the duel](../images/duel.png)"]


def test_pieces_of_a_stream_become_one_output():
    def said(name, *lines):
        return {"output_type": "stream", "name": name, "text": list(lines)}

    result = {"output_type": "execute_result", "data": {}}
    pieces = [
        said("stdout", "a\n"),
        said("stdout", "b"),
        said("stdout", "c\n"),
        said("stderr", "d\n"),
        result,
        said("stdout", "e\n"),
    ]
    assert notebooks.joined_streams(pieces) == [
        said("stdout", "a\n", "bc\n"),
        said("stderr", "d\n"),
        result,
        said("stdout", "e\n"),
    ]


def test_text_keeps_its_commands_and_its_links_lead_somewhere(page):
    text = "\n".join(source for kind, source in notebooks.sources(notebooks.convert("start.md")) if kind == "markdown")
    for link in (
        "(01_model.ipynb#here)",
        "(../choosing.md)",
        "(start.ipynb)",
        "(#far)",
        "(https://example.org)",
        "(../images/duel.png)",
    ):
        assert link in text
    assert "ufm compare -K 4" in text and ">>>" not in text and text.endswith("The end.")


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_real_notebooks_exist(name):
    for kind, source in notebooks.sources(notebooks.convert(name)):
        for _, target, _ in notebooks.LINK.findall(source) if kind == "markdown" else ():
            place = target.partition("#")[0]
            assert not place or re.match("[a-z]+:", place) or (DOCS / "notebooks" / place).exists(), f"{name}: {target}"


def test_a_changed_page_and_a_missing_notebook_are_stale(page, capsys):
    notebooks.FOLDER.mkdir()
    assert notebooks.stale("start.md") and notebooks.main(["--check", "start.md"]) == 1
    notebooks.path_of("start.md").write_text(notebooks.text_of(notebooks.convert("start.md")), encoding="utf-8")
    assert not notebooks.stale("start.md") and notebooks.main(["--check", "start.md"]) == 0
    for before, after in (("problem.K\n", "problem.L\n"), ("The end.", "An end.")):
        (page / "start.md").write_text(PAGE.replace(before, after), encoding="utf-8")
        assert notebooks.stale("start.md")
    assert notebooks.main(["choosing.md"]) == 2
    assert "stale" in (said := capsys.readouterr()).out and "choosing.md" in said.err


# ------------------------------------------------------------------------------------------------ execution


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES)
def test_the_notebook_runs_and_says_the_same(page):
    for module in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(module)
    done = notebooks.execute(notebooks.convert(page))
    assert unanswered(page, done) == [] and notebooks.sources(done) == notebooks.sources(notebooks.convert(page))
    assert [sorted(output.get("data", [])) for output in outputs(done)] == [
        sorted(output.get("data", [])) for output in outputs(committed(page))
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_page_that_is_wrong_does_not_become_a_notebook(page):
    for module in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(module)
    from nbclient.exceptions import CellExecutionError

    (page / "start.md").write_text(PAGE.replace("problem.K\n", "problem.nothing\n"), encoding="utf-8")
    with pytest.raises(CellExecutionError, match="nothing"):
        notebooks.execute(notebooks.convert("start.md"))
