"""What ends Snakemake before it reads the Snakefile, told with place and remedy.

Those are configurations that it cannot read, files or words of the command line, and a home folder that is full. It
ends with a traceback, or without the file's name. It loads all executors before, so that this package is the first of
the project's code to see the command line.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain, takewhile

# How each option is written, and its value where that stands in the same word: --config=seeds=3, -nCseeds=3.
OPTIONS = {
    "--config": re.compile("(?:--config(?:=|$)|-[Fknp]*C=?)(.*)", re.DOTALL),
    "--configfile": re.compile("--configfiles?(?:=|$)(.*)", re.DOTALL),
}
OF_OPTION = {"--config": "settings key=value", "--configfile": "configuration files"}
ROOM = 1 << 20  # bytes; more than the copies of all rules take


def check_command_line(arguments: Sequence[str]) -> None:
    """Check the configuration files and settings of a command ``snakemake ...``, and where it copies rules to.

    Args:
        arguments: the command line, the program first; other programs are left alone.

    Raises:
        SystemExit: one of them cannot be used, or an option is repeated, of which Snakemake takes the last alone; the
            message names it and what would be right.
    """
    if not (arguments and is_snakemake(arguments[0])):
        return
    if fault := fault_in_cache():
        sys.exit(f"snakemake: {fault}")
    words = [*takewhile(lambda each: each != "--", arguments)]
    # Of each option how often it is given, the words behind it that are meant for it, and the others.
    times, kept, targets = dict.fromkeys(OPTIONS, 0), {option: [] for option in OPTIONS}, {}
    right, number = [], 1  # all but targets and what is kept, each option once; where the next word is
    while number < len(words):
        word = words[number]
        number += 1
        matches = ((option, written.fullmatch(word)) for option, written in OPTIONS.items())
        option, found = next((each for each in matches if each[1]), ("", None))
        if not found:
            right.append(word)
            continue
        behind = [] if found[1] else [*takewhile(lambda each: not each.startswith("-"), words[number:])]
        number += len(behind)
        values = [found[1]] if found[1] else behind
        times[option] += 1
        for place, each in enumerate(values):
            (targets.setdefault(option, []) if is_target(option, each, place) else kept[option]).append(each)
        right += re.findall("^-[Fknp]+", word)
        right += [option] if times[option] == 1 else []
    if targets:
        told = "".join(
            f"{option} takes all words up to the next option, and so '{' '.join(some)}', for {OF_OPTION[option]}. "
            for option, some in targets.items()
        )
        right = [each for word in right if kept.get(word, True) for each in (word, *kept.get(word, []))]
        right = ["snakemake", *chain(*targets.values()), *arguments[len(words) + 1 :], *right]
        sys.exit(f"snakemake: {told}Put targets first: {shlex.join(right)}")
    for option, some in kept.items():
        check = fault_in_setting if option == "--config" else fault_in
        if fault := next(filter(None, map(check, some)), None):
            sys.exit(f"snakemake: {fault}")
        if times[option] > 1:
            sys.exit(
                f"snakemake: {option} is given {times[option]} times, of which only the last would count. "
                f"Give it once: {option} {shlex.join(some)}"
            )


def fault_in_cache() -> str | None:
    """Why Snakemake cannot copy rules to the home folder, as where a quota is reached; None if it can."""
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "snakemake")
    try:
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        return (
            f"{cache} cannot be written ({error.strerror}), where Snakemake copies rules to; free some space, "
            "or choose another folder: export XDG_CACHE_HOME=FOLDER"
        )
    return None


def fault_in_setting(word: str) -> str | None:
    """Why a word behind ``--config`` is no setting; None if it is."""
    key, _, setting = word.partition("=")
    section, *keys = key.split(".")
    if not keys:
        return None
    for each in reversed(keys):
        setting = f"{{{each}: {setting}}}"
    return f"--config {word}: a key of a section stands in braces: --config {section}='{setting}'"


def is_target(option: str, word: str, place: int) -> bool:
    """Whether a word at a place behind an option is no setting or configuration file, and so probably a target."""
    if option == "--config":
        return "=" not in word
    return place > 0 and (is_result(word) or bool(not word.endswith((".yaml", ".yml", ".json")) and fault_in(word)))


def is_snakemake(program: str) -> bool:
    """Whether a command line is one of Snakemake, by its first word."""
    return os.path.basename(program) == "snakemake" or program.endswith(os.path.join("snakemake", "__main__.py"))


def is_result(file: str) -> bool:
    """Whether a JSON file is one of the results: it has a record beside it, or is to be made."""
    beside = os.path.join(os.path.dirname(file), ".identity")
    return file.endswith(".json") and (os.path.isdir(beside) or not os.path.exists(file))


def fault_in(file: str) -> str | None:
    """Why a file is no configuration; None if it is one."""
    import json

    import yaml

    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError as error:
        return f"the configuration file {file} cannot be read ({error.strerror}); correct its name or its permissions"
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return f"{file}:{line}: the byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8"
    try:
        values = json.loads(text)
    except ValueError:
        try:
            values = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # also a date that does not exist
            mark = getattr(error, "problem_mark", None)
            place = f"{file}:{mark.line + 1}" if mark else file
            line = text.split("\n")[mark.line] if mark else ""
            tab = bool(mark) and "\t" in line[: mark.column + 1]
            what = "a tab; YAML is indented by spaces" if tab else getattr(error, "problem", None) or error
            # Of cells: YAML takes {, [ and * at the start, and {, } and a comma within [ ], for its own.
            pattern = re.search(r"/\S*[{*]|[}*]\S*/", line)
            hint = '; a pattern needs quotes, as in "cifar10/{true,random}_labels/*/none"' if pattern else ""
            return f"{place}: not YAML: {what}{hint}"
    try:
        json.dumps(values, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        return f"{file}: an alias (*name) stands within what it names (&name), and so has no end; write it out"
    if not isinstance(values, dict):
        return f"{file} is no configuration: it holds {'nothing' if values is None else 'no keys'}; give 'key: value' lines"
    return None
