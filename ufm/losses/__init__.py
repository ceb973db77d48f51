"""Loss functions, one file each: see `ufm.losses.loss` for what a loss states and how to add one."""

from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.focal import Focal
from ufm.losses.loss import LOSSES, FunctionLoss, Loss, known, loss, makers, names, own
from ufm.losses.mse import MSE

__all__ = ["LOSSES", "MSE", "CrossEntropy", "Focal", "FunctionLoss", "Loss", "known", "loss", "makers", "names", "own"]
