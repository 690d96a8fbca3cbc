"""Sections 4 and 5: finite-sample expressivity, linear models and kernels, and where SGD converges."""
