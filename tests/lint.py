"""``snakemake --lint`` without its demand for a container or conda environment in every rule.

The environment is requirements.txt; a container that nobody has tried would document nothing.
"""

import sys

from snakemake.cli import main
from snakemake.linting.rules import RuleLinter

del RuleLinter.lint_missing_software_definition
sys.exit(main(["--lint"]))
