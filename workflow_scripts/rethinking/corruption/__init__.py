"""Randomised data sets (sections 2.1 and 2.2), a module for each kind of draw.

A corruption is stored as an overlay on the prepared data set: the arrays that it changes and a manifest. All draws
are made once, from streams named after their purpose, and stay fixed over epochs and cells.
"""

BLOCK = 2048  # images held in memory at a time
SPLITS = ("train", "test")
