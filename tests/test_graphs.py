"""Simple graphs: counts, names, canonical forms, incidence."""

import itertools

import numpy as np
import pytest

from ufm.numerics import graphs
from ufm.numerics.graphs import (
    Graph,
    canonical_form,
    complete,
    complete_multipartite,
    cycle,
    incidence,
    is_isomorphic,
    petersen,
    simple_graphs,
)

WITHOUT_ISOLATED = [1, 2, 5, 11, 26, 68, 177, 497]
"""Graphs with 1, 2, ... edges and no isolated vertex (OEIS A000664)."""


def test_graphs_by_edges_are_as_many_as_there_are():
    assert [len(simple_graphs(k)) for k in range(1, 9)] == WITHOUT_ISOLATED


@pytest.mark.parametrize("r, total", [(4, 11), (5, 34), (6, 156), (7, 1044)])
def test_graphs_by_vertices_are_as_many_as_there_are(r, total):
    assert 1 + sum(len(simple_graphs(k, r)) for k in range(1, r * (r - 1) // 2 + 1)) == total


@pytest.mark.slow
def test_all_graphs_on_eight_vertices():
    assert 1 + sum(len(simple_graphs(k, 8)) for k in range(1, 29)) == 12346


def test_a_poorer_fingerprint_would_miss_graphs(monkeypatch):
    graphs.grown.cache_clear()
    monkeypatch.setattr(
        graphs, "fingerprints", lambda lists: [hash(tuple(sorted(np.bincount(np.ravel(e)).tolist()))) for e in lists]
    )
    try:
        assert len(simple_graphs(6)) < 68
    finally:
        graphs.grown.cache_clear()


def test_each_graph_on_six_vertices_is_in_the_atlas_once():
    nx = pytest.importorskip("networkx")
    ours = [g for k in range(1, 16) for g in simple_graphs(k, 6)]
    keys = {canonical_form(g).edges for g in ours}
    assert len(keys) == len(ours)
    for G in nx.graph_atlas_g():
        if G.number_of_edges() and G.number_of_nodes() <= 6 and min(dict(G.degree).values()) > 0:
            assert canonical_form(Graph(tuple(G.edges))).edges in keys


def test_canonical_forms_do_not_depend_on_labels():
    rng = np.random.default_rng(0)
    for g in (petersen(), complete(6), complete_multipartite(3, 4), graphs.wheel(6), simple_graphs(9, 7)[40]):
        p = rng.permutation(g.vertices)
        other = Graph(tuple((int(p[i]), int(p[j])) for i, j in g.edges))
        assert (
            canonical_form(other) == canonical_form(g)
            and graphs.fingerprint(other) == graphs.fingerprint(g)
            and other.name == g.name
        )
    assert not is_isomorphic(graphs.prism(3), complete_multipartite(3, 3))


@pytest.mark.parametrize(
    "graph, name",
    [
        (complete(5), "K5"),
        (complete_multipartite(3, 3), "K3,3"),
        (cycle(5), "C5"),
        (graphs.path(4), "P4"),
        (petersen(), "petersen"),
        (complete_multipartite(2, 2, 2), "K2,2,2"),
        (graphs.prism(4), "cube"),
        (graphs.wheel(6), "W6"),
        (graphs.union(complete(4), complete(2), complete(2)), "K4+2K2"),
        (simple_graphs(7, 6)[3], "G(5; 33332)"),
    ],
    ids=str,
)
def test_names(graph, name):
    assert graph.name == name


@pytest.mark.parametrize("r", [4, 5, 6, 7])
def test_line_graph_of_the_complete_graph_is_strongly_regular(r):
    B = incidence(complete(r))
    K = B.shape[1]
    A = B.T @ B - 2 * np.eye(K)
    assert np.array_equal(A @ A, 2 * (r - 2) * np.eye(K) + (r - 2) * A + 4 * (np.ones((K, K)) - np.eye(K) - A))
    assert np.array_equal(B @ B.T, (r - 2) * np.eye(r) + np.ones((r, r)))


def test_petersen_is_the_disjointness_of_edges_of_k5():
    C = graphs.disjointness(complete(5))
    assert is_isomorphic(Graph(tuple((i, j) for i, j in itertools.combinations(range(10), 2) if C[i, j])), petersen())


@pytest.mark.parametrize("edges", [(), ((0, 0),), ((0, 1), (1, 0)), ((0, 2),), ((0, 1, 2),)])
def test_what_is_no_graph_is_refused(edges):
    with pytest.raises(ValueError, match="edges must"):
        Graph(edges)


def test_endless_lists_are_refused():
    with pytest.raises(ValueError, match="vertices must be at most 8"):
        simple_graphs(15)
