"""Sections 4 and 5: finite-sample expressivity, linear models and kernels, and where SGD converges."""

NOT_CONVERGED = "not converged"  # part of the name of a solver that missed its tolerance
# Largest residual of an exact fit. An image whose largest output is not that of its label has a squared error of 1/2 at
# least, so at most two in a million can be wrong; and the claims on exact fits have the same bound.
EXACT = 1e-3
