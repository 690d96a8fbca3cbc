"""Fetch one file whose checksum is known: resumed, retried and verified before it gets its name.

The bytes are collected in ``<path>.part`` beside the destination. This file outlives a killed process, so the
next call resumes where the last one stopped. Only a file with the right checksum is renamed.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from rethinking.run.file_types import what_is
from rethinking.run.files import UserError, hash_file
from rethinking.run.refusals import explain

CHUNK_BYTES = 1 << 16
RETRIED_CLIENT_ERRORS = (408, 429)  # request timeout, too many requests: both mean "later"

ADVICE = (
    "Get the file in another way (a browser, another machine) and set in the config "
    "datasets.<name>.source: archive and datasets.<name>.path: to the file (for mnist: to the folder of "
    "its four files). A folder or tar of the images (train/<class>/*.png, test/<class>/*.png) works too, "
    "with source: images."
)


class _Fault(Exception):
    """One failed request; ``transient`` says whether it is worth trying the same address again."""

    def __init__(self, reason: str, *, transient: bool):
        super().__init__(reason)
        self.transient = transient


@dataclass(frozen=True)
class _Expected:
    """What is known about the right file: hexadecimal digests and size in bytes."""

    sha256: str | None
    md5: str
    size: int | None

    def mismatch(self, path: Path) -> str | None:
        """How the file differs from what is expected, or None if it does not."""
        for algorithm, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected is None:
                continue
            actual = hash_file(path, algorithm)
            if actual != expected:
                present = path.stat().st_size
                cut = self.size is not None and present < self.size
                hint = f" (truncated: it has {present:,} of {self.size:,} bytes)" if cut else ""
                with open(path, "rb") as file:
                    kind = what_is(file.read(512))
                seems = (
                    f"; it seems to be {kind}" if kind and not kind.startswith(("a gzip", "an xz")) else ""
                )
                return f"has {algorithm} {actual}, expected {expected}{hint}{seems}"
        return None


def download(
    urls: Sequence[str],
    path: str | Path,
    *,
    md5: str,
    sha256: str | None = None,
    size: int | None = None,
    attempts: int = 5,
    backoff_seconds: float = 1.0,
    timeout_seconds: float = 30,
    log: Callable[[str], None] = print,
) -> None:
    """Make ``path`` the file with these checksums, from the first of ``urls`` that delivers it.

    If the right file is already there, it is kept. Temporary failures (no connection, a stall, a
    body cut short, status 5xx) are tried again; after others (404) the next address is tried.

    Args:
        urls: addresses of the same file, in order of preference.
        path: the destination; its folder is made.
        md5: expected digest, hexadecimal.
        sha256: expected digest, hexadecimal, if published.
        size: expected size in bytes, if known; it tells a truncated file from a wrong one.
        attempts: requests per address.
        backoff_seconds: pause after the first failed request; it doubles after each further one.
        timeout_seconds: longest wait for a connection or for the next bytes.
        log: receives one line per event.

    Raises:
        UserError: no address delivered the file (the message says what each one answered and what to do instead), or
            it cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    expected = _Expected(sha256, md5, size)
    failures = []
    try:
        if path.exists():
            reason = expected.mismatch(path)
            if reason is None:
                log(f"{path} is already there and has the right checksum")
                return
            log(f"{path} {reason}; downloading it again")
        path.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            log(f"downloading {url}")
            failure = _fetch(url, part, expected, attempts, backoff_seconds, timeout_seconds, log)
            if failure is None:
                with open(part, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(part, path)
                log(f"{path} has the right checksum")
                return
            failures.append(f"  {url}: {failure}")
    except OSError as error:
        raise UserError(
            explain(OSError(error.errno, error.strerror or str(error), error.filename or str(path)))
        ) from error
    raise UserError("\n".join([f"{path.name} could not be downloaded.", *failures, ADVICE]))


def _fetch(
    url: str,
    part: Path,
    expected: _Expected,
    attempts: int,
    backoff_seconds: float,
    timeout_seconds: float,
    log: Callable[[str], None],
) -> str | None:
    """Complete ``part`` from one address; return None, or why this address failed."""
    mismatches = 0
    for attempt in range(1, attempts + 1):
        try:
            _receive(url, part, expected.size, timeout_seconds)
        except _Fault as fault:
            reason, give_up = str(fault), not fault.transient
        else:
            reason = expected.mismatch(part)
            if reason is None:
                return None
            part.unlink()
            mismatches += 1
            # The first mismatch may come from an old partial file; the second comes from a complete download.
            give_up = mismatches == 2
        if give_up or attempt == attempts:
            break
        delay = backoff_seconds * 2 ** (attempt - 1)
        log(f"attempt {attempt} of {attempts}: {reason}; trying again in {delay:g} s")
        time.sleep(delay)
    return reason


def _receive(url: str, part: Path, size: int | None, timeout_seconds: float) -> None:
    """Append the missing bytes to ``part``, or start again if the server cannot resume."""
    offset = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout_seconds) as response:
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
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # requests raises ValueError for a malformed address.
        raise _Fault(_explain(error, timeout_seconds), transient=not isinstance(error, ValueError)) from error
    received = part.stat().st_size
    if size is not None and received < size:
        raise _Fault(f"the connection closed after {received:,} of {size:,} bytes", transient=True)


def _explain(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer or no data for {timeout_seconds:g} s"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return f"the connection broke ({error})"
    if isinstance(error, requests.ConnectionError):
        # urllib3's reason is the cause, without requests' account of its own settings.
        return f"no connection ({getattr(error.args[0], 'reason', error) if error.args else error})"
    return str(error)
