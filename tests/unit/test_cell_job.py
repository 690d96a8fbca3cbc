"""The job of a cell beside those that a killed Snakemake left: what is finished stays, as long as nothing else is."""

import argparse
from contextlib import nullcontext

import pytest

from rethinking.cells import CELL_FILES
from rethinking.run import cell_cache, cell_job
from rethinking.run.checkpoint import Interrupted
from rethinking.run.files import write_text
from rethinking.run.identity import Identity, is_made, record_path, set_aside, write_record
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

    def train(_device, _place, _checkpoint, workers):
        assert not record_path(files[0]).exists()  # no table is made from the old ones meanwhile
        with workers:
            pass
        for file in files:
            write_text(file, "new")

    run(tmp_path, OLD, train)
    assert is_made(files, OLD)
    assert {file.read_text() for file in files} == {"new"}


@pytest.mark.parametrize("error", [Interrupted(15), OSError(28, "the disk is full")])
@pytest.mark.parametrize(("trained", "stays"), [(False, True), (True, False)])
def test_what_is_forced_is_as_it_was_where_training_fails(files, tmp_path, monkeypatch, error, trained, stays):
    """But no record vouches for it once new files are written."""
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))

    def train(_device, _place, _checkpoint, workers):
        with workers:
            if not trained:
                raise error
        raise error

    with pytest.raises((SystemExit, OSError)):
        run(tmp_path, OLD, train)
    assert is_made(files, OLD) == stays


def test_what_is_forced_is_as_it_was_where_its_job_was_killed(files, tmp_path):
    """At the next start, if that does not force it."""
    set_aside(files)
    assert not is_made(files, OLD)
    run(tmp_path, OLD, lambda *_: pytest.fail("it trained"))
    assert is_made(files, OLD)


def test_what_is_forced_is_not_trained_a_second_time_where_another_process_just_has(files, tmp_path, monkeypatch):
    """Snakemake was killed while it trained, and the same was asked for again."""
    monkeypatch.setattr(cell_job, "asked_for", lambda: Asked([], OLD, None, again=True))
    monkeypatch.setattr(cell_job.Checkpoint, "alone", lambda self: nullcontext(True))
    run(tmp_path, OLD, lambda *_: pytest.fail("it trained"))


def test_no_record_vouches_for_half_a_network_from_the_cache(files, tmp_path, monkeypatch):
    cell_cache.put(tmp_path / "cache", NEW, tmp_path / "cell")
    monkeypatch.setattr(cell_cache.shutil, "copyfile", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, NEW, None, "--cache", tmp_path / "cache")
    assert not record_path(files[0]).exists()
