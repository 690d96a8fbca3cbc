"""Data sets in the formats in which they are published."""

import hashlib
import io
import sys
import tarfile
from dataclasses import replace

from rethinking import registry
from rethinking.data.published import published


def describe(monkeypatch, name, **changes):
    """Change the description of a published data set."""
    described, entry = replace(published(name), **changes), registry.entry("dataset", name)
    monkeypatch.setattr(sys.modules[entry.resolve().__module__], entry.function, lambda: described)


def accept(monkeypatch, name, contents, version=0):
    """Make these files the published ones of a version of a data set."""
    versions = list(published(name).versions)
    digests = {file: hashlib.md5(contents[file]).hexdigest() for file in versions[version].files}
    versions[version] = replace(versions[version], files=digests)
    describe(monkeypatch, name, versions=tuple(versions))


def pack(path, contents, folder, compression):
    """A tar archive of files in a folder."""
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def unpack(path, contents):
    """The same files in a folder."""
    path.mkdir(parents=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


# What may lie in place of a file
SOMETHING_ELSE = [(b"<html>Log in</html>", "an HTML page"), (b"", "an empty file"), (bytes(9), "zeros")]
