"""Fetch one file whose checksum is known: resumed, retried and verified before it gets its name.

The bytes are collected in ``<path>.<user id>.part`` beside the destination. This file outlives a killed process, so
the next call of the same user resumes where the last one stopped. Only a file with the right checksum is renamed. Where
another user has completed the file meanwhile, the part stays until its user calls again, or somebody deletes it.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import requests
import urllib3

from rethinking.data.published import SourceFile, seems
from rethinking.run.files import UserError
from rethinking.run.refusals import explain

ATTEMPTS = 5  # requests per address, counted from the last that brought something new
PAUSE_SECONDS = 1.0  # after the first failed request; it doubles after each further one
TIMEOUT_SECONDS = 30  # for a connection or for the next bytes
CHUNK_BYTES = 1 << 16
RETRIED_CLIENT_ERRORS = (408, 429)  # request timeout, too many requests: both mean "later"

ADVICE = (
    "Get the file in another way (a browser, another machine) and set in the config "
    "datasets.<name>.source: archive and datasets.<name>.path: to the file, or to the folder of all "
    "files if there are several. A folder or tar of the images (train/<class>/*.png, test/<class>/*.png) works too, "
    "with source: images."
)


class _Fault(Exception):
    """One failed request; ``transient`` says whether it is worth trying the same address again."""

    def __init__(self, reason: str, *, transient: bool):
        super().__init__(reason)
        self.transient = transient


def download(file: SourceFile, path: str | Path) -> None:
    """Make ``path`` the published file, from the first of its addresses that delivers it; its folder is made.

    If the right file is already there, it is kept. Temporary failures (no connection, a stall, a
    body cut short, status 5xx) are tried again; after others (404) the next address is tried.

    Raises:
        UserError: no address delivered the file (the message says what each one answered and what to do instead), or
            it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.geteuid()}.part")  # in a shared folder nobody can write another user's
    failures = []
    try:
        if path.exists():
            reason = file.mismatch(path)
            if reason is None:
                print(f"{path} is already there and has the right checksum")
                with suppress(OSError):  # there is none, or the folder can only be read
                    part.unlink()
                return
            print(f"{path} {reason}; downloading it again")
            failures.append(f"  {path} is there, but {reason}")
        path.parent.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            print(f"downloading {url}")
            failure = _fetch(url, part, file)
            if failure is None:
                with open(part, "rb") as complete:
                    os.fsync(complete.fileno())
                os.replace(part, path)
                print(f"{path} has the right checksum")
                return
            failures.append(f"  {url}: {failure}")
    except OSError as error:
        raise UserError(
            explain(OSError(error.errno, error.strerror or str(error), error.filename or str(path)))
        ) from error
    raise UserError("\n".join([f"{path.name} could not be downloaded.", *failures, ADVICE]))


def _fetch(url: str, part: Path, file: SourceFile) -> str | None:
    """Complete ``part`` from one address; return None, or why this address failed."""
    mismatches = attempt = 0
    most = _length(part)
    while True:
        attempt += 1
        try:
            _receive(url, part, file.size)
        except _Fault as fault:
            reason, give_up = str(fault), not fault.transient
        else:
            reason = file.mismatch(part)
            if reason is None:
                return None
            part.unlink()
            mismatches += 1
            # The first mismatch may come from an old partial file; the second comes from a complete download.
            give_up = mismatches == 2
        # A server can cut a large file many times. Where it begins again each time, only what is longer is new.
        if (length := _length(part)) > most:
            most, attempt = length, 1
        if give_up or attempt == ATTEMPTS:
            return reason
        delay = PAUSE_SECONDS * 2 ** (attempt - 1)
        print(f"attempt {attempt} of {ATTEMPTS}: {reason}; trying again in {delay:g} s")
        time.sleep(delay)


def _length(part: Path) -> int:
    """Bytes that are there of a file."""
    return part.stat().st_size if part.exists() else 0


def _receive(url: str, part: Path, size: int | None) -> None:
    """Append the missing bytes to ``part``, or start again if the server cannot resume."""
    offset = _length(part)
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            status = response.status_code
            if status == 416 and offset:
                return  # There are no further bytes; the checksum decides whether this is the file.
            if status not in (200, 206):
                transient = status >= 500 or status in RETRIED_CLIENT_ERRORS
                raise _Fault(f"the server answered {status} {response.reason}", transient=transient)
            if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                part.unlink(missing_ok=True)
                raise _Fault("the server sent another range than the one asked for", transient=True)
            with open(part, "ab" if status == 206 else "wb") as file:
                # Not iter_content: it would unpack a .gz that a server labels "Content-Encoding: gzip".
                for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                    if size is not None and file.tell() > size:
                        break  # Too long to be right, perhaps endless: the checksum refuses it.
    # A malformed address, here or where the server leads to, is a ValueError, which requests does not always wrap.
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _Fault(_explain(error), transient=not isinstance(error, ValueError)) from error
    received = part.stat().st_size
    if size is not None and received < size:
        reason = f"the connection closed after {received:,} of {size:,} bytes{seems(part)}"
        raise _Fault(reason, transient=True)


def _explain(error: Exception) -> str:
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer or no data for {TIMEOUT_SECONDS:g} s"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return f"the connection broke ({error})"
    if isinstance(error, requests.ConnectionError):
        # urllib3's reason is the cause, without requests' account of its own settings.
        return f"no connection ({getattr(error.args[0], 'reason', error) if error.args else error})"
    return str(error)
