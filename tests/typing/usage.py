"""Every public name as a reader would use it, for the type checker (`pyright`); it is read, never run."""

from __future__ import annotations

from typing import assert_type

import numpy as np

import ufm
from ufm import networks, plot, structures
from ufm.certificates.certificate import Certificate
from ufm.certificates.certify import Certificates
from ufm.critical.identify import Identity
from ufm.critical.point import CriticalPoint
from ufm.landscapes.table import Landscape, Row
from ufm.metrics.records import Collapse, LayerCollapse
from ufm.paths.follow import Branch
from ufm.paths.network import Network
from ufm.paths.path import Path
from ufm.paths.trajectory import Reading
from ufm.points import LogitPoint
from ufm.solvers import starts
from ufm.solvers.multistart import Multistart
from ufm.solvers.result import Result
from ufm.sweeps.census import Census
from ufm.sweeps.phases import PhaseDiagram
from ufm.sweeps.sweep import Sweep

problem = ufm.Problem(K=4, n=(3, 2, 2, 1), d=[5, 6], L=2, lam=1e-3, loss="mse", activation="linear", bias=0.1)
assert_type(problem, ufm.Problem)
loss, activation = problem.loss, problem.activation
assert_type(loss.name, str)
assert_type(activation.name, str)
assert_type(problem.widths, tuple[int, ...])
own = ufm.Problem(
    K=4, lam=0.1, loss=ufm.Loss.from_function(abs), activation=ufm.Activation.from_function(np.tanh, name="mine")
)

# one point, and what is said of it
point = structures.dnc(problem)
assert_type(point, ufm.LogitPoint)
factors = point.lift(rng=0)
assert_type(factors, ufm.FactorPoint)
assert_type(factors.to_logits(rel_tol=1e-9), LogitPoint)
result = ufm.minimize(problem, rng=0, method="gd", lr=0.1, steps=10)
assert_type(result, Result)
again = ufm.minimize(problem, result, "newton", np.random.default_rng(0))
many = ufm.multistart(problem, 10, 0)
assert_type(many, Multistart)
assert_type(many.best, Result)
signature = ufm.classify(many.best)
assert_type(signature, CriticalPoint)
assert_type(signature.fun, float)
who = ufm.identify(result, match=0.1)
assert_type(who, Identity)
assert_type(ufm.identify(features=np.eye(4), labels=[0, 1, 2, 3], weights=np.eye(4)).name, str)
proofs = ufm.certify(problem, ["order", "critical"], lam="1/1000")
assert_type(proofs, Certificates)
first: Certificate = proofs[0]
assert_type(ufm.collapse(np.eye(4), [0, 1, 2, 3], np.eye(4)), Collapse)
assert_type(ufm.collapse([[1.0, 0.0], [0.0, 1.0]], labels=[0, 1]), Collapse)
assert_type(ufm.collapse(result), LayerCollapse)
assert_type(ufm.collapse(features=[np.eye(4), np.eye(4)], labels=[0, 1, 2, 3], weights=np.eye(4)), LayerCollapse)
assert_type(ufm.collapse(features={"last": np.eye(4)}, labels=[0, 1, 2, 3]), LayerCollapse)
stream = ufm.Accumulator(K=4, d=4).update(features=np.eye(4), labels=[0, 1, 2, 3])

# tables of points
table = ufm.compare(problem, 5, 0, prove=False)
assert_type(table, Landscape)
assert_type(table[0], Row)
assert_type(table["dnc"].fun, float)
assert_type(table[1:], Landscape)
points = ufm.landscape(problem, 5, 0)
ends = ufm.basins(problem, 100, 0, method="gd", lr=0.1)
ranks = ufm.profile(problem, 3, 0)
for row in points:
    ufm.classify(row)
points.save("points.json")
kept = ufm.load("points.json")

# what joins points
branch = ufm.follow(table["dnc"], 0.01)
assert_type(branch, Branch)
way = ufm.path(table["dnc"], many.best, "straight", rng=0)
assert_type(way, Path)
network = ufm.connect(points)
assert_type(network, Network)
reading = ufm.read_trajectory(result, {"dnc": point})
assert_type(reading, Reading)

# many problems
shares = ufm.census(problem, 10, 0, over={"lam": [0.1, 0.2]})
assert_type(shares, Census)
diagram = ufm.phase_diagram([4, 5], range(1, 4), starts=0)
assert_type(diagram, PhaseDiagram)
done = ufm.sweep("compare", "runs.jsonl", over={"lam": [0.1]}, fixed={"K": 4}, jobs=1)
assert_type(done, Sweep)
graphs = ufm.graph_search(ufm.Problem(K=6, L=3, lam=1e-3, loss="mse", activation="relu"), vertices=5)
assert_type(graphs.winner.name, str)
files: tuple[str, ...] = ufm.use("mine.py")

# claims and figures, which an installed package brings
verdicts = ufm.verify("gk25:thm1", jobs=1, K="4:6")
chosen, thanks, picture = ufm.claims("gk25"), ufm.cite(table), ufm.figure("gk25-1", "f.pdf")

# pictures, methods, networks
axes = plot.logits(result)
plot.save(plot.comparison(table), "duel.pdf")
plot.save(plot.phases(diagram).figure, "phases.pdf")
start = starts.near(result, 1e-3)
near = ufm.minimize(problem, start)
data = networks.Data.mixture(K=3, n=10, d=6, rng=0)
net = networks.Network([6, 16, 3], "relu")
run = networks.train(net, data, "ce", decay=1e-3, rng=0, lr=0.2, batch=10, epochs=20)
assert_type(run.accuracy, float)
assert_type(networks.tcv(data.X, data.y), float)
found = networks.diagnose(run)
