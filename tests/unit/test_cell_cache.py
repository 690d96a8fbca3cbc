"""Finished cells are shared complete and unchanged, or not at all."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rethinking.cells import CELL_FILES
from rethinking.run.cell_cache import entry, put, take
from rethinking.run.identity import Identity

from ..faults import flip, refuse

IDENTITY = Identity({"cell": "a", "epochs": 2}, {"x": "1"}, {"data": "0"})


@pytest.fixture
def cell(tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    for number, name in enumerate(CELL_FILES):
        (folder / name).write_bytes(bytes([number]) * 1000)
    return folder


def test_roundtrip(cell, tmp_path, capsys):
    cache, other = tmp_path / "cache", tmp_path / "other"
    assert not take(cache, IDENTITY, other)
    put(cache, IDENTITY, cell)
    assert take(cache, IDENTITY, other)
    assert "taken from" in capsys.readouterr().out
    for name in CELL_FILES:
        assert (other / name).read_bytes() == (cell / name).read_bytes()


@pytest.mark.parametrize("key", ["settings", "code", "inputs"])
def test_another_identity_is_another_entry(cell, tmp_path, key):
    put(tmp_path / "cache", IDENTITY, cell)
    others = [replace(IDENTITY, **{key: {"x": f"other{number}"}}) for number in range(1000)]  # which share beginnings
    assert len({entry(tmp_path / "cache", each) for each in [IDENTITY, *others]}) == 1001
    assert not take(tmp_path / "cache", others[0], tmp_path / "other")


@pytest.mark.parametrize("damage", ["changed", "missing", "no checksums"])
def test_damaged_entry_is_not_used(cell, tmp_path, damage, capsys):
    cache = tmp_path / "cache"
    put(cache, IDENTITY, cell)
    file = entry(cache, IDENTITY) / ("checksums.json" if damage == "no checksums" else "weights.safetensors")
    if damage == "changed":
        flip(file)
    else:
        file.unlink()
    assert not take(cache, IDENTITY, tmp_path / "other")
    assert "is damaged" in capsys.readouterr().out
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["checksums.json", "weights.safetensors"])
def test_a_refusal_of_the_disk_is_no_damage(cell, tmp_path, name, capsys):
    cache = tmp_path / "cache"
    put(cache, IDENTITY, cell)
    file = entry(cache, IDENTITY) / name
    file.unlink()
    file.symlink_to(file)  # for a disk or file server that fails
    assert not take(cache, IDENTITY, tmp_path / "other")
    assert f"is not used: {file} cannot be used" in capsys.readouterr().out


def test_many_writers_and_readers_at_once(cell, tmp_path):
    cache = tmp_path / "cache"

    def work(number):
        put(cache, IDENTITY, cell)
        return take(cache, IDENTITY, tmp_path / f"other{number}")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))
    assert [path.name for path in entry(cache, IDENTITY).parent.iterdir()] == [entry(cache, IDENTITY).name]


def test_what_a_killed_writer_left_is_removed_a_day_later(cell, tmp_path):
    folder = entry(tmp_path / "cache", IDENTITY).parent
    for hours in (23, 25):
        part = folder / f".{hours}" / "entry"
        part.mkdir(parents=True)
        then = time.time() - hours * 60 * 60
        os.utime(part.parent, (then, then))
    put(tmp_path / "cache", IDENTITY, cell)
    assert {path.name for path in folder.glob(".*")} == {".23"}


def test_full_disk_costs_nothing(cell, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "copyfile", refuse(errno.ENOSPC))
    put(tmp_path / "cache", IDENTITY, cell)
    assert "No space left" in capsys.readouterr().out
    monkeypatch.undo()
    assert not take(tmp_path / "cache", IDENTITY, tmp_path / "other")


def test_what_the_first_user_writes_is_open_to_all(cell, tmp_path):
    """To all who can use the cache, whatever that user's umask."""
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o1777)
    before = os.umask(0o077)
    try:
        put(cache, IDENTITY, cell)
    finally:
        os.umask(before)
    inside = entry(cache, IDENTITY)
    assert {path.stat().st_mode & 0o7777 for path in (inside.parent.parent, inside.parent)} == {0o1777}
    assert inside.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in inside.iterdir()} == {0o644}


def test_a_cache_that_is_closed_costs_nothing(cell, tmp_path, monkeypatch, capsys):
    """To others than root, whom the test cannot be: a folder of another user's that nobody else can enter."""

    monkeypatch.setattr(Path, "exists", refuse(errno.EACCES))
    put(tmp_path / "cache", IDENTITY, cell)
    assert not take(tmp_path / "cache", IDENTITY, tmp_path / "other")
    written, used = capsys.readouterr().out.splitlines()
    assert written == (
        f"not written to the cache {tmp_path / 'cache'}: a file cannot be used (Permission denied); have it made readable and "
        "writable for you, or choose another folder in the configuration"
    )
    assert "is not used" in used
