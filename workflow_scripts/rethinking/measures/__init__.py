"""What is measured of trained networks: Rademacher complexity, stability, complexity."""
