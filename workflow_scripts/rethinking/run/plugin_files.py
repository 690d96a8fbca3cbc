"""Which files of the user's own are plug-ins, in Snakemake and in the scripts of its jobs."""

import os
from collections.abc import Iterable
from pathlib import Path

from rethinking.run.files import UserError

# Tells the scripts of jobs, also on compute nodes, which plug-ins there are.
VARIABLE = "RETHINKING_PLUGINS"
_plugins: list[Path] | None = None


def use(files: Iterable[str | Path]) -> None:
    """Take these files as the plug-ins, each once; relative paths start from the working directory."""
    global _plugins
    _plugins = list(dict.fromkeys(Path(file).resolve() for file in files))
    for file in _plugins:
        if file.suffix != ".py":  # Python imports no others
            raise UserError(f"{file}: a plug-in is a Python file; give it a name that ends in .py")
        listed(file, "a plug-in")


def listed(path: str | Path, what: str) -> str:
    """A path as one of a list such as PYTHONPATH; ``what`` lies there.

    Raises:
        UserError: it holds what separates the paths of such a list.
    """
    if os.pathsep in str(path):
        raise UserError(f"{path}: the path of {what} cannot hold '{os.pathsep}'; rename its folder or move it")
    return str(path)


def files() -> list[Path]:
    """The files of the plug-ins: the loaded ones, or those named by a job's environment."""
    if _plugins is not None:
        return _plugins
    return [Path(file) for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file]


def folders() -> list[Path]:
    """The folders of the plug-ins."""
    return list(dict.fromkeys(file.parent for file in files()))
