"""What the workflow's scripts share: how options reach them, how they log, and how they end when the input is wrong."""

import shlex
import sys
from collections.abc import Callable

from rethinking.run.files import UserError


def run(main: Callable[[], None]) -> None:
    """Call ``main``; a ``UserError`` ends the process with its message and status 1, without a traceback."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def options(**values: object) -> str:
    """Command-line options quoted for a shell: ``train_limit=5`` is ``--train-limit=5``; None is dropped."""
    return shlex.join(
        f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None
    )


def log(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
