"""Measure the complexity of one trained network, for comparison with its generalisation gap."""

import argparse
from pathlib import Path

import numpy as np
import torch

from rethinking import registry
from rethinking.analysis.aggregation import read_summary
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import load_corrupted
from rethinking.measures.complexity import Network, measure_complexity
from rethinking.measures.weights import load_weights
from rethinking.models.initialisation import DATA_DEPENDENT
from rethinking.run import scripts
from rethinking.run.files import write_json
from rethinking.run.gpu_slots import device_in, gpu_slot
from rethinking.streams import stream, torch_seed
from rethinking.training.feeders import inputs_of
from rethinking.training.initial_weights import build_network, draw_initial_weights
from rethinking.training.steps import set_precision


def main() -> None:
    """Read the command line and the cell, write its measures, of which a diverged network has none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the cell")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--overlay", type=Path, required=True, help="folder of the corruption")
    parser.add_argument("--images", type=Path, help="where the files of large images lie")
    parser.add_argument("--count", type=int, required=True, help="training images to measure on")
    parser.add_argument("--draws", type=int, required=True, help="of the noise on the weights")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cells-per-gpu", type=int, default=1, help="jobs that share a GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    summary = read_summary(args.folder / "summary.json")
    cell = Cell.parse(summary["cell"])
    measures = dict.fromkeys(registry.names("measure"))
    if summary["status"] != "diverged":
        with device_in(gpu_slot(args.cells_per_gpu), args.device) as (device, _):
            measures = measure(cell, summary["provenance"]["settings"], args, device)
    images = min(args.count, summary["data"]["train"]["count"])
    write_json(args.output, {"cell": str(cell), "images": images, "draws": args.draws} | measures)


def measure(
    cell: Cell, settings: dict[str, object], args: argparse.Namespace, device: torch.device
) -> dict[str, float | None]:
    """The measures of a network with the weights in its folder."""
    settings = CellSettings(**settings)
    set_precision("float32", device)
    data = load_corrupted(args.prepared, args.overlay, args.images)
    n = len(data.train_labels)
    some = np.sort(stream(cell.seed, "measured images", cell.dataset).permutation(n)[: args.count])
    inputs = inputs_of(data, "train", some, settings.input_size, device)
    labels = torch.from_numpy(data.train_labels[some]).to(device)

    def network() -> torch.nn.Module:
        shape = tuple(inputs.shape[1:])
        return build_network(cell, shape, data.num_classes, settings.architecture).eval()

    # Drawn again as in training, so that they need not be stored.
    initial, model = network(), network()
    draw_initial_weights(initial, cell, settings, data)
    load_weights(model, args.folder)
    noise = torch_seed(cell.seed, "noise on weights", cell.stream_key)
    sees_images = settings.initialisation == DATA_DEPENDENT
    return measure_complexity(
        Network(model.to(device), initial.to(device), inputs, labels, n, args.draws, noise, sees_images)
    )


if __name__ == "__main__":
    scripts.run(main)
