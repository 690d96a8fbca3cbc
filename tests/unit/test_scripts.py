"""Scripts as a shell runs them: their options, their messages, the same files from each process."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import StringIO

import pytest
import torch
from snakemake.io import contains_wildcard

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.hardware import HardwareConfig
from rethinking.config.theory import SolverConfig
from rethinking.run import scripts
from rethinking.run.code import SCRIPTS, script_code
from rethinking.run.files import UserError, write_text
from rethinking.run.identity import Identity, is_made, record_path, recorded, remove, write_record
from rethinking.run.locks import locked
from rethinking.run.made import Made
from rethinking.run.plan import Plan
from rethinking.run.scripts import asked_for, options, packed, unpacked
from rethinking.run.stop_signals import SIGNALS
from snakemake_executor_plugin_slurm_bundles import bundles

from ..default_config import load
from ..waiting import wait_for


def run_script(name, *arguments):
    """Run a workflow script; PYTHONHASHSEED differs from run to run, as in real life."""
    command = [sys.executable, SCRIPTS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "random"})


def test_preparation_is_equal_across_processes(images, script, tmp_path):
    options = ["--dataset", "cifar100", "--source", "images", "--path", images, "--provenance", "made up"]
    options += ["--train-limit", 4, "--output"]
    script("prepare_dataset", *options, tmp_path / "first")
    done = run_script("prepare_dataset.py", *options, tmp_path / "second")
    assert done.returncode == 0, done.stderr
    contents = [{path.name: path.read_bytes() for path in (tmp_path / run).iterdir()} for run in ("first", "second")]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5
    manifest = json.loads(contents[0]["manifest.json"])
    assert manifest["train"]["count"] == 4
    assert str(tmp_path) not in contents[0]["manifest.json"].decode()


@pytest.mark.parametrize("count", [1, 10_000])
@pytest.mark.parametrize("values", [{}.fromkeys, list])
def test_json_of_any_length_fits_a_command_line(values, count):
    given = values(f"ablations/rate_{n}/cells/cifar10/true_labels/mlp_1x512/wd" for n in range(count))
    assert len(packed(given)) < 1 << 17
    assert unpacked(packed(given)) == given


def test_what_no_command_line_holds_is_refused():
    with pytest.raises(UserError, match=r"a command holds 130,972 \(about 30,000 .*split the cells"):
        packed({"needs": os.urandom(200_000).hex()})


@pytest.mark.parametrize("text", ["$10^{3}$ images", "{ rate }"])
def test_snakemake_finds_no_wildcards_in_a_text_of_the_user(text):
    word = packed({"question": text})
    assert not contains_wildcard(word)
    assert unpacked(word) == {"question": text}


def test_options_are_quoted_for_the_shell():
    line = options(source="images", path=None, provenance="it's a $COPY", train_limit=5)
    assert shlex.split(line) == ["--source=images", "--provenance=it's a $COPY", "--train-limit=5"]


def test_scripts_end_with_one_message(script, tmp_path):
    done = run_script(
        "prepare_dataset.py", "--dataset", "cifar10", "--source", "archive", "--path", "absent.tar.gz",
        "--provenance", "", "--output", tmp_path / "out",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "error: absent.tar.gz is not a file; a tar archive is needed\n",
    )
    with pytest.raises(UserError, match=r"^mnist has no file x\.gz; its files are train-images"):
        script("download_dataset", "--dataset", "mnist", "--output", tmp_path / "x", "--file", "x.gz")


def asked(monkeypatch, made, more=""):
    """What a job reads of the record on its command line."""
    monkeypatch.setattr("sys.argv", ["script", "--record", packed(made.record) + more])
    return asked_for.__wrapped__()


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. " + 50 * "More to read. "), "full"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "full"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "full"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
            "probably full",
        ),
        (RuntimeError("GET was unable to find an engine to execute this computation"), "probably full"),
    ],
)
def test_a_full_gpu_is_one_message(monkeypatch, capsys, error, full):
    """With the status of other errors, after which Snakemake tries a job again."""
    monkeypatch.setattr(scripts, "clean_up", lambda: None)

    def main():
        raise error

    with pytest.raises(SystemExit) as stop:
        scripts.run(main)
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert said.startswith(f"error: the GPU is {full} ({str(error)[:50]}")
    # Its usual value is 1, and a fit or several workers have a GPU alone.
    assert "lower hardware.cells_per_gpu if it is above 1" in said
    for key, section in (("tile", SolverConfig), ("feeder", HardwareConfig), ("micro_batch", CellSettings)):
        assert key in section.model_fields
        assert re.search(rf"\b{key}\b", said)
    assert (said.count("\n"), len(said) < 600) == (1, True)


def test_a_job_reads_what_its_inputs_were_made_from(tmp_path, monkeypatch):
    """From their records, because a command line would be long; another record than the planned one is refused."""
    data = Identity({"limit": 5}, {"read": "1"}, {"source": "abc"})
    prepared = Made("prepare_dataset", [f"{tmp_path}/manifest.json"], data)
    identity = Identity({"seed": 0}, script_code("corrupt_dataset"), {"data": data, "results": "def"})
    made = Made("corrupt_dataset", ["x"], identity, {"data": prepared, "results": "def"})
    (tmp_path / "manifest.json").touch()
    write_record(prepared.outputs, data)
    assert asked(monkeypatch, made).identity == identity
    write_record(prepared.outputs, Identity({"limit": 6}))
    with pytest.raises(UserError, match="is not the record that this job was planned with"):
        asked(monkeypatch, made)
    record_path(prepared.outputs[0]).unlink()
    with pytest.raises(UserError, match="is not the record that this job was planned with"):
        asked(monkeypatch, made)


def test_a_plugin_is_imported_as_it_is_followed_and_not_after_the_wait_for_a_gpu(plugin, monkeypatch):
    file = plugin("import helper_of_a_study\n@corruption('mine')\ndef mine(labels): return labels\n")
    file.with_name("helper_of_a_study.py").touch()
    made = Made("corrupt_dataset", ["x"], Identity({}), {}, [(file, "mine")])
    asked(monkeypatch, made)
    assert sys.modules.pop("helper_of_a_study").__file__ == str(file.with_name("helper_of_a_study.py"))


@pytest.mark.parametrize("forced", [True, False])
def test_a_job_is_told_at_the_end_of_its_record_whether_the_user_forces_it(monkeypatch, forced):
    """There the executor for SLURM can take it off, to compare a job with one that is not forced."""
    assert scripts.AGAIN == bundles.AGAIN
    made = Made("corrupt_dataset", ["x"], Identity({"seed": 0}))
    assert asked(monkeypatch, made, scripts.AGAIN if forced else "").again == forced


@pytest.mark.parametrize(("code", "same"), [({"mlp": "1"}, True), ({"mlp": "2"}, False)])
def test_a_job_of_an_earlier_run_with_other_code_is_another(code, same):
    """Its result would pass as one of the code that has been edited since."""

    def planned(code):
        return packed(Made("train_cell", ["curve.csv"], Identity({"epochs": 2}, code)).record)

    assert (planned({"mlp": "1"}) == planned(code)) == same


@pytest.mark.parametrize("number", SIGNALS)
def test_a_script_that_is_stopped_leaves_no_temporary_files(tmp_path, number):
    code = """
import tempfile, time
from rethinking.run import scripts

def main():
    with tempfile.TemporaryDirectory(dir="."):
        print("ready")
        for _ in range(600):  # Python does not notice a signal that comes just before a sleep until it ends
            time.sleep(0.1)

scripts.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"ready\n"
        assert [*tmp_path.iterdir()]
        program.send_signal(number)
        assert program.wait(timeout=30) == os.EX_TEMPFAIL
    assert not [*tmp_path.iterdir()]


def test_what_nohup_starts_goes_on_when_its_terminal_is_closed():
    code = "from rethinking.run.stop_signals import SIGNALS; print(*(each.name for each in SIGNALS))"
    default = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # even if nohup started the tests
    for before, more in (["nohup"], ""), ([], " SIGHUP"):
        command = [*before, sys.executable, "-c", code]
        started = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=default)
        assert started.stdout.decode() == f"SIGTERM SIGINT SIGUSR1{more}\n"


def test_a_script_ends_with_its_work():
    """Snakemake would delete the result of one that is stopped while Python takes all apart."""
    code = """
import atexit, time
from rethinking.run import scripts

def main():
    atexit.register(time.sleep, 60)
    print("done", end="")

scripts.run(main)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"done", b"")


@pytest.fixture
def goes_on(monkeypatch):
    """A script leaves this process and its signals as they are."""
    monkeypatch.setattr(scripts, "clean_up", lambda: None)
    monkeypatch.setattr(scripts, "end", lambda: None)


@pytest.mark.usefixtures("goes_on")
def test_shared_data_are_not_read_again_to_record_them(tmp_path, monkeypatch):
    """They can be hundreds of gigabytes."""
    identity = Identity({"seed": 0})
    output = tmp_path / "prepared" / identity.digest / "x"
    monkeypatch.setattr(scripts, "asked_for", lambda: scripts.Asked([str(output)], identity, str(tmp_path)))
    monkeypatch.setattr("rethinking.run.identity.hash_file", lambda _: 1 / 0)
    scripts.run(lambda: write_text(output, "new"))
    assert is_made([output], identity)


@pytest.mark.usefixtures("goes_on")
def test_a_script_with_a_lock_of_its_own_records_by_itself(tmp_path, monkeypatch):
    """Behind the lock another process may already make the result from other settings."""
    output = tmp_path / "curve.csv"
    monkeypatch.setattr(scripts, "asked_for", lambda: scripts.Asked([str(output)], Identity({}), None))
    earlier = Identity({"epochs": 1})
    output.touch()
    write_record([output], earlier)
    scripts.run(output.touch, locked=False)
    assert recorded(output) == earlier


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize("content", ["old", "new"])
@pytest.mark.parametrize(
    ("name", "source", "files"),
    [("cifar10", "archive", [""]), ("imagenet", "local", ["train/a/1.png", "val/a/2.png"])],
)
def test_files_that_the_user_replaces_before_they_are_read_are_refused(
    tmp_path, monkeypatch, capsys, name, source, files, content
):
    """Else what is made from them would pass as made from the old ones, and be kept when these are back."""
    path = tmp_path / "data"
    for file in files:
        write_text(path / file, "old")
    dataset = {f"datasets__{name}__source": source, f"datasets__{name}__path": str(path)}
    dataset[f"datasets__{name}__provenance"] = "made up"
    config = load(results_dir=str(tmp_path / "results"), **dataset)
    made = Plan(config).prepared(name)
    told = asked(monkeypatch, made)
    monkeypatch.setattr(scripts, "asked_for", lambda: told)

    def main():
        for file in [*(path / each for each in files), *made.outputs]:
            write_text(file, content)

    if content == "old":
        scripts.run(main)
    else:
        with pytest.raises(SystemExit):
            scripts.run(main)
        assert f"{path} has changed since this job was planned" in capsys.readouterr().err
    assert is_made(made.outputs, made.identity) == (content == "old")


@pytest.mark.parametrize("edited", [False, True])
def test_a_table_is_recorded_with_the_networks_that_it_shows(tmp_path, monkeypatch, edited):
    """An edit while a run is at work is in the networks trained after it, but not in what the run planned."""
    cell = Plan(load(results_dir=str(tmp_path))).cell(Cell.parse("digits/true_labels/mlp_1x512/none/seed0"))
    table = Plan(load()).make("aggregate_table", [str(tmp_path / "table1.csv")], {}, needs=[cell])
    trained = replace(cell.identity, code={"mlp": "edited"}) if edited else cell.identity
    for file in cell.outputs:
        write_text(file, "")
    write_record(cell.outputs, trained)
    assert (asked(monkeypatch, table).identity.digest == table.identity.digest) != edited


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize("meanwhile", ["nothing", "trained again", "training again"])
def test_a_measure_of_a_network_that_is_replaced_meanwhile_is_refused(tmp_path, monkeypatch, capsys, meanwhile):
    """By a run on the login node, say, while a job of an earlier one still measures the network that was there before."""
    network = Made("train_cell", [str(tmp_path / "curve.csv")], Identity({"cell": "a"}))
    plan = Plan(load(results_dir=str(tmp_path)))
    measure = plan.make("measure_complexity", [str(tmp_path / "complexity.json")], {}, needs=[network])

    def train(text):
        write_text(network.outputs[0], text)
        write_record(network.outputs, network.identity)

    def measures():
        write_text(measure.outputs[0], "{}")
        if meanwhile == "trained again":
            train("other numbers")
        elif meanwhile == "training again":
            remove(network.outputs)

    train("numbers")
    told = asked(monkeypatch, measure)
    monkeypatch.setattr(scripts, "asked_for", lambda: told)
    if meanwhile == "nothing":
        scripts.run(measures)
    else:
        with pytest.raises(SystemExit):
            scripts.run(measures)
        said = capsys.readouterr().err
        assert f"error: {network.outputs[0]} was made again while {measure.outputs[0]} was made from" in said
        assert not (tmp_path / "complexity.json").exists()
    assert is_made(measure.outputs, told.identity) == (meanwhile == "nothing")


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize("epochs", [50, 40_000])
def test_a_job_that_outlived_its_snakemake_is_waited_for(tmp_path, monkeypatch, epochs):
    """Its files would take the place of the new ones; they are kept if they were made from the same."""
    output = tmp_path / "descent.json"
    asked = scripts.Asked([str(output)], Identity({"epochs": 50}), False)
    monkeypatch.setattr(scripts, "asked_for", lambda: asked)
    monkeypatch.setattr("sys.stdout", said := StringIO())  # capsys can lose what a thread prints while it is read
    with ThreadPoolExecutor() as pool:
        with locked(record_path(str(output)).with_suffix(".lock")):
            done = pool.submit(scripts.run, lambda: output.write_text("new"))
            wait_for(lambda: done.done() or "waiting for it" in said.getvalue())
            assert not done.done()
            output.write_text("the other's")
            write_record([str(output)], Identity({"epochs": epochs}))
        done.result(timeout=30)
    assert output.read_text() == ("the other's" if epochs == 50 else "new")
    assert recorded(output) == asked.identity
