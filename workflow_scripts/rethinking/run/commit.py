"""The commit of the source tree, for the records of results."""

import os
import subprocess
from pathlib import Path

# They name a repository, whatever the folder is. Git sets them for its hooks.
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


def git_commit() -> str | None:
    """The commit of this source tree, with ``+changes`` if files differ from it; None outside a clone."""
    here = Path(__file__).resolve()
    # Git refuses another user's clone, as settings of it can name programs; this code is the same user's.
    trusting = ["-c", f"safe.directory={here.parents[3]}", "-c", "core.fsmonitor=false"]
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}

    def git(*arguments: str) -> str:
        command = ["git", *trusting, *arguments]
        found = subprocess.run(command, cwd=here.parent, env=environment, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    try:
        # A tree that was unpacked inside another repository is no part of it.
        git("ls-files", "--error-unmatch", "--", here.name)
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--", ":/*.py", ":/*.smk") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
