"""One run at a time on a folder of results."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from rethinking.run import locks
from rethinking.run.files import UserError
from rethinking.run.locks import is_locked, lock_results, locked

from ..faults import refuse

HOLD = "import sys; from rethinking.run.locks import lock_results; lock_results(sys.argv[1]); print('held', flush=True); input()"


def test_second_is_told_who_is_first_and_the_lock_dies_with_it(tmp_path):
    (tmp_path / ".lock").write_text("process 1 of an earlier run\n")
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert first.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"is being worked on by process {first.pid} of"):
        lock_results(tmp_path)
    first.kill()
    first.wait()
    lock_results(tmp_path)
    lock_results(tmp_path / "another")


def test_the_lock_takes_any_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake", "--directory", "caf\udce9"])  # as Python reads bytes of Latin-1
    lock_results(tmp_path)
    assert (tmp_path / ".lock").read_text().endswith("snakemake --directory 'caf\\udce9'\n")


@pytest.mark.parametrize(
    ("noted", "named"), [(b"", "a process that has just started"), (b"process 1: caf\xe9", "process 1: caf\ufffd")]
)
def test_what_holds_the_lock_is_named_whatever_it_noted(tmp_path, noted, named):
    (tmp_path / ".lock").write_bytes(noted)
    with locked(tmp_path / ".lock"), pytest.raises(UserError, match=f"is being worked on by {named};"):
        lock_results(tmp_path)
    with locked(tmp_path / ".lock"), pytest.raises(UserError, match="finished_only=true"):
        lock_results(tmp_path, finished_only=True)


def test_two_who_look_at_a_lock_do_not_see_each_other(tmp_path):
    file = tmp_path / ".lock"
    assert not is_locked(file)
    with open(file, "w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # as is_locked does
        assert not is_locked(file)
    with locked(file):
        assert is_locked(file)


def test_a_full_disk_is_one_line_before_anything_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    with pytest.raises(UserError, match=f"{tmp_path} cannot be used .No space left on device.; free some space"):
        lock_results(tmp_path)
    monkeypatch.undo()
    lock_results(tmp_path)  # which it did not keep


@pytest.mark.parametrize(("folder", "lock"), [(0o2775, 0o660), (0o777, 0o666)])
def test_those_who_can_write_to_the_folder_can_read_and_take_the_lock(tmp_path, folder, lock):
    tmp_path.chmod(folder)
    (tmp_path / "own").touch(mode=0o600)
    (tmp_path / "link").symlink_to("own")
    before = os.umask(0o077)
    try:
        for name in ("new", "link"):
            locked(tmp_path / name).close()
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "own")] == [lock, 0o600]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_lock_file_that_must_not_be_made_is_opened_as_it_is(tmp_path, monkeypatch, number):
    """In another user's folder, a sticky one, or where nothing can be written."""
    (tmp_path / "there").touch()

    def opened(path, mode, **how):
        return refuse(number)() if mode == "a" else open(path, mode, **how)

    monkeypatch.setattr(locks, "open", opened, raising=False)
    with locked(tmp_path / "there") as file:
        assert file.mode == "r+"  # NFS locks only what is open for writing
    with pytest.raises(UserError, match=os.strerror(number)):
        lock_results(tmp_path / "new")
