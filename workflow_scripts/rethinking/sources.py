"""Where each data set comes from: the published files with their checksums, or local paths."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from rethinking.download import verify
from rethinking.files import UserError


@dataclass(frozen=True)
class SourceFile:
    """A published file: addresses of equal copies, hexadecimal digests and size in bytes.

    ``contents_sha256`` is the digest of the unpacked bytes of a gzip file.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    md5: str
    size: int
    contents_sha256: str | None = None

    def verify(self, path: str | Path) -> None:
        """Check a copy of this file.

        Where ``contents_sha256`` is known, a copy that was packed anew passes too: unpacked MNIST
        files are common, and gzip packs them into other bytes than the published ones.

        Raises:
            UserError: the copy is missing, truncated or different.
        """
        if self.contents_sha256 is None or _contents_sha256(path) != self.contents_sha256:
            verify(path, sha256=self.sha256, md5=self.md5, size=self.size)


def _contents_sha256(path: str | Path) -> str | None:
    """Digest of what a gzip file holds; None where it cannot be unpacked."""
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return None


def _mnist(name: str, sha256: str, md5: str, size: int, contents_sha256: str) -> SourceFile:
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return SourceFile(name, tuple(mirror + name for mirror in mirrors), sha256, md5, size, contents_sha256)


SOURCES: dict[str, tuple[SourceFile, ...]] = {
    "cifar10": (
        SourceFile(
            name="cifar-10-python.tar.gz",
            urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            md5="c58f30108f718f92721af3b95e74349a",
            size=170_498_071,
        ),
    ),
    "cifar100": (
        SourceFile(
            name="cifar-100-python.tar.gz",
            urls=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
            sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            size=169_001_437,
        ),
    ),
    "mnist": (
        _mnist(
            "train-images-idx3-ubyte.gz",
            sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
            size=9_912_422,
            contents_sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        _mnist(
            "train-labels-idx1-ubyte.gz",
            sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            md5="d53e105ee54ea40749a09fcbcd1e9432",
            size=28_881,
            contents_sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        _mnist(
            "t10k-images-idx3-ubyte.gz",
            sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            md5="9fb629c4189551a2d022fa330f9573f3",
            size=1_648_877,
            contents_sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        _mnist(
            "t10k-labels-idx1-ubyte.gz",
            sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            md5="ec29112dd5afa0611ce80d1b7f02629c",
            size=4_542,
            contents_sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
}


def source_paths(name: str, source: str, path: str | None, downloads: str) -> list[str]:
    """The files (or the one folder of images) that a data set is made from; none if it is embedded.

    Args:
        name: the data set.
        source: ``official``, ``archive``, ``images`` or ``embedded``.
        path: the local file or folder, for ``archive`` and ``images``.
        downloads: the folder that published files are downloaded to, for ``official``.

    Raises:
        UserError: a local file does not exist; the message names the key of the config.
    """
    if source == "embedded":
        return []
    if source == "official":
        return [f"{downloads}/{file.name}" for file in SOURCES[name]]
    paths = [path]
    if source == "archive" and len(SOURCES[name]) > 1:
        paths = [f"{path}/{file.name}" for file in SOURCES[name]]
    for local in paths:
        if not Path(local).exists():
            raise UserError(f"{local} does not exist; correct datasets.{name}.path in the config")
    return paths
