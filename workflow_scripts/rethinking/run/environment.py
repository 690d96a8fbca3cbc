"""The environment that every job runs in, on this machine or in a cluster, whatever the user's own holds."""

import getpass
import json
import os
import sys
from collections.abc import Mapping
from shlex import quote

from rethinking.run import plugin_files
from rethinking.run.code import SCRIPTS

# What would change the arithmetic of all programs on a machine behind a configuration's back. cuBLAS 13 can
# emulate products in float32 and float64 by ones in fewer bits.
ARITHMETIC = (
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "CUBLAS_EMULATE_SINGLE_PRECISION",
    "CUBLAS_EMULATE_DOUBLE_PRECISION",
    "CUBLAS_EMULATION_STRATEGY",
    "CUBLAS_FIXEDPOINT_EMULATION_MANTISSA_BIT_COUNT",
)
# The C library keeps freed blocks; otherwise each training step on the CPU would ask the kernel for the memory of its
# activations again.
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
# Where Python finds its packages, for the Python of jobs as for that of Snakemake.
INSTALLATION = ("PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")
# Tells jobs what the configuration calls copies of data sets, on which no number depends.
COPIES = "RETHINKING_COPIES"


def name_user() -> None:
    """Give a user ID without a name, as containers can have, its number for one: Snakemake stops without."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # before and since Python 3.13
        os.environ["LOGNAME"] = str(os.getuid())


def copies() -> dict[str, str]:
    """Data set -> what the configuration calls its copy, in a job; empty where there is no configuration."""
    return json.loads(os.environ.get(COPIES, "{}"))


def job_environment(copies: Mapping[str, str]) -> str:
    """The bash commands before each job, given what :func:`copies` returns; they hold for the programs that it starts.

    Raises:
        UserError: a list of paths cannot hold that of the library or of Python.
    """
    # What the user's PYTHONPATH adds (environment modules do) stays, behind the library. An empty or relative entry
    # is the working folder, and a random.py there would be imported in place of Python's.
    path = [
        plugin_files.listed(SCRIPTS, "a checkout"),
        *filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    values = {
        plugin_files.VARIABLE: os.pathsep.join(map(str, plugin_files.files())),
        COPIES: json.dumps(copies),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        # For the same reason 'python -m' must not look into the working folder.
        "PYTHONSAFEPATH": "1",
        # Logs and tables are UTF-8 in any locale.
        "PYTHONUTF8": "1",
        # Those of notebooks draw into the notebook.
        "MPLBACKEND": "Agg",
        # A network records the commit: if it is killed meanwhile, no index.lock may stay in the user's clone.
        "GIT_OPTIONAL_LOCKS": "0",
        **ALLOCATION,
    }
    values |= {name: os.environ[name] for name in INSTALLATION if name in os.environ}
    exports = " ".join(f"{name}={quote(value)}" for name, value in values.items())
    # Jobs run with the Python that runs Snakemake, whether or not its environment is activated. Other settings of
    # Python (PYTHONWARNINGS=error, PYTHONIOENCODING, PYTHONINSPECT, ...) are meant for the user's own programs.
    python = quote(plugin_files.listed(os.path.dirname(sys.executable), "Python"))
    return f"unset ${{!PYTHON@}} {' '.join(ARITHMETIC)}; export {exports} PATH={python}:$PATH; "
