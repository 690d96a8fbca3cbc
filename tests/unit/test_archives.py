"""Archives are read completely or refused; no member can lead out of them."""

import io
import tarfile

import pytest

from rethinking.data.archives import iter_members, walk_headers
from rethinking.run.files import UserError

from ..faults import flip

# Incompressible, so that a cut anywhere in a packed archive removes content.
FILES = {f"folder/{i}.bin": bytes((i * j * j + j // 7) % 256 for j in range(3000 + i)) for i in range(20)}


def make_tar(path, mode="w", extra=()):
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_members_in_any_compression(tmp_path, mode):
    assert dict(iter_members(make_tar(tmp_path / "a.tar", mode))) == FILES


def test_leading_dot_is_dropped(tmp_path):
    info = tarfile.TarInfo("./train/a")
    info.size = 3
    assert dict(iter_members(make_tar(tmp_path / "a.tar", extra=[info])))["train/a"] == b"xxx"


@pytest.mark.parametrize("name", ["../evil", "folder/../../evil", "/tmp/evil"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = make_tar(tmp_path / "a.tar", extra=[tarfile.TarInfo(name)])
    with pytest.raises(UserError, match="leads out") as error:
        list(iter_members(path))
    assert name in str(error.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("folder/odd")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(UserError, match=r"folder/odd.*link or a device"):
        list(iter_members(make_tar(tmp_path / "a.tar", extra=[info])))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.8])
def test_cut_archive_is_refused(tmp_path, mode, kept):
    path = make_tar(tmp_path / "a.tar", mode)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match="damaged or cut short") as error:
        list(iter_members(path))
    assert str(path) in str(error.value)


def test_plain_archive_cut_between_members_is_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        boundary = archive.getmembers()[10].offset
    path.write_bytes(path.read_bytes()[:boundary])
    with pytest.raises(UserError, match="cut short"):
        list(iter_members(path))


def test_broken_header_is_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        header = archive.getmembers()[10].offset
    flip(path, header + 10)
    with pytest.raises(UserError, match="damaged"):
        list(iter_members(path))


def test_flipped_bit_in_gz_is_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar.gz", "w:gz")
    flip(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match="damaged"):
        list(iter_members(path))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.tar"
    path.write_text("not an archive\n" * 1000)
    with pytest.raises(UserError, match="not a tar archive"):
        list(iter_members(path))
    with pytest.raises(UserError, match="absent"):
        list(iter_members(tmp_path / "absent"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_among_images_that_stay_in_their_archive_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("folder/odd")
    info.type, info.linkname = kind, "folder/a"
    path = make_tar(tmp_path / "a.tar", extra=[info])
    with path.open("rb") as file, pytest.raises(UserError, match=r"folder/odd' is a link.*--dereference"):
        list(walk_headers(path, file))


def test_sparse_members_are_expanded_or_refused_where_images_stay_in_their_archive(tmp_path):
    info = tarfile.TarInfo("folder/odd")
    info.size, info.pax_headers = 10, {"GNU.sparse.map": "0,5,2000,5", "GNU.sparse.size": "2005"}
    path = make_tar(tmp_path / "a.tar", extra=[info])
    assert dict(iter_members(path))["folder/odd"] == b"xxxxx" + bytes(1995) + b"xxxxx"
    with (
        path.open("rb") as file,
        pytest.raises(UserError, match=r"folder/odd' was packed with tar --sparse.*without -S"),
    ):
        list(walk_headers(path, file))
