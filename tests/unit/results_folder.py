"""A results folder in which a test places cells, finished or part-trained, and asks for their status."""

import json
from functools import cache

import torch

from rethinking.cells import CELL_FILES, Cell
from rethinking.config.loading import load_config
from rethinking.run.checkpoint import Checkpoint, Progress
from rethinking.run.files import read_json, write_json
from rethinking.run.identity import Identity, record_path, write_record
from rethinking.run.plan import Plan
from rethinking.run.status import estimate, survey

from ..default_config import default_values

MLP = "digits/true_labels/mlp_1x512/wd"
ALEXNET = "digits/random_labels/alexnet/none"


@cache
def config_of(values):
    """Checked once for all the cells that a test writes."""
    return load_config(json.loads(values), [])


class Results:
    """A results folder in which a test can place finished or part-trained cells."""

    def __init__(self, folder):
        self.folder = folder
        self.values = default_values()
        for name, section in self.values.items():
            if isinstance(section, dict) and "cells" in section:
                self.values[name] = {"cells": [MLP]}
        self.values |= {"results_dir": str(folder), "seeds": [0], "table1": {"cells": [MLP, ALEXNET]}}
        self.values["ablations"] = []
        self.values["hardware"]["device"] = "cpu"
        self.values["datasets"]["digits"]["train_limit"] = 100
        self.values["training"] |= {"epochs": 10, "batch_size": 30}

    @property
    def config(self):
        return config_of(json.dumps(self.values))

    def survey(self):
        return {str(status.cell): status for status in survey(self.config)[0]}

    def status(self, name=MLP):
        return self.survey()[f"{name}/seed0"]

    @property
    def plan(self):
        return Plan(self.config)

    def prepare(self, name="digits"):
        count = self.config.datasets[name].train_limit or 500
        write_json(self.plan.prepared(name).outputs[0], {"train": {"count": count}})

    def finish(self, name=MLP, seed=0, wall_seconds=50.0, device="cpu", **summary):
        made = self.plan.cell(Cell.from_name(name, seed))
        folder = self.folder / "cells" / name / f"seed{seed}"
        folder.mkdir(parents=True)
        for file in CELL_FILES:
            (folder / file).touch()
        count = self.config.datasets[name.split("/")[0]].train_limit or 500
        numbers = {
            "status": "finished",
            "epochs": made.identity.settings["epochs"],
            "wall_seconds": wall_seconds,
        }
        origin = {"data": {"train": {"count": count}}, "provenance": {"device": device}}
        write_json(folder / "summary.json", numbers | summary | origin)
        write_record(made.outputs[:1], made.identity)
        return folder

    def record(self, change):
        """Change the recorded identity of a finished cell."""
        output = self.plan.cell(Cell.from_name(MLP, 0)).outputs[0]
        identity = Identity.from_json(read_json(record_path(output)))
        write_record([output], change(identity))

    def checkpoint(self, epoch, step, name=MLP, seed=0, seconds=5.0, variant=None):
        cell = Cell.from_name(name, seed)
        folder = self.folder / "checkpoints" / (f"ablations/{variant}" if variant else "")
        path = folder / f"{cell}.safetensors"
        state = Checkpoint(path, self.plan.cell(cell, variant).identity)
        state.save(Progress(epoch=epoch, step=step, seconds=seconds), {"weight": torch.zeros(2)})
        return path


def left(results):
    statuses = survey(results.config)[0]
    return estimate(statuses, statuses, results.config.hardware.device)
