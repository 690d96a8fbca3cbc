"""Data sets that are published as files: their descriptions, and how they are read from archives or unpacked folders."""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from rethinking import registry
from rethinking.data.archives import iter_members, walk
from rethinking.data.prepared import SPLITS, Dataset
from rethinking.run.file_types import NPZ, what_is
from rethinking.run.files import UserError, algorithm_of, hash_file
from rethinking.run.plugin_checks import TEXT, check_fields, is_digest, is_list

SHOWN = 5  # names in a message


@dataclass(frozen=True)
class SourceFile:
    """A file to download: addresses of identical copies, hexadecimal digests (None if unknown) and size in bytes.

    Raises:
        TypeError: a field is of another type, or no digest is known.
    """

    name: str
    urls: tuple[str, ...]
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check_fields(
            self,
            name=(
                "the name of a file, without folders",
                lambda value: isinstance(value, str) and value and "/" not in value,
            ),
            urls=("a tuple, of one ('https://...',)", is_list),
            md5=("32 hexadecimal digits, in lower case", lambda value: is_digest(value, 32)),
            sha256=("64 hexadecimal digits, in lower case", lambda value: is_digest(value, 64)),
            size=("a number of bytes", lambda value: value is None or isinstance(value, int)),
        )
        if not self.digest:
            raise TypeError(f"SourceFile '{self.name}' needs the md5 or the sha256 of the file")

    @property
    def digest(self) -> str:
        """The digest by which it is known: SHA-256, or MD5 where that is unknown."""
        return self.sha256 or self.md5

    def mismatch(self, path: Path) -> str | None:
        """How the file at ``path`` differs from the published one, or None if it does not."""
        for expected in filter(None, (self.sha256, self.md5)):
            algorithm = algorithm_of(expected)
            if (actual := hash_file(path, algorithm)) == expected:
                continue
            present = path.stat().st_size
            cut = self.size is not None and present < self.size
            hint = f" (truncated: it has {present:,} of {self.size:,} bytes)" if cut else ""
            return f"has {algorithm} {actual}, expected {expected}{hint}{seems(path)}"
        return None


@dataclass(frozen=True)
class Version:
    """One of the forms in which a data set is published.

    ``files`` are its files, each with the published digest of its contents: MD5 or SHA-256, depending on the length, or
    None if none is published: then a copy is known to be exact by :attr:`Published.records`, or if it is what is
    downloaded. The contents of a file that is published as .gz are unpacked if it is named without .gz.

    ``read`` turns the contents of these files into a data set. It is also given the path, for messages, and raises
    UserError where contents make no sense. It sees contents only after they were found to have their digests.

    Raises:
        TypeError: a field is of another type.
    """

    title: str
    files: Mapping[str, str | None]
    read: Callable[[Mapping[str, bytes], Path], Dataset]

    def __post_init__(self) -> None:
        check_fields(
            self,
            title=TEXT,
            files=(
                "a dictionary from names of files to an MD5, a SHA-256 or None",
                lambda value: (
                    isinstance(value, Mapping) and value and all(is_digest(x, 32, 64) for x in value.values())
                ),
            ),
            read=("a function", callable),
        )


@dataclass(frozen=True)
class Published:
    """What the function of a data set returns that is registered with ``published=True``.

    ``downloads`` are the files to fetch, which hold the first of the ``versions``. ``records`` are the SHA-256 of the
    sorted records of both splits (:func:`rethinking.data.prepared.records_sha256`), None if unknown.

    Raises:
        TypeError: a field is of another type.
    """

    downloads: tuple[SourceFile, ...]
    versions: tuple[Version, ...]
    records: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        check_fields(
            self,
            downloads=("a tuple, of one (SourceFile(...),)", lambda value: is_list(value, kind=SourceFile)),
            versions=("a tuple, of one (Version(...),)", lambda value: is_list(value, kind=Version)),
            records=(
                "two SHA-256, of training and test set",
                lambda value: value is None or (is_list(value, length=2) and [len(x) for x in value] == [64, 64]),
            ),
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the files of all versions."""
        return frozenset(name for version in self.versions for name in version.files)

    def file_of(self, name: str) -> str | None:
        """The published file that a file of this name can be; None if it can be none.

        Some archivers unpack ``train-images-idx3-ubyte.gz`` as ``train-images.idx3-ubyte``.
        """
        unpacked = name.removesuffix(".gz")
        names = (name, unpacked, unpacked.replace(".idx", "-idx"))
        return next((each for each in names if each in self.names), None)

    def local_files(self, folder: Path) -> list[Path]:
        """Its files in a folder, or up to two folders within it, as torchvision's MNIST/raw."""
        return sorted(
            file
            for depth in ("*", "*/*", "*/*/*")
            for file in folder.glob(depth)
            if self.file_of(file.name) and file.is_file()
        )

    def downloaded(self, path: Path) -> list[tuple[SourceFile, Path]]:
        """Its downloads, each with the place that it has if ``path`` is the single one, or the folder of all."""
        return [(each, path if path.is_file() else path / each.name) for each in self.downloads]

    def is_download(self, path: Path) -> bool:
        """Whether a file, or the files in a folder, are what is downloaded, by their digests."""
        return all(file.is_file() and not each.mismatch(file) for each, file in self.downloaded(path))


def seems(path: Path) -> str:
    """What a file seems to be, if it is not packed as published files are: a page to log in, for example."""
    with open(path, "rb") as content:
        kind = what_is(content.read(512))
    usual = ("a gzip", "an xz", NPZ)
    return f"; it seems to be {kind}" if kind and not kind.startswith(usual) else ""


def published(name: str) -> Published | None:
    """The description of a published data set; None for others.

    Raises:
        UserError: a plug-in's function returns something else.
    """
    entry = registry.entry("dataset", name)
    if not entry.published:
        return None
    found = entry.call()
    if not isinstance(found, Published):
        raise entry.fault("must return a Published, as it is registered with published=True")
    return found


def read_published(name: str, path: str | Path) -> tuple[Dataset, bool]:
    """Read a published data set.

    Args:
        name: of a published data set.
        path: an archive of one of its published versions (gzip, xz, bzip2 or no compression), or the folder of
            its files, or a folder with that folder in it.

    Returns:
        The data set, and whether every file of it, or what was downloaded, has its published checksum.

    Raises:
        UserError: files are missing, damaged, not the published ones, or of another data set.
    """
    path, description = Path(path), published(name)
    if path.is_file() and description.file_of(path.name):
        raise UserError(f"{path} is one of the files of a data set; give the path to the folder with all of them")
    contents = _collect(path, description)
    whole = (each for each in description.versions if each.files.keys() <= contents.keys())
    version = next(whole, None)
    if version is None:
        raise UserError(f"{path} {_what_is_missing(name, path, contents)}")
    for file, digest in version.files.items():
        if digest is None:
            continue
        actual = hashlib.new(algorithm_of(digest), contents[file]).hexdigest()
        if actual != digest:
            kind = what_is(contents[file])
            hint = f"; it seems to be {kind}" if kind and not kind.startswith(("an idx", NPZ)) else ""
            raise UserError(
                f"{path}: {file} is not the published file of {registry.entry('dataset', name).title} (digest {actual}, "
                f"expected {digest}{hint}); get the data set again"
            )
    verified = all(version.files.values()) or description.is_download(path)
    return version.read({file: contents[file] for file in version.files}, path), verified


def _collect(path: Path, description: Published) -> dict[str, bytes]:
    """Contents, by file name, of the files of any version; gzipped files unpacked, if it names them without .gz."""
    if path.is_dir():
        members = ((file.name, file.read_bytes()) for file in description.local_files(path))
    else:
        found = iter_members(path, lambda parts: description.file_of(parts[-1]) is not None)
        members = ((PurePosixPath(member).name, content) for member, content in found)
    contents: dict[str, bytes] = {}
    for file, content in members:
        key = description.file_of(file)
        if file.endswith(".gz") and not key.endswith(".gz"):
            content = _unpack(content, f"{path}: {file}")
        if contents.setdefault(key, content) != content:
            raise UserError(f"{path} holds two different files called {key}; keep the published one")
    return contents


def _unpack(content: bytes, name: str) -> bytes:
    """The contents of a gzipped file; a file that was unpacked but kept its name is returned unchanged."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is damaged or cut short ({error}); get it again") from error


def _what_is_missing(name: str, path: Path, contents: Mapping[str, bytes]) -> str:
    """What a folder or an archive without a whole version of a data set holds, for a message."""
    title, versions = registry.entry("dataset", name).title, published(name).versions
    for other in registry.entries("dataset"):
        if other.name != name and (description := published(other.name)):
            files = _collect(path, description).keys()
            if any(version.files.keys() <= files for version in description.versions):
                return f"holds {other.title}, not {title}; give the path to {title}"
    most = max(versions, key=lambda version: len(version.files.keys() & contents.keys()))
    if most.files.keys().isdisjoint(contents):
        known = " or ".join(f"{', '.join(each.files)} ({each.title})" for each in versions)
        return f"holds no files of {title}; it should hold {known}; {what_lies_in(path, 'archive')}"
    missing = ", ".join(file for file in most.files if file not in contents)
    return f"has no {missing}, which the {most.title} of {title} has; get the data set again"


def what_lies_in(path: Path, source: str) -> str:
    """What a folder or an archive has in place of what its source should have, for a message."""
    described = [(each.title, found) for each in registry.entries("dataset") if (found := published(each.name))]
    names: dict[str, None] = {}
    for parts, read in walk(path, lambda parts: len(parts) <= 2):
        names[parts[0]] = None
        if source == "images" and read:
            for title, description in described:
                if description.file_of(parts[-1]):
                    return f"it has files of {title}, which source: archive reads"
        if source == "archive" and not read and parts[-1] in SPLITS:
            return "it has folders train/ or test/, which source: images reads"
    more = ", ..." if len(names) > SHOWN else ""
    return f"it has {', '.join(list(names)[:SHOWN])}{more}" if names else "it is empty"
