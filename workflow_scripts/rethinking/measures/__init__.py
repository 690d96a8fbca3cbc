"""Measures of trained networks: Rademacher complexity, stability, complexity."""
