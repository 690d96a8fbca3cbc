"""The job of a cell beside those that a killed Snakemake left: what is finished stays, as long as nothing else is."""

import argparse
from contextlib import contextmanager

import pytest

from rethinking.cells import CELL_FILES
from rethinking.run import cell_cache, cell_job
from rethinking.run.checkpoint import Interrupted
from rethinking.run.files import write_text
from rethinking.run.identity import Identity, is_made, record_path, stamp, write_record
from rethinking.run.scripts import Asked

OLD, NEW = Identity({"epochs": 30}), Identity({"epochs": 1500})


@pytest.fixture
def files(tmp_path):
    """A finished network."""
    files = [tmp_path / "cell" / name for name in CELL_FILES]
    for file in files:
        write_text(file, "old")
    write_record(files, OLD)
    return files


def run(tmp_path, identity, train, *options):
    parser = argparse.ArgumentParser()
    cell_job.add_options(parser)
    command = ["--output", tmp_path / "cell", "--checkpoint", tmp_path / "checkpoint", "--device", "cpu", *options]
    cell_job.run(parser.parse_args([*map(str, command)]), identity, 1, train)


def test_a_job_that_starts_late_leaves_a_finished_network_alone(files, tmp_path, capsys):
    """One that waited in a queue when its Snakemake was killed, while another run trained the cell."""
    run(tmp_path, OLD, lambda *_: pytest.fail("it trained"))
    assert is_made(files, OLD)
    assert "another process has finished this cell" in capsys.readouterr().out


def test_a_job_that_is_stopped_leaves_the_network_of_other_settings_whole(files, tmp_path):
    def train(_device, _place, _checkpoint, workers):
        with workers:
            raise Interrupted(15)

    with pytest.raises(SystemExit):
        run(tmp_path, NEW, train)
    assert is_made(files, OLD)


def test_what_is_forced_is_trained_again(files, tmp_path, monkeypatch):
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))
    before = stamp(files[0])

    def train(_device, _place, _checkpoint, workers):
        with workers:
            pass
        for file in files:
            write_text(file, "new")

    run(tmp_path, OLD, train)
    assert {file.read_text() for file in files} == {"new"}
    assert stamp(files[0]) not in (before, None)  # what shows the old one is made again


@pytest.mark.parametrize("error", [Interrupted(15), OSError(28, "the disk is full")])
@pytest.mark.parametrize(("trained", "left"), [(False, {"old"}), (True, {"new"})])
def test_no_files_of_two_networks_are_left_where_training_or_writing_fails(
    files, tmp_path, monkeypatch, error, trained, left
):
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))

    def train(_device, _place, _checkpoint, workers):
        with workers:
            if not trained:
                raise error
        write_text(files[0], "new")
        raise error

    with pytest.raises((SystemExit, OSError)):
        run(tmp_path, OLD, train)
    assert {file.read_text() for file in files if file.exists()} == left
    assert is_made(files, OLD) != trained


def test_what_is_forced_is_not_trained_a_second_time_where_another_process_just_has(files, tmp_path, monkeypatch):
    """Snakemake was killed while it trained, and the same was asked for again."""
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))

    @contextmanager
    def alone(self):
        write_text(files[0], "new")
        write_record(files, OLD)  # the other process is done
        yield

    monkeypatch.setattr(cell_job.Checkpoint, "alone", alone)
    run(tmp_path, OLD, lambda *_: pytest.fail("it trained"))


def test_what_is_forced_is_trained_where_another_process_has_failed(files, tmp_path, monkeypatch):
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, OLD, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, OLD, lambda *_: 1 / 0)


def test_no_checkpoint_outlives_a_network_whose_snakemake_was_killed(files, tmp_path, monkeypatch):
    """What is forced later would go on from it."""
    parents = iter([1234])
    monkeypatch.setattr("os.getppid", lambda: next(parents, 1))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_text("of the last step")

    def train(*_):
        for file in files:
            write_text(file, "new")

    run(tmp_path, NEW, train)
    assert is_made(files, NEW)
    assert not checkpoint.exists()


def test_a_network_that_comes_back_from_the_cache_is_the_one_that_was_measured(files, tmp_path):
    """What shows it stays current."""
    before = stamp(files[0])
    cell_cache.put(tmp_path / "cache", OLD, tmp_path / "cell")
    files[-1].unlink()
    run(tmp_path, OLD, None, "--cache", tmp_path / "cache")
    assert is_made(files, OLD)
    assert stamp(files[0]) == before


def test_no_record_vouches_for_half_a_network_from_the_cache(files, tmp_path, monkeypatch):
    cell_cache.put(tmp_path / "cache", NEW, tmp_path / "cell")
    monkeypatch.setattr(cell_cache.shutil, "copyfile", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, NEW, None, "--cache", tmp_path / "cache")
    assert not record_path(files[0]).exists()
    assert not any(file.exists() for file in files)
