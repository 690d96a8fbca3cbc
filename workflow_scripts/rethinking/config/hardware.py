"""The section hardware."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rethinking.config.fields import Strict


class HardwareConfig(Strict):
    """Where cells are trained. Changing it makes no cell stale."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes the GPU if torch can use one, else the CPU."
    )
    cells_per_gpu: int = Field(1, ge=1, description="Cells that share a GPU; small networks leave most of one idle.")
    workers: int = Field(
        1,
        ge=1,
        description="Processes that train one cell together, each on a GPU of its own or on CPU threads of its own; "
        "cells without micro_batch have one.",
    )
    nodes: int = Field(
        1, ge=1, description="Nodes of a SLURM cluster over which the workers of a cell are spread evenly."
    )
    threads: int = Field(1, ge=1, description="CPU threads of each training job; they also decode images.")
    feeder: Literal["auto", "resident", "streamed"] = Field(
        "auto",
        description="Images of ImageNet: resident on the device, streamed from their files, or auto by size and memory.",
    )
    checkpoint_seconds: int = Field(60, ge=1, description="Seconds between two checkpoints of a cell.")

    @model_validator(mode="after")
    def nodes_have_equal_shares(self) -> Self:
        """Each node has as many workers as the others."""
        if self.workers % self.nodes:
            raise ValueError(f"workers is {self.workers}, not a multiple of nodes, which is {self.nodes}")
        return self
