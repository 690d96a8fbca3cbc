"""Files are complete or absent, and broken ones are named."""

import multiprocessing
import os
import stat

import numpy as np
import pytest
from safetensors.numpy import save_file

from rethinking.run.files import (
    UserError,
    atomic_path,
    check_replaceable,
    hash_file,
    load_array,
    new_array,
    read_json,
    remove_parts,
    save_array,
    sha256_array,
    write_json,
    write_text,
)


def test_written_file_is_the_only_one(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_half_way():
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_happens_beside_the_file(tmp_path):
    """Renaming is atomic only within one file system."""
    with atomic_path(tmp_path / "a.npz") as temporary:
        assert temporary.parent.parent == tmp_path
        assert temporary.suffix == ".npz"  # some writers append it otherwise


def test_nothing_stays_of_a_killed_writer(tmp_path):
    """Whatever it called its own temporary files."""

    def die():
        with atomic_path(tmp_path / "seed0.safetensors") as temporary:
            temporary.with_name(".tmpOtbW5q").touch()  # as safetensors does
            os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    (tmp_path / "seed1.safetensors").touch()
    assert len(list(tmp_path.iterdir())) == 2
    remove_parts(tmp_path, "seed0.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["seed1.safetensors"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_mode_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "")
        with atomic_path(tmp_path / "b.safetensors") as path:
            save_file({"x": np.zeros(1)}, path)  # by a file of its own
    finally:
        os.umask(before)
    for name in ("a.txt", "b.safetensors"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_array_roundtrip(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    save_array(tmp_path / "saved.npy", array.transpose(2, 0, 1))
    with new_array(tmp_path / "mapped.npy", (4, 2, 3), dtype) as mapped:
        mapped[:] = array.transpose(2, 0, 1)
    for name in ("saved.npy", "mapped.npy"):
        loaded = load_array(tmp_path / name)
        assert isinstance(loaded, np.memmap)
        assert not loaded.flags.writeable
        assert loaded.dtype == dtype
        np.testing.assert_array_equal(loaded, array.transpose(2, 0, 1))
    assert (tmp_path / "saved.npy").read_bytes() == (tmp_path / "mapped.npy").read_bytes()


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_truncated_array_is_named(tmp_path, kept):
    path = tmp_path / "a.npy"
    save_array(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.npy cannot be read.*delete it"):
        load_array(path)


@pytest.mark.parametrize("read", [load_array, read_json])
def test_missing_file_is_named(tmp_path, read):
    with pytest.raises(UserError, match="absent"):
        read(tmp_path / "absent")


def test_arrays_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy"):
        load_array(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b'{"a": NaN}', b"[1, -Infinity]"])
def test_invalid_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json cannot be read.*delete it"):
        read_json(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_place_for_nan(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_json_without_a_key_is_named(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"fits": [{"norm": None}, {"penalty": 0}], "data": {"train": 1}, "none": []})
    assert read_json(path, ["fits", "data.train", "none.norm"])["data"] == {"train": 1}
    with pytest.raises(UserError, match=r"a\.json has no fits\.norm, data\.test, data\.train\.count; delete it"):
        read_json(path, ["fits.norm", "data.test", "data.train.count", "data.train"])
    path.write_text("[]")
    with pytest.raises(UserError, match=r"a\.json has no fits; delete it"):
        read_json(path, ["fits"])


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # The example of FIPS 180-4.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "a") == digest
    assert hash_file(tmp_path / "a", "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321
    assert sha256_array(np.frombuffer(b"abc", np.uint8)) == digest


def test_checksum_of_an_array_covers_all_of_it_in_c_order(tmp_path):
    array = np.arange(3000 * 4, dtype=np.int32).reshape(3000, 4)  # longer than a block
    (tmp_path / "a").write_bytes(array.tobytes())
    assert sha256_array(array) == hash_file(tmp_path / "a")
    assert sha256_array(np.asfortranarray(array)) == sha256_array(array)
    changed = array.copy()
    changed[-1, -1] += 1
    assert sha256_array(changed) != sha256_array(array)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    check_replaceable([tmp_path / "file", tmp_path / "link", tmp_path / "absent"])
    (tmp_path / "file").unlink()
    with pytest.raises(UserError, match=r"link is a link that leads nowhere \(file\)"):
        check_replaceable([tmp_path / "link"])


def test_a_read_only_file_that_would_be_made_again_is_named(tmp_path, monkeypatch):
    (tmp_path / "kept").touch()
    check_replaceable([tmp_path / "absent", tmp_path / "kept"])
    monkeypatch.setattr("rethinking.run.files.may", lambda *_: False)  # root may write to any file
    with pytest.raises(UserError, match=r"kept would be made again, .* read-only; make it writable"):
        check_replaceable([tmp_path / "absent", tmp_path / "kept"])
