"""Where each data set comes from: its published versions with their checksums, and local copies of them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rethinking import registry
from rethinking.data.archives import Parts, is_litter, walk, walk_folder
from rethinking.data.prepared import SPLITS
from rethinking.run.files import UserError


@dataclass(frozen=True)
class SourceFile:
    """A file to download: addresses of identical copies, hexadecimal digests (None if unknown) and size in bytes."""

    name: str
    urls: tuple[str, ...]
    md5: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Version:
    """One of the forms in which a data set is published.

    ``files`` are its files, each with the published digest of its contents: MD5 or SHA-256, depending on the
    length, or None if none is published: then a copy is known to be exact by ``records``, or as an archive by its checksum.
    """

    title: str
    files: Mapping[str, str | None]


@dataclass(frozen=True)
class Published:
    """A published data set.

    ``downloads`` are the files of its first version, which are fetched by default. ``records`` are the SHA-256
    of the sorted records of both splits (:func:`rethinking.data.prepared.records_sha256`), None if unknown.
    """

    title: str
    downloads: tuple[SourceFile, ...]
    versions: tuple[Version, ...]
    records: tuple[str, str] | None


def _mnist(name: str, sha256: str, md5: str, size: int) -> SourceFile:
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return SourceFile(name, tuple(mirror + name for mirror in mirrors), md5, sha256, size)


SOURCES: dict[str, Published] = {
    "cifar10": Published(
        title="CIFAR-10",
        downloads=(
            SourceFile(
                name="cifar-10-binary.tar.gz",
                urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                md5="c32a1d4ab5d03f1284b67883e8d87530",
                sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                size=170_052_171,
            ),
        ),
        versions=(
            Version(
                "binary version",
                {
                    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
                    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
                    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
                    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
                    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
                    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
                },
            ),
            Version(
                "Python version",
                {
                    "data_batch_1": "c99cafc152244af753f735de768cd75f",
                    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                    "data_batch_4": "634d18415352ddfa80567beed471001a",
                    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                    "test_batch": "40351d587109b95175f43aff81a1287e",
                },
            ),
        ),
        records=(
            "72083841cd0fa633f09b24c0833cf6d6a1809caff400317117334e0aa6b0ed46",
            "f1bbb931260cda782c84c1948c82d910e2c193cb1d56756293f445027090946b",
        ),
    ),
    "cifar100": Published(
        title="CIFAR-100",
        downloads=(
            SourceFile(
                name="cifar-100-binary.tar.gz",
                urls=("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
                md5="03b5dce01913d631647c71ecec9e9cb8",
            ),
        ),
        versions=(
            # No digests of these three files are published, only that of their archive.
            Version("binary version", {"train.bin": None, "test.bin": None, "fine_label_names.txt": None}),
            Version(
                "Python version",
                {
                    "train": "16019d7e3df5f24257cddd939b257f8d",
                    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
                    "meta": "7973b15100ade9c7d40fb424638fde48",
                },
            ),
        ),
        records=None,
    ),
    "mnist": Published(
        title="MNIST",
        downloads=(
            _mnist(
                "train-images-idx3-ubyte.gz",
                sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
                size=9_912_422,
            ),
            _mnist(
                "train-labels-idx1-ubyte.gz",
                sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                md5="d53e105ee54ea40749a09fcbcd1e9432",
                size=28_881,
            ),
            _mnist(
                "t10k-images-idx3-ubyte.gz",
                sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                md5="9fb629c4189551a2d022fa330f9573f3",
                size=1_648_877,
            ),
            _mnist(
                "t10k-labels-idx1-ubyte.gz",
                sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                md5="ec29112dd5afa0611ce80d1b7f02629c",
                size=4_542,
            ),
        ),
        # Digests are of the unpacked bytes, because compressing them again need not give the published file.
        versions=(
            Version(
                "idx version",
                {
                    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                },
            ),
        ),
        records=(
            "da6370735bf1d490f086dde49c15f2ed0480ad05dc7c70abf5d36bf471d5e312",
            "0c7bc63f656fb2440dc2b5bea4ff3ac8632e305b73ec1dc88141a32d36204fac",
        ),
    ),
}


def sources(name: str) -> tuple[str, ...]:
    """The kinds of source that a data set can come from; those of a plug-in are read by it or as a folder of images."""
    return registry.entry("dataset", name).options.get("sources", ("plugin", "images"))


# Of all versions of all data sets, so that a wrong data set can be recognised.
FILE_NAMES = {
    name: published.title
    for published in SOURCES.values()
    for version in published.versions
    for name in version.files
}
SHOWN = 5  # names in a message


def published_name(name: str) -> str | None:
    """The name of the published file that a file can be; None if it can be none.

    Some archivers unpack ``train-images-idx3-ubyte.gz`` as ``train-images.idx3-ubyte``.
    """
    name = name.removesuffix(".gz").replace(".idx", "-idx")
    return name if name in FILE_NAMES else None


def local_files(folder: Path) -> list[Path]:
    """The files of published data sets in a folder, or up to two folders within it, as torchvision's MNIST/raw."""
    return sorted(
        file
        for depth in ("*", "*/*", "*/*/*")
        for file in folder.glob(depth)
        if published_name(file.name) and file.is_file()
    )


def walk_images(path: Path, litter: list[str]) -> Iterator[tuple[Parts, Callable[[], bytes] | None]]:
    """Walk over ``train`` and ``test`` of a folder, or of a tar archive or the folders in it (see :func:`walk`)."""
    if path.is_dir():
        return walk(path, lambda parts: parts[0] in SPLITS, litter)
    return walk(path, lambda parts: not set(SPLITS).isdisjoint(parts[:2]), litter)


def image_folder(path: Path) -> Path:
    """The folder with ``train`` or ``test``: this one or, if it has neither, the only one in it that has."""
    if any(os.path.lexists(path / part) for part in SPLITS):
        return path
    inner = [
        each
        for each in path.glob("*/")
        if not is_litter(each.name) and any(os.path.lexists(each / part) for part in SPLITS)
    ]
    return path / only_folder(path, [each.name for each in inner]) if inner else path


def only_folder(path: Path, names: Iterable[str]) -> str:
    """The folder in ``path`` with ``train`` or ``test``, of which there must be one."""
    first, *others = sorted(names)
    if others:
        shown = ", ".join([first, *others][:SHOWN])
        raise UserError(
            f"{path} has train/ or test/ in several folders: {shown}; give the path to one of them"
        )
    return first


def source_files(source: str, path: Path) -> list[tuple[str, Path]]:
    """The files that are read from a folder: their names within it, and their paths, sorted."""
    if source == "archive":
        return [(file.relative_to(path).as_posix(), file) for file in local_files(path)]
    if source != "images":
        found = walk_folder(path)
    else:
        path = image_folder(path)
        found = walk_folder(path, lambda parts: parts[0] in SPLITS)
    return [("/".join(parts), file) for parts, file in found if not file.is_dir()]


def what_lies_in(path: Path, source: str) -> str:
    """What a folder or an archive has in place of what its source should have, for a message."""
    names: dict[str, None] = {}
    for parts, read in walk(path, lambda parts: len(parts) <= 2):
        names[parts[0]] = None
        if source == "images" and read and (title := FILE_NAMES.get(published_name(parts[-1]))):
            return f"it has files of {title}, which source: archive reads"
        if source == "archive" and not read and parts[-1] in SPLITS:
            return "it has folders train/ or test/, which source: images reads"
    more = ", ..." if len(names) > SHOWN else ""
    return f"it has {', '.join(list(names)[:SHOWN])}{more}" if names else "it is empty"
