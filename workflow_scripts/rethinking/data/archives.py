"""One walk over the files of a folder or of a tar archive: both give the same names, and no file is skipped silently.

Archives are read as a stream, without extracting: nothing can be written outside a folder.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from rethinking.run.file_types import what_is
from rethinking.run.files import UserError

OPENERS = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\x00", lzma.open), (b"BZh", bz2.open))
DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)
# What operating systems and file servers put beside the user's files, apart from hidden files.
LITTER = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "lost+found", "$recycle.bin",
    "system volume information",
}  # fmt: skip

Parts = tuple[str, ...]
Wanted = Callable[[Parts], bool]


def everything(_parts: Parts) -> bool:
    """Walk over all files."""
    return True


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or was put there by an operating system."""
    return name.startswith(".") or name.lower() in LITTER


def walk(
    path: str | Path, wanted: Wanted = everything, litter: list[str] | None = None
) -> Iterator[tuple[Parts, Callable[[], bytes] | None]]:
    """Yield each file and folder in a folder (sorted) or a tar archive (in its order): the parts of its name, and a
    function that reads its content, to be called before the next step; None for a folder.

    In a folder, links are followed.

    Args:
        path: the folder or archive.
        wanted: tells by the parts of a name whether to look at it; what is in an unwanted folder is unwanted.
        litter: gets the names of files and folders that are hidden or an operating system's; they are skipped.

    Raises:
        UserError: a wanted member is a device, a link that leads nowhere, to itself or (in an archive) anywhere, or has
            a name that leads out of the archive; or the archive is missing, damaged or cut short.
        OSError: something cannot be read.
    """
    path = Path(path)
    litter = [] if litter is None else litter
    if path.is_dir():
        for parts, file in walk_folder(path, wanted, litter):
            yield parts, None if file.is_dir() else file.read_bytes
    else:
        yield from _walk_archive(path, wanted, litter)


def walk_folder(
    folder: Path, wanted: Wanted = everything, litter: list[str] | None = None, within: Parts = ()
) -> Iterator[tuple[Parts, Path]]:
    """Yield the parts of the name and the path of each file and folder in a folder, like :func:`walk`."""
    for name in sorted(os.listdir(folder)):
        parts, file = (*within, name), folder / name
        if not wanted(parts):
            continue
        if is_litter(name):
            if litter is not None:
                litter.append("/".join(parts))
            continue
        try:
            kind = file.stat()
        except OSError as error:
            if not file.is_symlink() or isinstance(error, PermissionError):
                raise
            raise UserError(
                f"{file} is a link to {os.readlink(file)}, which leads nowhere ({error.strerror}); get the file, or "
                "remove the link"
            ) from error
        if stat.S_ISDIR(kind.st_mode):
            above = (folder, *list(folder.parents)[: len(within)])
            if file.is_symlink() and any(os.path.samestat(kind, each.stat()) for each in above):
                raise UserError(f"{file} is a link to a folder that it lies in itself; remove it")
            yield parts, file
            yield from walk_folder(file, wanted, litter, parts)
        elif stat.S_ISREG(kind.st_mode):
            yield parts, file
        else:
            raise UserError(f"{file} is a device, a pipe or a socket; only files and folders are read: remove it")


def iter_members(path: str | Path, wanted: Wanted = everything) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a folder or tar archive (see :func:`walk`)."""
    for parts, read in walk(path, wanted):
        if read:
            yield "/".join(parts), read()


def _walk_archive(path: Path, wanted: Wanted, litter: list[str]) -> Iterator[tuple[Parts, Callable[[], bytes] | None]]:
    if not path.is_file():
        raise UserError(f"{path} is not a file; a tar archive is needed")
    with _damage_named(path), _open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            parts = _parts(path, member)
            if not parts or not wanted(parts):
                continue
            if any(map(is_litter, parts)):
                litter.append("/".join(parts))
            elif member.isdir():
                yield parts, None
            elif member.isfile():
                yield parts, partial(_read, path, archive, member)
            else:
                raise UserError(
                    f"{path}: member {member.name!r} is a link or a device; only files and folders are read. Pack "
                    "the files themselves (tar --dereference --hard-dereference), or unpack it and give the folder"
                )
        # tarfile mistakes a cut or broken header after the first member for the end. A complete archive
        # ends with two zero blocks: tarfile has read the first one, and only zeros may follow.
        rest = archive.fileobj.read(tarfile.BLOCKSIZE)
        if not rest:
            raise tarfile.ReadError("the end marker is missing")
        while rest:
            if rest.strip(b"\0"):
                raise tarfile.ReadError("a header is broken")
            rest = archive.fileobj.read(1 << 20)


def _read(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _damage_named(path):
        return archive.extractfile(member).read()


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn errors of a damaged archive into one that names it."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the archive's
            raise OSError(error.errno, error.strerror, str(path)) from error
        kind = what_is(_start(path))
        seems = f"; it seems to be {kind}" if kind else ""
        raise UserError(
            f"{path} is damaged or cut short, or not a tar archive ({error}){seems}; get or make it again"
        ) from error


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _open(path: Path) -> IO[bytes]:
    """The uncompressed bytes. Unlike tarfile's own streams, these readers notice a cut and a wrong CRC."""
    start = _start(path)
    for magic, opener in OPENERS:
        if start.startswith(magic):
            return opener(path)
    return open(path, "rb")


def _parts(path: Path, member: tarfile.TarInfo) -> Parts:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"{path}: member {member.name!r} leads out of the archive; refusing to read it")
    return name.parts


def walk_headers(
    path: Path | str, file: IO[bytes], marked: bool = True
) -> Iterator[tuple[str, int, int, Callable[[], IO[bytes]]]]:
    """Name, offset and size of each file in a tar, from its headers alone, and a function that opens it.

    What is opened is to be read before the next step. ``marked`` asks for the mark at the end, without which a tar may
    have been cut between two files.
    """
    try:
        end = file.seek(0, io.SEEK_END)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # 1.28 million of them would fill memory
                if member.issparse():  # its zeros are left out, so that its bytes do not lie where its size says
                    raise UserError(
                        f"{path}: member {member.name!r} was packed with tar --sparse; pack the files without -S"
                    )
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError(f"{member.name} is not complete")
                if member.islnk() or member.issym():
                    raise UserError(
                        f"{path}: member {member.name!r} is a link; only files are read. Pack the files themselves "
                        "(tar --dereference --hard-dereference), or give the folder"
                    )
                if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                    yield member.name, member.offset_data, member.size, partial(archive.extractfile, member)
            # tarfile takes a broken header for the end.
            file.seek(archive.offset)
            block = file.read(tarfile.BLOCKSIZE)
            if block.strip(b"\0") or (marked and len(block) < tarfile.BLOCKSIZE):
                raise tarfile.ReadError("a header is broken" if block else "the end marker is missing")
    except DAMAGE as error:
        raise UserError(f"{path} is damaged or cut short, or not a tar archive ({error}); {_remedy(file)}") from error


def _remedy(file: IO[bytes]) -> str:
    """What to do about an archive whose headers cannot be read, by what it seems to be."""
    file.seek(0)
    start = file.read(512)
    if start.startswith(tuple(magic for magic, _ in OPENERS)):
        return "it is compressed: unpack it to a plain tar, because images are read where they lie"
    kind = what_is(start)
    return f"it seems to be {kind}; get it again" if kind and kind != "a tar archive" else "get it again"
