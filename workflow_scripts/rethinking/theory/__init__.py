"""Sections 4 and 5: finite-sample expressivity, linear models and kernels, and where SGD converges."""

NOT_CONVERGED = "not converged"  # part of the name of a solver that missed its tolerance
