"""From trained networks to numbers: means over seeds, intervals, times to fit, gaps."""
