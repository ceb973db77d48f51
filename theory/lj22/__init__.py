"""lj22: what gradient flow keeps, and trailing linear layers that become rank one.

The statements checked here are given with proofs and constants of their own; the paper (its second arXiv version, which
says more carefully than the first what holds for ReLU layers) is their origin, and its numbering is not used.
"""
