"""Small networks on data: forward and backward by hand, training with traces, and what their layers look like.

>>> from ufm.networks import Data, Network, train
>>> data = Data.mixture(K=3, n=10, d=6, sigma=0.3, rng=0)
>>> run = train(Network([6, 16, 16, 3], "relu"), data, "ce", decay=1e-3, rng=0, lr=0.2, batch=10, epochs=20)
>>> run.ok, run.accuracy
(True, 1.0)
"""

from ufm.networks.data import Data, class_means, tcv
from ufm.networks.decay import Decay
from ufm.networks.diagnostics import diagnose, export, layers, tail
from ufm.networks.network import Network, Skip
from ufm.networks.objective import Objective
from ufm.networks.schedules import MultiStep
from ufm.networks.steps import epoch_order
from ufm.networks.trace import Trace, balancedness, spectra
from ufm.networks.train import train
from ufm.networks.training import Training, load

__all__ = [
    "Data",
    "Decay",
    "MultiStep",
    "Network",
    "Objective",
    "Skip",
    "Trace",
    "Training",
    "balancedness",
    "class_means",
    "diagnose",
    "epoch_order",
    "export",
    "layers",
    "load",
    "spectra",
    "tail",
    "tcv",
    "train",
]
