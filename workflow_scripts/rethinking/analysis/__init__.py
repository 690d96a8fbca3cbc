"""From trained networks to numbers: seeds, intervals, times to fit, gaps."""
