"""Sphinx settings; `python docs/build.py` builds the site. Nothing is fetched, neither by the build nor by the
pages."""

import os
import sys
from pathlib import Path

from ufm import __version__

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

project = "ufm"
author = "The ufm developers"
copyright = author
version = release = __version__

EXAMPLES = sorted((HERE / "gallery").glob("plot_*.py"))

extensions = [
    "myst_parser",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
    "site_pages",
    "theory_pages",
    "reference_pages",
    *(["sphinx_gallery.gen_gallery"] if EXAMPLES else []),
]
exclude_patterns = ["_build", "gallery", "**/sg_execution_times.rst", "sg_execution_times.rst"]
smartquotes = False
nitpicky = False
suppress_warnings = ["toc.empty_glob", "config.cache", "ref.python"]
"""A page that is planned but not there yet is no error in a table of contents (tests/test_docs.py sees that every page
is in one); the gallery's sorting function is a class, which Sphinx cannot store; type hints name short names, and two
classes are called Network, two Trace."""

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "attrs_inline", "attrs_block", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
add_module_names = False

bibtex_bibfiles = [os.path.relpath(HERE.parent / "theory" / "refs.bib", HERE)]
bibtex_default_style = "keyed"

mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {
    "tex": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]], "packages": {"[-]": ["noundefined"]}},
    "svg": {"fontCache": "global"},
    "options": {"enableMenu": False},
}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"conftest\.py|__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "parallel": 2,
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "matplotlib_animations": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "ufm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {
    page: []
    for page in ("index", "start", "choosing", "reliability", "notation", "references", "benchmarks", "changelog")
}
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_depth": 2,
    "show_toc_level": 1,
}


def setup(app):
    """Without examples the gallery is a page that says so."""
    if not EXAMPLES:
        (HERE / "auto_gallery").mkdir(exist_ok=True)
        (HERE / "auto_gallery" / "index.rst").write_text(
            "Gallery\n=======\n\nThere are no examples in docs/gallery.\n", encoding="utf-8"
        )
