"""When the operating system says no: one line with the path, its reason and the remedy."""

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SPACE = "free some space or raise the quota, then start again: what is finished stays"
RIGHTS = "have it made readable and writable for you, or choose another folder in the configuration"
SERVER = "the disk or the file server failed; start again when it is back: what is finished stays"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "raise the limit (ulimit -f), or choose a folder on another file system",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: "it can only be read: choose another folder in the configuration (results_dir, data_dir)",
    errno.ENOSYS: "its file system cannot do this; choose a folder on another one",
    errno.EOPNOTSUPP: "its file system cannot do this; choose a folder on another one",
    errno.EIO: SERVER,
    errno.ESTALE: SERVER,
    errno.ETIMEDOUT: SERVER,
    errno.ENOTCONN: SERVER,
    errno.EHOSTDOWN: SERVER,
    errno.EREMOTEIO: SERVER,
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; run fewer jobs at a time",
    errno.ENOMEM: "there is not enough memory; run fewer jobs at a time",
    errno.ENOENT: "start again, to have it made if the workflow makes it",
    errno.EEXIST: "something else is there (a file, or a link that leads nowhere); remove it, or choose another path",
    errno.ENOTDIR: "a file, or a link that leads nowhere, is where a folder should be; remove it, or choose another path",
    errno.EISDIR: "a folder is where a file should be; remove it, or choose another path",
    errno.ELOOP: "links lead in a circle; remove them",
    errno.ENAMETOOLONG: "choose a shorter path or name",
}


def explain(error: OSError) -> str:
    """The path, what the operating system said, and what to do."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else "a file"
    whose = ""
    if error.errno in (errno.EACCES, errno.EPERM):
        with suppress(OSError, KeyError):
            uid = os.stat(path).st_uid
            whose = f", it belongs to {Path(path).owner()}" if uid != os.geteuid() else ""
    remedy = REMEDIES.get(error.errno, "start again, or choose another folder in the configuration")
    return f"{path} cannot be used ({error.strerror}{whose}); {remedy}"


def as_os_error(error: BaseException) -> OSError | None:
    """The operating system's refusal behind an error; None if there is none."""
    if isinstance(error, OSError) and error.errno:
        return error
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", str(error)):  # NumPy's
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # of libraries in Rust
        return OSError(int(found[1]), os.strerror(int(found[1])))
    return None


def forgiving(function: Callable[..., Any], errors: type[Exception] = OSError) -> Callable[..., Any]:
    """Wrap a function so that such errors, by default refusals of the operating system as of a full disk, give None."""

    def try_it(*arguments: Any) -> Any:
        with suppress(errors):
            return function(*arguments)
        return None

    return try_it
