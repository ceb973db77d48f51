"""Checkers: one file per kind of proof, importing `ufm.numerics` and each other, and nothing else of the package.

A checker module ends with `CHECKER`, a `Checker`: the method's name in a certificate, the function `check(data) ->
Checked`, and the field of the data that holds the problem. It derives the statement from the data itself, so that a
certificate cannot say more than it proves. What a file in use brings (a checker; a loss or a structure in balls) is
found by what it has (`checker`, `contributed`) and named in the proof.
"""

from ufm.certificates.check.checker import Checked, Checker, check
from ufm.certificates.check.rejected import Rejected

__all__ = ["Checked", "Checker", "Rejected", "check"]
