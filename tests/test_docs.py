"""The documentation site: every page is reached, every link leads somewhere, every public name and every claim is
there; and it builds."""

import doctest
import fnmatch
import hashlib
import importlib
import importlib.util
import inspect
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from theory.references import references
from theory.registry import claims

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.append(str(DOCS / "_ext"))
docstrings, public_names, site_check, site_pages, theory_results = map(
    importlib.import_module, ("docstrings", "public_names", "site_check", "site_pages", "theory_results")
)

BUILT = ("_build", "auto_gallery", "gallery")
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0] not in BUILT)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
NEEDED = ("sphinx", "myst_parser", "pydata_sphinx_theme", "sphinx_gallery", "sphinxcontrib.bibtex")


def prose(text):
    """The text without fenced code and code in backquotes."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(page):
    """What `page.md#...` may name: headings as GitHub spells them, and the claims of a page of claims."""
    text = page.read_text(encoding="utf-8")
    heads = re.findall(r"^#+ +(.*?) *$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", head).lower()).replace(" ", "-") for head in heads}
    keys = re.findall(r"^```\{claims\} (\S+)", text, re.MULTILINE)
    return slugs | {claim.id.replace(":", "-") for claim in claims() if claim.id.split(":")[0] in keys}


def dead_links(page, text):
    """Relative links of a page to files or headings that are not there. The gallery is there once it is built."""
    for address in LINK.findall(prose(text)):
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in address or address.startswith("mailto:") or target.is_relative_to(DOCS / "auto_gallery"):
            continue
        found = next((t for t in (target, target.with_suffix(".rst")) if t.exists()), None)
        if found is None or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            yield address


def reached():
    """Names of the pages that tables of contents lead to, from the index on."""
    everything = [page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES]
    top = site_pages.written((DOCS / "index.md").read_text(encoding="utf-8"))
    found, left = {"index"}, ["index"]
    while left:
        name = left.pop()
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        entries = site_pages.written(text) + (site_pages.contents(text, top) if name.endswith("/index") else [])
        base = Path(name).parent
        patterns = [
            (DOCS / entry[1:] if entry[0] == "/" else DOCS / base / entry).resolve().relative_to(DOCS).as_posix()
            for entry in entries
        ]
        new = {page for page in everything for pattern in patterns if fnmatch.fnmatchcase(page, pattern)} - found
        found, left = found | new, [*left, *new]
    return found


def test_settings_can_be_read_without_sphinx(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = runpy.run_path(str(DOCS / "conf.py"))
    assert settings["html_theme"] == "pydata_sphinx_theme" and (DOCS / "_static" / settings["mathjax_path"]).is_file()
    digest = hashlib.sha256((DOCS / "_static" / settings["mathjax_path"]).read_bytes()).hexdigest()
    assert digest in (DOCS / "_static" / "mathjax" / "README.txt").read_text(encoding="utf-8")


def test_every_page_is_in_a_table_of_contents():
    everything = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    assert sorted(everything - reached()) == [], (
        "link these pages from the index.md of docs/howto or docs/textbook, or list them in that of docs/theory"
    )


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_between_pages_lead_somewhere(page):
    assert list(dead_links(page, page.read_text(encoding="utf-8"))) == []


def test_a_dead_link_is_seen():
    text = (
        "[a](start.md), [b](nowhere.md), [c](start.md#solve), [d](start.md#nowhere), `[e](code.md)`,"
        " [f](https://example.org), [g](theory/gk25.md#gk25-thm1)"
    )
    assert list(dead_links(DOCS / "here.md", text)) == ["nowhere.md", "start.md#nowhere"]


def test_links_to_images_lead_somewhere():
    for page in (*PAGES, ROOT / "README.md"):
        for address in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
            assert (page.parent / address).is_file(), f"{page}: {address}"


def test_every_public_name_is_in_the_reference():
    found = public_names.documented()
    for module in public_names.LISTED:
        assert set(found.get(module, [])) == set(public_names.names(module)), f"docs/reference lacks names of {module}"


def test_every_name_in_the_reference_says_what_it_is():
    found = {
        f"{module}.{name}": getattr(importlib.import_module(module), name)
        for module, names in public_names.documented().items()
        for name in names
    }
    silent = [name for name, value in found.items() if callable(value) and not public_names.summary(value).strip()]
    assert len(found) > 150 and silent == [], f"without a docstring of their own: {silent}"


def test_every_page_of_the_reference_is_listed():
    folder = DOCS / "reference"
    listed = re.findall(r"^   (\w+)$", (folder / "index.rst").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.stem for page in folder.glob("*.rst") if page.stem != "index")


def test_docstrings_keep_their_formulas():
    text = (
        "F = g(Z) + |Z|_* of `Problem`\n\n    a_1 * b_2  |c|\n\nK: classes; n: *samples*;\nL: layers\n    and more\n\n*"
        " one_\n  two\n* three\n\n>>> 1\n1"
    )
    assert docstrings.rst(text) == [
        *["", r"F = g(Z) + \|Z\|\_\* of \ ``Problem``\ ", "", ""],
        *[".. code-block:: text", "", "    a_1 * b_2  |c|", ""],
        *[r"* **K**: classes; n\: \*samples\*;", "* **L**: layers and more", ""],
        *[r"* one\_ two", "* three", ""],
        *[">>> 1", "1", ""],
    ]


def test_docstrings_cannot_begin_a_list_or_a_title_by_accident():
    for text in ("1. is a number", "- 1 is below zero", "(i) the first", "==== equal", ".. two dots", "| bar"):
        assert docstrings.rst(text)[1].startswith("\\")


def test_every_docstring_is_read_without_a_warning():
    docutils = pytest.importorskip("docutils.core")
    for module, names in public_names.documented().items():
        for name in names:
            value = getattr(importlib.import_module(module), name)
            text = "\n".join(docstrings.rst((callable(value) and inspect.getdoc(value)) or "")).replace(
                ".. code-block:: text", ".. code::"
            )
            docutils.publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2})


def test_the_examples_in_the_extensions_run():
    for module in (docstrings, public_names, site_check, site_pages, theory_results):
        assert doctest.testmod(module).failed == 0


def test_verdicts_shown_are_those_of_the_claims_as_they_stand():
    left = theory_results.stale(claims(), theory_results.results())
    assert left == [], f"run: python docs/_ext/theory_results.py {' '.join(left)}"


def test_an_old_verdict_is_seen():
    chosen, found = claims(["gk25:thm1", "gk25:qk"]), theory_results.results()
    found = {claim.id: found[claim.id] for claim in chosen}
    assert theory_results.stale(chosen, found) == []
    planted = found | {
        "gk25:thm1": found["gk25:thm1"] | {"statement": "Pairs always win."},
        "gk25:gone": found["gk25:qk"],
    }
    assert theory_results.stale(chosen, planted) == ["gk25:thm1", "gk25:gone"]
    assert theory_results.stale(chosen, {"gk25:thm1": found["gk25:thm1"]}) == ["gk25:qk"]


def test_every_source_has_a_page_of_claims():
    keys = {claim.id.split(":")[0] for claim in claims()}
    for key in keys:
        page = DOCS / "theory" / f"{key}.md"
        assert page.is_file() and f"```{{claims}} {key}\n" in page.read_text(encoding="utf-8"), (
            f"docs/theory/{key}.md must show the claims of {key}"
        )


def test_broken_links_and_outside_requests_are_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#x">1</a><a href="b.html#y">2</a><a href="c.html">3</a><a href="https://example.org">4</a><p'
        ' id="p">'
    )
    (tmp_path / "b.html").write_text(
        '<p id="x"><a href="a.html#p">5</a><a href="#z">6</a><a href="../up.html">7</a><img src="no.png">'
    )
    found = site_check.problems(tmp_path)
    assert found == [
        f"broken link: {address}"
        for address in ("a.html: b.html#y", "a.html: c.html", "b.html: #z", "b.html: ../up.html", "b.html: no.png")
    ]
    (tmp_path / "c.html").write_text(
        '<script src="https://cdn.org/x.js"></script><link rel="stylesheet" href="//fonts.org/f.css"><link'
        ' rel="canonical" href="https://us.org">'
    )
    (tmp_path / "s.css").write_text(
        '@import "base.css"; @font-face { src: url("https://fonts.org/f.woff") } a { background:'
        " url(data:image/png;base64,xx) }"
    )
    assert site_check.outside_requests(tmp_path) == [
        "c.html: https://cdn.org/x.js",
        "c.html: //fonts.org/f.css",
        "s.css: https://fonts.org/f.woff",
    ]


def missing(names):
    """The first of the packages that cannot be found, or None."""
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                return name
        except ModuleNotFoundError:
            return name
    return None


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, and what the builder said."""
    lacking = missing(NEEDED)
    if lacking:
        pytest.skip(f"the site is not built: needs {lacking}, of the extra [docs]")
    folder = tmp_path_factory.mktemp("docs")
    run = subprocess.run(
        [sys.executable, str(DOCS / "build.py"), str(folder)], capture_output=True, text=True, check=False
    )
    return folder / "html", run


@pytest.mark.slow
def test_the_site_builds_without_a_warning_a_broken_link_or_an_outside_request(site):
    html, run = site
    assert run.returncode == 0, (run.stderr + run.stdout)[-6000:]


@pytest.mark.slow
def test_names_claims_verbs_and_sources_have_their_places(site):
    html, _ = site
    there = {
        anchor
        for page in (html / "reference").glob("*.html")
        for anchor in site_check.Page(page.read_text(encoding="utf-8")).anchors
    }
    wanted = {f"{module}.{name}" for module, names in public_names.documented().items() for name in names}
    assert wanted - there == set()
    assert {
        f"ufm-{verb}"
        for verb in (
            "compare",
            "solve",
            "landscape",
            "identify",
            "certify",
            "sweep",
            "verify",
            "figure",
            "demo",
            "cite",
        )
    } <= there
    for claim in claims():
        page = (html / "theory" / f"{claim.id.split(':')[0]}.html").read_text(encoding="utf-8")
        assert claim.id.replace(":", "-") in site_check.Page(page).anchors
    text = (html / "references.html").read_text(encoding="utf-8")
    assert [key for key in references() if f">{key}<" not in text] == []


def formulas_of(page):
    """The elements of a page that hold a formula."""
    text = page.read_text(encoding="utf-8")
    return [found[0] for found in re.finditer(r'<(span|div) class="math[^"]*">.*?</\1>', text, re.DOTALL)]


def drawn(html, formulas):
    """(how many of the formulas a browser drew, with the site's own settings; what it says of those it could not
    read)."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("formulas are not looked at: needs chromium")
    model = (html / "textbook" / "02_schatten.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>window\.MathJax.*?</script>|<script[^>]*mathjax/[^>]*></script>", model)
    assert len(scripts) == 2
    page = html / "textbook" / "all_formulas.html"
    page.write_text(
        "<!DOCTYPE html><meta charset='utf-8'>" + "".join(scripts) + "<body>" + "<br>".join(formulas), encoding="utf-8"
    )
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--virtual-time-budget=60000",
        "--dump-dom",
    ]
    dom = subprocess.run(
        [browser, *options, page.as_uri()], capture_output=True, text=True, timeout=300, check=True
    ).stdout
    page.unlink()
    return dom.count("<mjx-container"), sorted(set(re.findall(r'data-mjx-error="([^"]*)"', dom)))


@pytest.mark.slow
def test_formulas_are_drawn_without_the_network(site):
    html, _ = site
    formulas = [formula for page in sorted(html.rglob("*.html")) for formula in formulas_of(page)]
    assert len(formulas) > 100
    assert drawn(html, formulas) == (len(formulas), [])


@pytest.mark.slow
def test_a_wrong_formula_is_seen(site):
    html, _ = site
    good = formulas_of(html / "textbook" / "02_schatten.html")[0]
    assert drawn(html, [good, good.replace(r"\(", r"\(\nosuchsymbol ")]) == (
        2,
        [r"Undefined control sequence \nosuchsymbol"],
    )
