"""The commit that results record is that of this source tree, or none."""

import os
import subprocess

import pytest

from rethinking.run import commit
from rethinking.run.commit import ELSEWHERE, git_commit

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A function that makes a repository with a file commit.py, and returns that file and the repository's commit."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def make(name):
        folder = tmp_path / name
        file = folder / "workflow_scripts" / "rethinking" / "run" / "commit.py"
        file.parent.mkdir(parents=True)

        def git(*arguments):
            return subprocess.run(["git", *arguments], cwd=folder, check=True, text=True, capture_output=True).stdout

        file.write_text(name)
        (folder / ".gitignore").write_text("unpacked/\n")
        git("init")
        git("add", ".")
        git(*AUTHOR, "commit", "-m", name)
        return file, git("rev-parse", "HEAD").strip()

    return make


def at(monkeypatch, file):
    """The commit of the source tree that this file is in."""
    monkeypatch.setattr(commit, "__file__", str(file))
    return git_commit()


def test_a_clone(clone, monkeypatch):
    file, made = clone("a")
    assert at(monkeypatch, file) == made
    file.write_text("edited")
    assert at(monkeypatch, file) == f"{made}+changes"


def test_a_clone_of_another_user(clone, monkeypatch):
    """Which git refuses, because the repository's settings can name programs; none of them runs."""
    file, made = clone("a")
    subprocess.run(["git", "config", "core.fsmonitor", f"touch {file.parent}/ran; false"], cwd=file.parent, check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert at(monkeypatch, file) == made
    assert not (file.parent / "ran").exists()


def test_a_tree_inside_another_repository_has_no_commit(clone, monkeypatch):
    """Whether or not that one ignores it."""
    outer, _ = clone("outer")
    for name in ("unpacked", "new"):
        folder = outer.parents[3] / name
        folder.mkdir()
        (folder / "commit.py").touch()
        assert at(monkeypatch, folder / "commit.py") is None


def test_the_repository_that_git_works_on_is_another(clone, monkeypatch):
    """As in a hook that runs the workflow."""
    (file, made), (other, _) = clone("a"), clone("b")
    monkeypatch.setenv("GIT_DIR", str(other.parents[3] / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.parents[3]))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.parents[3] / ".git" / "index"))
    assert at(monkeypatch, file) == made
