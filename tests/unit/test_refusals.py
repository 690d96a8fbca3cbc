"""The operating system's no is one line with the path and the remedy, and other files stay as they are."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rethinking.run import locks, scripts
from rethinking.run.checkpoint import Checkpoint
from rethinking.run.contents import content_digest
from rethinking.run.files import (
    UserError,
    atomic_path,
    check_writable,
    load_array,
    new_array,
    save_array,
    write_text,
)
from rethinking.run.identity import Identity
from rethinking.run.locks import lock_results
from rethinking.run.refusals import explain

from ..faults import refuse


@contextmanager
def full():
    """As if the disk were full after 1,000 bytes of each file: the kernel's own refusal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def message(action, capsys):
    """What a script prints in which this happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["script"])
        with pytest.raises(SystemExit) as end:
            scripts.run(action)
    printed = capsys.readouterr().err
    assert end.value.code == 1
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_named(tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr("fcntl.flock", refuse(number))

    def train():
        with Checkpoint(tmp_path / "cell.safetensors", Identity({})).alone():
            pass

    assert "cell.lock cannot be locked" in (printed := message(train, capsys))
    assert "Lustre" in printed
    assert not locks.is_locked(tmp_path / "cell.lock")
    with pytest.raises(UserError, match=r"\.lock cannot be locked.*file system has no locks"):
        lock_results(tmp_path)


def test_lock_file_of_another_user_is_locked_all_the_same(shared, request):
    path = shared / ".lock"
    path.write_text("process 1 of alice")
    path.chmod(0o644)
    holder = locks.locked(path)
    request.getfixturevalue("nobody")
    with pytest.raises(UserError, match="is being worked on by process 1 of alice"):
        lock_results(shared)
    holder.close()
    lock_results(shared)
    assert path.read_text() == "process 1 of alice"


def test_nfs_refuses_locks_of_files_open_for_reading(shared, request, monkeypatch):
    (shared / ".lock").touch()
    request.getfixturevalue("nobody")
    monkeypatch.setattr("fcntl.flock", refuse(errno.EBADF))
    with pytest.raises(UserError, match=r"\.lock cannot be used \(Permission denied, it belongs to root\)"):
        lock_results(shared)
    monkeypatch.setattr("fcntl.flock", refuse(errno.ENOLCK))
    with pytest.raises(UserError, match=r"\.lock cannot be locked .*Lustre"):
        lock_results(shared)


def test_unreadable_file_is_named(shared, request, capsys):
    save_array(shared / "a.npy", np.zeros(3))
    (shared / "a.npy").chmod(0o600)
    (shared / "closed").mkdir(mode=0o700)
    request.getfixturevalue("nobody")
    assert "a.npy cannot be used (Permission denied" in message(lambda: load_array(shared / "a.npy"), capsys)
    for path in (shared, shared / "closed"):
        with pytest.raises(UserError, match=r"(a\.npy|closed) cannot be read \(Permission denied"):
            content_digest("own", "plugin", path, None)


def test_missing_folders_above_thousands_of_cells_are_looked_at_once(tmp_path, monkeypatch):
    looked, look = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: looked.append(path) or look(path))
    check_writable(tmp_path / f"results/cells/digits/none/seed{seed}" for seed in range(100))
    assert 100 < len(looked) < 110


def test_folder_that_cannot_be_written_is_named_before_the_work(shared, request, capsys):
    (shared / "file").touch()
    check_writable([shared, shared / "new" / "folder"])
    with pytest.raises(
        UserError,
        match=r"file cannot be used.*a file, or a link that leads nowhere, is where a folder should be",
    ):
        check_writable([shared / "file" / "folder"])
    request.getfixturevalue("nobody")
    with pytest.raises(UserError, match=f"{shared} cannot be used .Permission denied, it belongs to root"):
        check_writable([shared / "new" / "folder"])
    assert f"{shared}/a.txt cannot be used" in message(lambda: write_text(shared / "a.txt", ""), capsys)


def mapped(path):
    with new_array(path, (5000,), np.uint8) as array:
        array[:] = 1


def zipped(path):
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, a=np.zeros(5000))


def copied(path):
    with atomic_path(path) as temporary:
        shutil.copyfile(__file__, temporary)


def weights(path):
    with atomic_path(path) as temporary:
        save_file({"a": torch.zeros(5000)}, temporary)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "x" * 5000),
        lambda path: save_array(path, np.zeros(5000)),
        lambda path: save_array(path, np.zeros(500)),  # less than the C library writes at a time
        mapped,
        zipped,
        copied,
        weights,
    ],
    ids=["text", "array", "small array", "mapped", "zipped", "copied", "weights"],
)
def test_full_disk_is_named_and_what_was_there_stays(tmp_path, capsys, write):
    (tmp_path / "a.file").write_text("old")
    with full():
        printed = message(lambda: write(tmp_path / "a.file"), capsys)
    assert printed.startswith(f"error: {tmp_path}/a.file cannot be used (")
    assert [path.name for path in tmp_path.iterdir()] == ["a.file"]
    assert (tmp_path / "a.file").read_text() == "old"


def test_file_system_without_modes_or_flushing(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr("pathlib.Path.chmod", refuse(errno.EOPNOTSUPP))
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_other_errors_keep_their_traceback(tmp_path):
    def fail():
        with atomic_path(tmp_path / "a"):
            raise ValueError("a bug")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["script"])
        with pytest.raises(ValueError, match="a bug"):
            scripts.run(fail)


def test_error_about_another_file_names_that_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), atomic_path(tmp_path / "a"):
        (tmp_path / "absent").read_text()


def test_ones_own_file_belongs_to_nobody_else(tmp_path):
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    assert explain(denied).startswith(f"{tmp_path} cannot be used (Permission denied); ")


def test_every_refusal_has_a_line():
    for number in errno.errorcode:
        assert "\n" not in explain(OSError(number, os.strerror(number), "/some/path"))
    assert explain(OSError(errno.ENOSPC, "No space left on device")).startswith("a file cannot be used (No space")


def test_full_disk_under_the_log_ends_no_work(tmp_path):
    code = (
        "from rethinking.run.scripts import log, run\n"
        f"def main():\n    log('a')\n    print('b' * 100_000)\n    open({str(tmp_path / 'done')!r}, 'w')\n"
        "run(main)"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "done").exists()
