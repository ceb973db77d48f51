"""zang24: low rank and collapse of networks trained with L2 regularisation.

The statements checked here are given with proofs and constants of their own; the paper is their origin, and its
numbering is not used. Its theorem on nonlinear and residual representation costs and its path for almost every start of
a nonlinear network are not claimed.
"""
