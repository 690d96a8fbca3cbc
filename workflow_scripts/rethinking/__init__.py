"""Library behind the workflow: corruption, models, training and rendering.

Nothing in here knows Snakemake; the scripts one folder up connect the two.
"""

from rethinking.run import imports  # noqa: F401  before all other modules
