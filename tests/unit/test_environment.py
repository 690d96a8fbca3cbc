"""Jobs find the library, Python's own modules and matplotlib's defaults, whatever the user's environment holds."""

import getpass
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rethinking.run import environment
from rethinking.run.code import SCRIPTS
from rethinking.run.environment import job_environment, name_user
from rethinking.run.files import UserError

ROOT = Path(__file__).parents[2]
COPIES = {"cifar10": "it's a $COPY {1} \u00e9"}


def run(tmp_path, monkeypatch, python, **environment):
    """What a job prints that runs in a folder with modules and settings of the user."""
    for name in ("random", "train_cell"):
        (tmp_path / f"{name}.py").write_text("print('of the user')\n")
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = f"set -eu; {job_environment(COPIES)}exec python -c '{python}'"
    shell = ["bash", "-c", command]
    return subprocess.run(shell, cwd=tmp_path, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def test_modules_of_the_working_folder_are_not_imported(tmp_path, monkeypatch):
    python = 'import random, importlib.util; print(importlib.util.find_spec("train_cell").origin)'
    path = os.pathsep.join(["", ".", str(SCRIPTS)])
    assert run(tmp_path, monkeypatch, python, PYTHONPATH=path) == str(SCRIPTS / "train_cell.py")


@pytest.mark.parametrize(
    ("owner", "name", "path"),
    [(environment, "SCRIPTS", Path("/a:b/workflow_scripts")), (sys, "executable", "/a:b/bin/python")],
)
def test_a_path_that_a_list_of_paths_cannot_hold(monkeypatch, owner, name, path):
    """Python would import the library of another checkout, where it is installed."""
    monkeypatch.setattr(owner, name, path)
    with pytest.raises(UserError, match=r"^/a:b/\w+: the path of .* cannot hold ':'; rename its folder or move it$"):
        job_environment(COPIES)


def test_packages_that_the_user_added_are_found_behind_the_library(tmp_path, monkeypatch):
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "from_a_module_of_the_cluster.py").touch()
    python = 'import sys, from_a_module_of_the_cluster; print(sys.path[0], sys.executable, sep="\\n")'
    found = run(tmp_path, monkeypatch, python, PYTHONPATH=str(tmp_path / "added")).splitlines()
    assert (found[0], os.path.dirname(found[1])) == (str(SCRIPTS), os.path.dirname(sys.executable))


def test_settings_of_python_do_not_reach_jobs(tmp_path, monkeypatch):
    python = "import sys; print(sys.stdout.encoding, sys.warnoptions, sys.flags.optimize)"
    found = run(
        tmp_path,
        monkeypatch,
        python,
        PYTHONIOENCODING="ascii",
        PYTHONWARNINGS="error",
        PYTHONOPTIMIZE="2",
        LC_ALL="C",
    )
    assert found == "utf-8 [] 0"


def test_figures_begin_from_the_defaults_of_matplotlib(tmp_path, monkeypatch):
    python = 'from rethinking.figures.style import STYLE; print(STYLE["axes.facecolor"])'
    backend = "module://matplotlib_inline.backend_inline"
    assert run(tmp_path, monkeypatch, python, MPLBACKEND=backend) == "white"


def test_jobs_do_not_lock_the_users_clone(tmp_path, monkeypatch):
    """One that is killed while git runs would leave an index.lock there."""
    assert run(tmp_path, monkeypatch, 'import os; print(os.environ["GIT_OPTIONAL_LOCKS"])') == "0"


def test_a_user_without_a_name_has_a_number(monkeypatch):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "")
    name_user()
    assert getpass.getuser() == str(os.getuid())


def test_jobs_know_what_copies_are_called(tmp_path, monkeypatch):
    python = "from rethinking.run.environment import copies; print(copies())"
    assert run(tmp_path, monkeypatch, python, RETHINKING_COPIES="[]") == str(COPIES)


def test_nothing_changes_the_arithmetic_of_jobs(tmp_path, monkeypatch):
    python = 'import os; print(*(name for name in os.environ if name.startswith(("CUBLAS", "NVIDIA_TF32"))))'
    names = (
        "NVIDIA_TF32_OVERRIDE",
        "CUBLAS_EMULATE_SINGLE_PRECISION",
        "CUBLAS_EMULATION_STRATEGY",
        "CUBLAS_LOGDEST_DBG",
    )
    assert run(tmp_path, monkeypatch, python, **dict.fromkeys(names, "1")) == "CUBLAS_LOGDEST_DBG"


def test_other_systems_are_refused_before_anything_is_installed(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    mac = 'import sys; sys.platform = "darwin"; exec(sys.argv[1])'
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{mac}' \"$2\"\n")
    python.chmod(0o755)
    done = subprocess.run(["make", "env", f"PYTHON={python}"], cwd=tmp_path, text=True, capture_output=True)
    assert "this workflow needs Linux (on Windows WSL2), not darwin" in done.stderr.splitlines()
    assert not (tmp_path / ".venv").exists()


def test_other_systems_are_refused_before_anything_is_planned(tmp_path):
    mac = "import sys; from snakemake.cli import main; sys.platform = 'darwin'; main()"
    command = [sys.executable, "-c", mac, "-n", "-s", ROOT / "Snakefile", "-d", tmp_path]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.stderr.splitlines()[-1] == "snakemake: this workflow needs Linux (on Windows WSL2), not darwin"


def test_snakemake_is_refused_below_the_version_that_is_tested():
    """Its internals, which rules/run.smk reaches into, change between minor versions."""
    needed, pinned = (
        re.search(pattern, (ROOT / file).read_text())[1]
        for file, pattern in (("Snakefile", r'min_version\("(.*?)"\)'), ("requirements.txt", r"(?m)^snakemake==(.*)$"))
    )
    assert needed == pinned
