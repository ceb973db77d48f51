"""What the package draws is shown by a notebook when a cell returns it, without `%matplotlib inline`, and only once
with it."""

import copy
import os
import pickle
import subprocess
import sys

import pytest

import ufm
from ufm import plot

PNG = b"\x89PNG\r\n\x1a\n"
PROBLEM = ufm.Problem(K=4, L=2, lam=0.01)


def drawings():
    pairs, dnc = ufm.structures.pairs(PROBLEM), ufm.structures.dnc(PROBLEM)
    critical = ufm.classify(pairs)
    yield plot.comparison(ufm.compare(PROBLEM, starts=0, prove=False))
    yield plot.logits(pairs)
    yield plot.code(dnc)
    yield plot.code(pairs)
    yield plot.hessian_spectra({"pairs": critical, "again": critical})


def test_figures_axes_and_columns_of_axes_are_pictures():
    for i, drawn in enumerate(drawings()):
        picture = drawn._repr_png_()
        assert picture.startswith(PNG) and len(picture) > 5000
        assert i or drawn._repr_png_().startswith(PNG)  # shown again


def test_the_callers_settings_and_pyplot_stay_out_of_it():
    code = """
import sys, matplotlib as mpl, ufm
before = dict(mpl.rcParams)
point = ufm.structures.pairs(ufm.Problem(K=4, L=2, lam=0.01))
assert ufm.plot.logits(point)._repr_png_()
assert "matplotlib.pyplot" not in sys.modules and "IPython" not in sys.modules and dict(mpl.rcParams) == before
"""
    env = {**os.environ, "MPLBACKEND": "Agg"}  # else reading rcParams looks for a backend, by importing pyplot
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=env)


def test_axes_of_the_caller_stay_the_callers():
    from matplotlib.figure import Figure

    ax = plot.logits(ufm.structures.pairs(PROBLEM), Figure().add_subplot())
    assert not hasattr(ax, "_repr_png_")


def test_what_is_shown_survives_pickling_and_copying():
    ax = plot.logits(ufm.structures.pairs(PROBLEM))
    for twin in (pickle.loads(pickle.dumps(ax.figure)).axes[0], copy.deepcopy(ax.figure).axes[0]):
        assert twin._repr_png_().startswith(PNG) and twin._repr_png_.__self__ is twin.figure is not ax.figure


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("head", [[], ["%matplotlib inline"], ["import matplotlib.pyplot as plt"]])
def test_a_notebook_shows_each_once(head):
    for module in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(module)
    import nbformat
    from nbclient import NotebookClient

    made = (
        "import ufm\nd = ufm.compare(ufm.Problem(K=4, L=2, lam=0.01), starts=0, prove=False)\np ="
        " ufm.structures.pairs(d.problem)"
    )
    shown = [
        "ufm.plot.comparison(d)",
        "ufm.plot.logits(p)",
        "ufm.plot.code(p)",
        "ufm.plot.hessian_spectra({'a': ufm.classify(p), 'b': ufm.classify(p)})",
    ]
    cells = [nbformat.v4.new_code_cell(text) for text in (*head, made, *shown, "p.rank")]
    NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=300, kernel_name="python3").execute()
    pictures = [["image/png" in output.get("data", {}) for output in cell.outputs] for cell in cells]
    assert pictures == [[]] * (len(head) + 1) + [[True]] * len(shown) + [[False]]
