"""What the workflow's scripts share: options, logging, records of identity and errors."""

import argparse
import base64
import io
import json
import os
import re
import shlex
import socket
import sys
import textwrap
import traceback
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rethinking.run import plugins
from rethinking.run.code import SCRIPTS, script_code
from rethinking.run.contents import content_digest
from rethinking.run.files import UserError
from rethinking.run.hardware import PROBABLY_FULL, is_out_of_memory
from rethinking.run.identity import (
    Identity,
    converted,
    made_of,
    read_record,
    record_path,
    recorded,
    remove,
    stamp,
    write_record,
)
from rethinking.run.refusals import as_os_error, explain, forgiving
from rethinking.run.shared import to_make
from rethinking.run.stop_signals import clean_up, end

LONG, LONGEST = 1 << 16, (1 << 17) - 100  # characters; Linux takes 128 KiB in one word of a command line
AGAIN = ":again"  # the end of what ``--record`` is given of a job that the user forces


def run(main: Callable[[], None], locked: bool = True) -> None:
    """Call ``main``, record the identity of the result that the option ``--record`` describes, and end the process.

    A ``UserError`` ends the process with its message and status 1, without a traceback, an error in a plug-in with its
    file and line, and a full GPU or a refusal of the operating system with what to do. A script that holds a lock of its
    own is not ``locked``; it sees to the record itself, before another process can begin to make the result from other
    settings.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log shows what a job waits for
    ignore_full_disk(sys.stdout)
    ignore_full_disk(sys.stderr)
    if job := os.environ.get("SLURM_JOB_ID"):
        print(f"SLURM job {job} on {os.environ.get('SLURMD_NODENAME', socket.gethostname())}, process {os.getpid()}")
    clean_up()
    try:
        asked = asked_for()
        turn = nullcontext(True)
        if asked and locked:
            turn = to_make(asked.outputs, asked.identity, asked.shared, asked.again, asked.of)
        with turn as needed:
            if needed:
                main()
                if asked and asked.source:
                    check_source(asked)
                if asked and asked.of:
                    check_needs(asked)
                if asked and locked:
                    # To read hundreds of gigabytes of shared data takes long, and no record names their stamp.
                    write_record(asked.outputs, asked.identity, asked.of, stamped=not asked.shared)
    except (Exception, SystemExit) as error:
        message = str(error) if isinstance(error, UserError) else full_gpu(error) or plugins.blame(error)
        if not message and (refusal := as_os_error(error)):
            message = explain(refusal)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    end()


def full_gpu(error: BaseException) -> str | None:
    """What to do where a GPU has no memory left; None for other errors."""
    if not isinstance(error, RuntimeError) or not is_out_of_memory(error):
        return None
    full = "probably full" if PROBABLY_FULL.search(str(error)) else "full"
    return (
        f"the GPU is {full} ({textwrap.shorten(str(error), 200)}); end what else runs on it, or lower "
        "hardware.cells_per_gpu if it is above 1. Networks on ImageNet take less with hardware.feeder streamed or a "
        "smaller micro_batch, fits with a smaller linear_models.solver.tile. A network resumes from its checkpoint at the "
        "next start"
    )


class Asked(NamedTuple):
    """The result that a job makes: its files, its identity, the folder that it shares with other workflows, its source.

    ``of`` are the stamps of the results that it is made from, None where they are not known.
    """

    outputs: list[str]
    identity: Identity
    shared: str | None
    source: list[Any] | None = None
    again: bool = False  # the user forces it
    of: list[str | None] | None = None
    needs: Sequence[str] = ()  # the first file of each of these results


@cache
def asked_for() -> Asked | None:
    """The result that the command line asks for; None without the option ``--record``.

    The code is looked up in the process that runs it (see :mod:`rethinking.run.imports`), because files may have been
    edited since the job was planned, and so are the identities of the results that it needs, which may have been made
    since then.
    """
    if "--record" not in sys.argv:
        return None
    place = sys.argv.index("--record")
    text = sys.argv[place + 1]
    record = unpacked(text.removesuffix(AGAIN))
    del sys.argv[place : place + 2]
    entries = [(Path(path), name) for path, name in record["entries"]]
    # What a plug-in imports is imported now, as it is followed: it may be edited while the job waits for a GPU.
    for path, _ in entries:
        if SCRIPTS not in path.parents:
            plugins.import_plugin(path)
    code = script_code(record["script"], entries)
    inputs = converted(record["inputs"], lambda each: recorded_input(**each))
    needs, of = [read_record(file) for file in record["needs"]], None
    if all(needs):  # a file server can show a new one late
        results, of = made_of(needs)
        if needs:
            inputs["results"] = results
    identity = Identity(record["settings"], code, inputs)
    again = text.endswith(AGAIN)
    return Asked(record["outputs"], identity, record["shared"], record["source"], again, of, record["needs"])


def check_source(asked: Asked) -> None:
    """Refuse a result of files that the user has replaced since the job was planned: it would pass as one of the old files.

    Raises:
        UserError: the files have other contents.
    """
    if content_digest(*asked.source) != asked.identity.inputs["source"]:
        raise UserError(f"{asked.source[2]} has changed since this job was planned; start again")


def check_needs(asked: Asked) -> None:
    """Refuse a result of others, and remove it, where one of them was made again meanwhile: it may mix both.

    Raises:
        UserError: another run trained a network again, say.
    """
    for file, before in zip(asked.needs, asked.of, strict=True):
        if stamp(file) != before:
            # Without a record what is left would pass as a result that was kept.
            remove(asked.outputs)
            raise UserError(
                f"{file} was made again while {asked.outputs[0]} was made from what was there before; the same command "
                "makes that again"
            )


def recorded_input(file: str, digest: str) -> Identity:
    """What an input was made from: the record beside its first file, which is too long for a command line.

    Raises:
        UserError: there is no such record, or it is another's.
    """
    found = recorded(file)
    if found is None or found.digest != digest:
        raise UserError(f"{record_path(file)} is not the record that this job was planned with; start again")
    return found


def running_code() -> dict[str, str]:
    """The code behind the numbers of the running script; empty if it is not one of the workflow's."""
    if result := asked_for():
        return dict(result.identity.code)
    script = Path(sys.argv[0]).stem
    return script_code(script) if (SCRIPTS / f"{script}.py").is_file() else {}


def networks_parser(description: str) -> argparse.ArgumentParser:
    """A parser of command lines that name networks: some cells with some seeds, among the folders below a root.

    Names in place of files, because there can be too many files for a command line.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", required=True, type=Path, help="folder that names of cells start from")
    parser.add_argument("--cells", nargs="*", default=[], help="names without seeds, in order")
    parser.add_argument("--seeds", nargs="+", required=True, help="of all cells, and NAME=0,1 of cells with fewer")
    return parser


def options(**values: object) -> str:
    """Command-line options quoted for a shell: ``train_limit=5`` is ``--train-limit=5``; None is dropped."""
    return shlex.join(f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None)


def packed(value: Any) -> str:
    """JSON values as one word of a command line: compressed where they are long.

    A text of the user with braces is compressed too: Snakemake would take them for a wildcard.

    Raises:
        UserError: they are too long for a command line.
    """
    text = json.dumps(value)
    if len(text) < LONG and not re.search(r"\{\s*\w", text):
        return text
    if len(word := base64.b64encode(zlib.compress(text.encode())).decode()) > LONGEST:
        raise UserError(
            f"what a job must be told takes {len(word):,} characters, but a command holds {LONGEST:,} (about 30,000 "
            "networks or measures); split the cells into configurations, each with a results_dir of its own"
        )
    return word


def unpacked(word: str) -> Any:
    """The values that :func:`packed` was given."""
    return json.loads(word if word.startswith(("{", "[")) else zlib.decompress(base64.b64decode(word)))


def attempt(instead: Callable[[str], Any], make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What ``make`` gives or, where it fails, what is shown instead: one table or figure must not stop the report.

    Raises:
        UserError: it is the user's to correct.
        OSError: the disk is full, or such.
    """
    try:
        return make(*arguments, **named)
    except (UserError, OSError):
        raise
    except Exception as error:
        traceback.print_exc()
        return instead(str(error) or type(error).__name__)


def log(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def ignore_full_disk(stream: TextIO) -> None:
    """Go on where the disk under a log is full: what is printed to the stream is written once there is room."""
    stream.write, stream.flush = forgiving(stream.write), forgiving(stream.flush)
