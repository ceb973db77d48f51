"""Arrays in, arrays out: spectra, products, arithmetic, seeds, groups, files."""

import contextlib
import itertools
import json

import autograd
import autograd.numpy as anp
import networkx as nx
import numpy as np
import pytest

from ufm.numerics.arithmetic import number
from ufm.numerics.files import load_arrays, save_arrays, write_atomically
from ufm.numerics.groups import automorphism_count, colours
from ufm.numerics.products import directional, gradient, gradient_directional, product, suffixes
from ufm.numerics.seeds import child, generator, seed_record, seed_sequence
from ufm.numerics.spectra import SpectralFunction, ThinSVD, complement, divided_differences, leaving, thin_svd

SQUARE = SpectralFunction(lambda s: s**2, lambda s: 2 * s, lambda s: 2 + 0 * s)
QUARTIC = SpectralFunction(lambda s: s**4, lambda s: 4 * s**3, lambda s: 12 * s**2)
COSH = SpectralFunction(lambda s: np.cosh(s) - 1, np.sinh, np.cosh)
ROOT = SpectralFunction(lambda s: s ** (2 / 3), lambda s: 2 / 3 * s ** (-1 / 3), lambda s: -2 / 9 * s ** (-4 / 3))
SHAPES = [(3, 3), (3, 5), (5, 3)]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def with_singular_values(s, shape):
    """A generic matrix with the given singular values, zeros included."""
    U, V = (np.linalg.qr(normal(k, k, seed=k))[0][:, : len(s)] for k in shape)
    return (U * np.asarray(s, float)) @ V.T


def slope(f, h=1e-3):
    """f'(0) to O(h^4)."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


# spectra ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("f", [SQUARE, QUARTIC, COSH, ROOT])
def test_gradient_and_hessian_of_a_spectral_function_are_its_derivatives(f, shape):
    Z, E = with_singular_values([3, 2, 0.7], shape), normal(*shape, seed=1)
    svd = thin_svd(Z)
    assert np.vdot(f.gradient(svd), E) == pytest.approx(slope(lambda t: f.value(thin_svd(Z + t * E))), rel=1e-9)
    np.testing.assert_allclose(f.hvp(svd, E), slope(lambda t: f.gradient(thin_svd(Z + t * E))), atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("s", [[3, 2, 0.7], [2, 2, 2], [2, 2, 0], [1, 0, 0], [0, 0, 0]])
def test_quartic_hessian_is_the_polynomial_one_at_ties_and_zeros(s, shape):
    Z, E = with_singular_values(s, shape), normal(*shape, seed=1)
    f = autograd.grad(lambda Z: anp.trace(anp.dot(anp.dot(Z.T, Z), anp.dot(Z.T, Z))))
    np.testing.assert_allclose(QUARTIC.gradient(thin_svd(Z)), f(Z), atol=1e-12)
    np.testing.assert_allclose(QUARTIC.hvp(thin_svd(Z), E), autograd.make_jvp(f)(Z)(E)[1], atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("s", [[3, 2, 0.7], [2, 2, 2], [2, 2, 0], [1, 0, 0], [0, 0, 0]])
def test_hessian_of_the_squared_norm_is_twice_the_identity_everywhere(s, shape):
    E = normal(*shape, seed=1)
    np.testing.assert_allclose(SQUARE.hvp(thin_svd(with_singular_values(s, shape)), E), 2 * E, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_hessian_at_the_zero_matrix_is_the_curvature_of_phi_at_zero(shape):
    E, nothing = normal(*shape), thin_svd(np.zeros(shape))
    assert nothing.rank == 0
    assert np.array_equal(COSH.hvp(nothing, E), E)
    assert np.array_equal(SQUARE.hvp(nothing, E), 2 * E)
    assert not QUARTIC.hvp(nothing, E).any()


@pytest.mark.parametrize("s", [[2, 1, 0], [1.5, 0, 0]])
def test_zeros_listed_or_cut_away_give_the_same_hessian(s):
    Z, E = with_singular_values(s, (3, 4)), normal(3, 4)
    U, values, Vt = np.linalg.svd(Z, full_matrices=False)
    listed = ThinSVD(U, np.where(values > 1e-12, values, 0.0), Vt.T)
    np.testing.assert_allclose(COSH.hvp(listed, E), COSH.hvp(thin_svd(Z), E), atol=1e-13)


def test_a_quasi_norm_is_differentiated_inside_its_stratum_only():
    svd = thin_svd(with_singular_values([2, 1], (3, 4)))
    normal_direction = complement(svd.U) @ normal(1, 2) @ complement(svd.V).T
    assert np.linalg.norm(normal_direction) > 0.1
    np.testing.assert_allclose(ROOT.hvp(svd, normal_direction), 0, atol=1e-14)


@pytest.mark.parametrize("gap", [0, 1e-12, 1e-9, 1e-7, 2e-6, 1e-3])
def test_divided_differences_pass_smoothly_through_ties(gap):
    s = np.array([2.0 + gap, 2.0])
    plus, minus = divided_differences(s, np.sinh(s), np.cosh(s))
    middle = 2 + gap / 2
    assert minus[0, 1] == pytest.approx(np.cosh(middle) * np.sinh(gap / 2) / (gap / 2) if gap else np.cosh(2), rel=1e-9)
    assert plus[0, 1] == pytest.approx(np.sinh(middle) * np.cosh(gap / 2) / middle, rel=1e-14)


def test_divided_differences_at_zero_are_the_curvature():
    s = np.array([1.0, 0.0, 0.0])
    plus, minus = divided_differences(s, np.sinh(s), np.cosh(s))
    assert plus[1, 2] == minus[1, 2] == minus[1, 1] == leaving(s, np.sinh(s), np.cosh(s))[1] == 1
    assert plus[0, 1] == minus[0, 1] == np.sinh(1)


def test_declared_rank_cuts_and_detected_rank_counts():
    Z = with_singular_values([3, 1, 1e-6, 1e-12], (4, 6))
    assert [thin_svd(Z).rank, thin_svd(Z, tol=1e-3).rank, thin_svd(Z, rank=1).rank, thin_svd(Z, rank=0).rank] == [
        3,
        2,
        1,
        0,
    ]
    np.testing.assert_allclose(thin_svd(Z).matrix(), Z, atol=2e-12)


@pytest.mark.parametrize(
    ("Z", "rank"), [(np.eye(3), 4), (np.eye(3), -1), (np.zeros((2, 2)), 1), (np.diag([1.0, 0.0]), 2)]
)
def test_a_rank_that_is_not_there_is_refused(Z, rank):
    with pytest.raises(ValueError, match=f"rank={rank}"):
        thin_svd(Z, rank)


@pytest.mark.parametrize(("m", "r"), [(4, 0), (4, 1), (4, 4)])
def test_complement_completes_to_an_orthogonal_matrix(m, r):
    U = np.linalg.qr(normal(m, m))[0][:, :r]
    Q = np.hstack([U, complement(U)])
    np.testing.assert_allclose(Q.T @ Q, np.eye(m), atol=1e-14)


# products --------------------------------------------------------------------------------------


def chain(depth, *lead):
    sizes = [5, 4, 3, 6, 2][: depth + 1]
    return [normal(*lead, b, a, seed=i) for i, (a, b) in enumerate(itertools.pairwise(sizes))]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_product_and_its_gradient_are_those_of_autograd(depth):
    factors = chain(depth)
    G = normal(factors[-1].shape[0], 5, seed=9)

    def f(*A):
        return anp.sum(G * _product(A))

    np.testing.assert_allclose(product(factors), _product(factors), atol=1e-13)
    for l, part in enumerate(gradient(factors, suffixes(factors), G)):
        np.testing.assert_allclose(part, autograd.grad(f, l)(*factors), atol=1e-12)


def _product(factors):
    Z = factors[0]
    for A in factors[1:]:
        Z = anp.dot(A, Z)
    return Z


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_directional_derivatives_of_product_and_gradient(depth):
    factors, tangents = chain(depth), [2 * A[::-1, ::-1] for A in chain(depth)]
    G, dG = normal(2, *product(factors).shape, seed=9)

    def moved(t):
        return [A + t * dA for A, dA in zip(factors, tangents, strict=True)]

    dZ, dP = directional(factors, suffixes(factors), tangents)
    np.testing.assert_allclose(dZ, slope(lambda t: product(moved(t)), 1e-2), rtol=1e-9, atol=1e-9)
    second = gradient_directional(factors, suffixes(factors), G, tangents, dP, dG)
    for l, part in enumerate(second):
        expected = slope(lambda t, l=l: gradient(moved(t), suffixes(moved(t)), G + t * dG)[l], 1e-2)
        np.testing.assert_allclose(part, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_batch_of_chains_is_a_loop_over_chains(depth):
    factors, tangents = chain(depth, 3), [A + 1 for A in chain(depth, 3)]
    G, P = 1 + product(factors), suffixes(factors)
    dZ, dP = directional(factors, P, tangents)
    whole = [product(factors), dZ, *gradient(factors, P, G), *gradient_directional(factors, P, G, tangents, dP, dZ)]
    for i in range(3):
        one, tangent = [A[i] for A in factors], [A[i] for A in tangents]
        P = suffixes(one)
        dZ, dP = directional(one, P, tangent)
        alone = [product(one), dZ, *gradient(one, P, G[i]), *gradient_directional(one, P, G[i], tangent, dP, dZ)]
        for batched, single in zip(whole, alone, strict=True):
            np.testing.assert_allclose(batched[i], single, rtol=1e-12, atol=1e-12)


# arithmetic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2**-10", 2**-10),
        ("5**(1/3)", 5 ** (1 / 3)),
        (" 1e-3 ", 1e-3),
        ("-(3 - 1)*4/8", -1),
        ("2**3**2", 512),
        ("-2**2", -4),
        ("+.5", 0.5),
        ("1_000", 1000),
    ],
)
def test_arithmetic_is_read_as_python_reads_it(text, value):
    assert number(text) == value
    assert isinstance(number(text), float)


REFUSED = [
    "__import__('os')",
    "2**",
    "1j",
    "9**9**9",
    "a",
    "nan",
    "inf",
    "1e999",
    "-1e999",
    "1/0",
    "(-8)**(1/3)",
    "True",
    "'2'",
    "",
    "1 2",
    "[1]",
    "abs(1)",
    "1 if 1 else 2",
]


@pytest.mark.parametrize("text", [*REFUSED, "(" * 300 + "1" + ")" * 300, "-" * 100_000 + "1", "1\0"])
def test_what_is_not_a_finite_real_number_is_refused_by_name(text):
    with pytest.raises(ValueError) as refusal:
        number(text)
    assert (repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text)} characters)") in str(refusal.value)


# seeds -----------------------------------------------------------------------------------------


def bits(seed):
    return generator(seed).integers(2**63, size=3).tolist()


@pytest.mark.parametrize(
    "rng", [None, 7, np.int64(7), np.random.SeedSequence(3, spawn_key=(1, 2)), np.random.default_rng(0), {"entropy": 5}]
)
def test_a_recorded_seed_replays_through_json(rng):
    seed = child(seed_sequence(rng), 4)
    assert bits(seed_sequence(json.loads(json.dumps(seed_record(seed))))) == bits(seed)


def test_child_i_is_one_stream_whatever_was_spawned_before():
    seed = seed_sequence(0)
    third = bits(child(seed, 3))
    assert [bits(child(seed, i)) for i in (5, 3, 0)][1] == third == bits(np.random.SeedSequence(0).spawn(4)[3])
    assert bits(child(seed, 2)) != third


def test_a_generator_is_advanced_and_a_seed_sequence_is_not():
    draw, seed = np.random.default_rng(0), np.random.SeedSequence(0)
    assert bits(seed_sequence(draw)) != bits(seed_sequence(draw))
    assert bits(seed_sequence(seed)) == bits(seed_sequence(seed)) == bits(np.random.SeedSequence(0))


def test_no_seed_means_a_fresh_one():
    assert bits(seed_sequence()) != bits(seed_sequence())


@pytest.mark.parametrize(
    "rng", [-1, 1.5, True, "0", [0], {}, {"entropy": "x"}, {"entropy": -1}, np.random.RandomState(0)]
)
def test_what_is_no_seed_is_refused(rng):
    with pytest.raises(ValueError, match="rng"):
        seed_sequence(rng)


# groups ----------------------------------------------------------------------------------------

GRAPHS = {
    "cycle": (nx.cycle_graph(7), 14),
    "petersen": (nx.petersen_graph(), 120),
    "complete": (nx.complete_graph(6), 720),
    "path": (nx.path_graph(5), 2),
    "bipartite": (nx.complete_bipartite_graph(2, 3), 12),
    "cube": (nx.hypercube_graph(3), 48),
    "empty": (nx.empty_graph(4), 24),
    "two triangles": (nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), 72),
    "frucht": (nx.frucht_graph(), 1),
    "directed cycle": (nx.cycle_graph(5, nx.DiGraph), 5),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_automorphisms_are_counted_as_in_the_books(name):
    graph, order = GRAPHS[name]
    shuffled = np.random.default_rng(0).permutation(len(graph))
    A = nx.to_numpy_array(graph, dtype=int)[np.ix_(shuffled, shuffled)]
    assert automorphism_count(A) == order


@pytest.mark.parametrize("seed", range(6))
def test_automorphisms_are_counted_as_networkx_counts_isomorphisms(seed):
    graph = nx.gnp_random_graph(6, 0.4, seed=seed)
    matcher = nx.isomorphism.GraphMatcher(graph, graph)
    assert automorphism_count(nx.to_numpy_array(graph, dtype=int)) == sum(1 for _ in matcher.isomorphisms_iter())


def test_diagonal_entries_colour_the_points():
    assert automorphism_count(np.diag([1, 1, 2, 2, 2])) == 2 * 6


def test_values_within_the_tolerance_share_a_colour():
    M = np.array([[1.0, 1.0 + 1e-12, 2.0], [0.0, 2.0, 1.0]])
    assert colours(M, 1e-9).tolist() == [[1, 1, 2], [0, 2, 1]]


# files -----------------------------------------------------------------------------------------


def test_arrays_come_back_as_they_went(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, x=normal(3, 2), name=np.array("dnc"))
    back = load_arrays(path)
    assert np.array_equal(back["x"], normal(3, 2))
    assert str(back["name"]) == "dnc"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(stream):
        stream.write("half")
        raise failure

    with pytest.raises(failure):
        write_atomically(path, write, "w")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        save_arrays(tmp_path / "nowhere" / "a.npz", x=np.zeros(1))


def _garbage(path):
    path.write_bytes(b"not an archive")


def _truncated(path):
    save_arrays(path, x=normal(50, 50))
    path.write_bytes(path.read_bytes()[:5000])


def _pickled(path):
    np.savez(path, x=np.array([{}], dtype=object))


def _single_array(path):
    with path.open("wb") as stream:
        np.save(stream, np.eye(2))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.touch(),
        _garbage,
        _truncated,
        _pickled,
        _single_array,
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, spoil):
    path = tmp_path / "spoiled.npz"
    spoil(path)
    with pytest.raises(ValueError, match=r"spoiled\.npz"):
        load_arrays(path)


def test_whichever_byte_rots_the_reader_says_so_or_reads(tmp_path):
    path = tmp_path / "spoiled.npz"
    save_arrays(path, x=np.arange(500.0))
    whole = path.read_bytes()
    for i in range(0, len(whole), 5):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :])
        with contextlib.suppress(ValueError):
            load_arrays(path)
