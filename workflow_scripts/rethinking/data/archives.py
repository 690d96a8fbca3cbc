"""Read tar archives without extracting, so that nothing can be written outside a folder."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from rethinking.run.files import UserError

OPENERS = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\x00", lzma.open), (b"BZh", bz2.open))
DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def iter_members(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each regular file of a tar archive (plain, gz, xz or bz2), in its order.

    Folders are skipped; names come without a leading ``./``.

    Raises:
        UserError: the archive is missing, damaged or cut short, or a member is a link or a device or
            has a name that leads out of the archive (absolute, or with ``..``).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file; a tar archive is needed")
    try:
        with _open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = _safe_name(path, member)
                if member.isfile():
                    yield name, archive.extractfile(member).read()
            # tarfile mistakes a cut or broken header after the first member for the end. A complete archive
            # ends with two zero blocks: tarfile has read the first one, and only zeros may follow.
            rest = archive.fileobj.read(tarfile.BLOCKSIZE)
            if not rest:
                raise tarfile.ReadError("the end marker is missing")
            while rest:
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("a header is broken")
                rest = archive.fileobj.read(1 << 20)
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged or cut short, or not a tar archive ({error}); get or make it again"
        ) from error


def _open(path: Path) -> IO[bytes]:
    """The uncompressed bytes. Unlike tarfile's own streams, these readers notice a cut and a wrong CRC."""
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, opener in OPENERS:
        if start.startswith(magic):
            return opener(path)
    return open(path, "rb")


def _safe_name(path: Path, member: tarfile.TarInfo) -> str:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"{path}: member {member.name!r} leads out of the archive; refusing to read it")
    if not (member.isfile() or member.isdir()):
        raise UserError(
            f"{path}: member {member.name!r} is a link or a device; only files and folders are read"
        )
    return str(name)


class Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: io.BufferedReader, start: int, length: int) -> None:
        self.file, self.start, self.length, self.place = file, start, length, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place in the part; returns it."""
        self.place = offset + (0, self.place, self.length)[whence]
        return self.place

    def tell(self) -> int:
        """The place in the part."""
        return self.place

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most to the end of the part."""
        left = max(0, self.length - self.place)
        content = os.pread(self.file.fileno(), left if size < 0 else min(size, left), self.start + self.place)
        self.place += len(content)
        return content


def walk_headers(
    path: Path | str, file: io.BufferedReader | Window, marked: bool = True
) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each file in a tar, from its headers alone.

    ``marked`` asks for the mark at the end, without which a tar may have been cut between two files.
    """
    try:
        end = file.seek(0, io.SEEK_END)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # 1.28 million of them would fill memory
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError(f"{member.name} is not complete")
                if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                    yield member.name, member.offset_data, member.size
            # tarfile takes a broken header for the end.
            file.seek(archive.offset)
            block = file.read(tarfile.BLOCKSIZE)
            if block.strip(b"\0") or (marked and len(block) < tarfile.BLOCKSIZE):
                raise tarfile.ReadError("a header is broken" if block else "the end marker is missing")
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged or cut short, or not a tar archive ({error}); get it again"
        ) from error
