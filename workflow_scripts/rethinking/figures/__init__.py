"""Figures of the paper and beyond."""

import os
import sys

# Before matplotlib is imported: the backend of a notebook, which programs started from it inherit, may be missing here.
if "matplotlib" not in sys.modules:
    os.environ["MPLBACKEND"] = "Agg"
