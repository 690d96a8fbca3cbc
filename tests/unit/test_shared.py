"""Data folders that several workflows make: one at a time, and never again what is there."""

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from rethinking.run import locks
from rethinking.run.files import UserError, sharing, write_text
from rethinking.run.identity import Identity, record_path, write_record
from rethinking.run.made import Made
from rethinking.run.shared import alone, to_make

from ..faults import refuse

WAITS = "import sys; from pathlib import Path; from rethinking.run.shared import alone\nwith alone(Path(sys.argv[1])): print('has it')"


@pytest.fixture
def identity():
    return Identity({"n": 1})


@pytest.fixture
def outputs(tmp_path, identity):
    return [str(tmp_path / "prepared" / identity.digest / name) for name in ("manifest.json", "labels.npy")]


def make(outputs, identity):
    """Whether the files were made."""
    with to_make(outputs, identity, str(Path(outputs[0]).parents[2])) as needed:
        if needed:
            assert not record_path(outputs[0]).exists()  # it would vouch for new files of a process that is killed
            for file in outputs:
                write_text(file, "x")
            write_record(outputs, identity)
    return needed


def test_what_is_there_is_left_alone(outputs, identity, tmp_path, capsys):
    folder = tmp_path / "prepared" / identity.digest
    folder.mkdir(parents=True)
    part = folder / ".labels.npy.1"  # of a process that was killed
    part.mkdir()
    assert make(outputs, identity)
    assert not part.exists()
    assert not make(outputs, identity)
    assert capsys.readouterr().out == f"{folder} is already made\n"


def test_nothing_stays_of_a_killed_writer(tmp_path, identity):
    parts = [tmp_path / ".table1.csv.12345678", tmp_path / ".identity" / ".table1.csv.json.12345678"]
    for part in parts:
        part.mkdir(parents=True)
    with to_make([str(tmp_path / "table1.csv")], identity) as needed:
        assert needed
        assert [part for part in parts if part.exists()] == []


@pytest.mark.parametrize("forced", [True, False])
def test_what_is_forced_is_made_again(tmp_path, identity, forced):
    """What another job has made since is left alone."""
    table = tmp_path / "table1.csv"
    write_text(table, "x")
    write_record([table], identity)
    with to_make([str(table)], identity, again=forced) as needed:
        assert needed == forced
        # It would vouch for new files of a process that is killed.
        assert record_path(table).exists() != forced


def test_what_is_forced_is_left_alone_where_another_process_has_just_made_it(tmp_path, identity, monkeypatch):
    table = tmp_path / "table1.csv"
    write_text(table, "x")
    write_record([table], identity)
    monkeypatch.setattr("rethinking.run.shared.alone", lambda *_: nullcontext(True))
    with to_make([str(table)], identity, again=True) as needed:
        assert not needed


@pytest.mark.parametrize(("of", "again"), [(["a"], False), (["b"], True), (None, False)])
def test_what_was_made_from_something_earlier_is_made_again(tmp_path, identity, of, again):
    table = tmp_path / "table1.csv"
    write_text(table, "x")
    write_record([table], identity, ["a"])
    with to_make([str(table)], identity, of=of) as needed:
        assert needed == again


@pytest.mark.parametrize("lost", ["labels.npy", ".identity/manifest.json.json"])
def test_what_is_incomplete_is_made_again(outputs, identity, tmp_path, lost):
    make(outputs, identity)
    (Path(outputs[0]).parent / lost).unlink()
    assert make(outputs, identity)


@pytest.mark.parametrize(("old", "new"), [('"n": 1', '"n": 2'), ('"identity": "', '"identity": "0')])
def test_what_has_a_damaged_record_is_made_again(outputs, identity, old, new):
    make(outputs, identity)
    record = record_path(outputs[0])
    write_text(record, record.read_text().replace(old, new))
    for current in (False, True):
        assert Made("prepare_dataset", outputs, identity).current == current
        assert make(outputs, identity) != current


@pytest.mark.parametrize(("root", "files"), [(0o1777, 0o644), (0o2770, 0o640), (0o700, 0o600)])
def test_other_users_can_read_it_make_more_beside_it_and_go_on_with_it(outputs, identity, tmp_path, root, files):
    """Of a killed job its folders stay, which others must be able to write."""
    tmp_path.chmod(root)
    before = os.umask(0o077)
    try:
        make(outputs, identity)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    folder = tmp_path / "prepared"
    assert {path.stat().st_mode & 0o7777 for path in (folder, *folder.rglob("*")) if path.is_dir()} == {root}
    made = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert made.pop(folder / f".{identity.digest}.lock") == root & 0o666
    assert set(made.values()) == {files}


@pytest.mark.parametrize("protected", [False, True])
def test_other_users_can_go_on_with_it_where_only_writers_can_lock(shared, request, identity, monkeypatch, protected):
    """As with NFS; and the kernel can refuse to make a file that another user has made in a sticky folder."""

    def lock(file, operation):
        if not file.writable():
            refuse(errno.EBADF)()
        flock(file, operation)

    def open_there(path, mode="r", **options):
        if "a" in mode and path.exists() and path.stat().st_uid != os.geteuid():
            refuse(errno.EACCES)()
        return open(path, mode, **options)

    flock = fcntl.flock
    monkeypatch.setattr("fcntl.flock", lock)
    if protected:
        monkeypatch.setattr(locks, "open", open_there, raising=False)
    shared.chmod(0o1777)
    folder = shared / "prepared" / identity.digest
    with sharing(shared, folder), alone(folder):
        pass
    request.getfixturevalue("nobody")
    with sharing(shared, folder), alone(folder) as waited:
        assert not waited


def test_edited_code_does_not_go_into_the_old_codes_folder(outputs):
    with pytest.raises(UserError, match="has changed since"):
        make(outputs, Identity({"n": 2}))


def test_one_at_a_time(tmp_path):
    with alone(tmp_path / "x"):
        other = subprocess.Popen([sys.executable, "-uc", WAITS, tmp_path / "x"], stdout=-1, text=True)
        assert "waiting for it" in other.stdout.readline()
    assert other.communicate(timeout=60)[0] == "has it\n"
