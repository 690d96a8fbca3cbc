"""Words of a command line that nothing in the workflow makes, and what was probably meant."""

import difflib
import os
from collections.abc import Iterable

NO_IDEA = "; 'snakemake --list-target-rules' shows what can be asked for, beside the files of results"
ELSEWHERE = "Results in another folder need their --configfile or --profile"


def describe_unknown(words: list[str], rules: Iterable[str], files: Iterable[str], results: str) -> str:
    """A message about words that are neither rules nor files of rules.

    Args:
        words: at least one.
        rules: the names of rules.
        files: what the configuration makes, the likelier ones first.
        results: the folder of the configuration's results.
    """
    paths = {os.path.relpath(file): file for file in files}
    short = {name: name for name in rules}
    for file in paths.values():
        short.setdefault(stem(file), file)

    def meant(word: str) -> str:
        """What is nearest: as a whole path, or by the names of rules, tables and figures, as in tabel1 or tabel1.csv."""
        path = os.path.relpath(word or ".")
        for file in paths.values():
            if path.endswith(f"/{os.path.relpath(file, results)}"):
                elsewhere = "" if os.path.realpath(word) == os.path.realpath(file) else f" {ELSEWHERE}"
                return f"; did you mean '{file}'?{elsewhere}"
        whole = difflib.get_close_matches(path, paths, 1, cutoff=0.8)
        near = whole or difflib.get_close_matches(stem(word), short, 1)
        return f"; did you mean '{(paths if whole else short)[near[0]]}'?" if near else NO_IDEA

    lines = [f"'{word}'{meant(word)}" for word in words]
    return "\n  ".join(["no rule makes these:", *lines]) if lines[1:] else f"no rule makes {lines[0]}"


def stem(path: str) -> str:
    """The name of a file without its ending."""
    return os.path.basename(path.rstrip("/")).split(".")[0]
