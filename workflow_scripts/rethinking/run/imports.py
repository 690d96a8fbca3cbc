"""Imports of this project's modules: what runs is the text that :mod:`rethinking.run.code` follows, whatever is edited.

A process runs the code that it has imported while its files are edited. So the text of each file is kept when it is first
imported or followed, and counts from then on. This imports nothing that is slow.
"""

import sys
from functools import cache
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

SCRIPTS = Path(__file__).parents[2]


@cache
def source(path: Path) -> bytes:
    """The text of a file when it was first imported or followed."""
    return path.read_bytes()


class Loader(SourceFileLoader):
    """Imports a module from its :func:`source`."""

    def get_code(self, fullname: str) -> CodeType:
        """Its code; Python would take the file as it is now."""
        path = Path(self.path)
        if source(path) == path.read_bytes():
            return super().get_code(fullname)  # which may be compiled already
        return self.source_to_code(source(path), self.path)


def find_in(folder: str) -> FileFinder:
    """What finds the modules in a folder of this project.

    Raises:
        ImportError: it is another folder, so that Python asks its other finders.
    """
    if not Path(folder).is_relative_to(SCRIPTS):
        raise ImportError
    return FileFinder(folder, (Loader, [".py"]))


sys.path_hooks.insert(0, find_in)
sys.path_importer_cache.clear()
# The script that runs has been imported before.
if (main := Path(getattr(sys.modules["__main__"], "__file__", None) or "")).parent == SCRIPTS:
    source(main)
