# Configuration, the cell grammar and the paths that the stages share.

import json
import os
import sys
from shlex import quote

from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.join(workflow.basedir, "workflow_scripts")
sys.path.insert(0, SCRIPTS)

from rethinking.cells import PIXEL_CORRUPTIONS, Cell, corruption_kind, replaced_example, sample_size
from rethinking.config.loading import load_config
from rethinking.run.files import UserError
from rethinking.run.fingerprint import cell_fingerprint, fingerprint
from rethinking.run.hardware import expects_gpu, visible_gpus
from rethinking.models import training_megaflops
from rethinking.run.progress import show_progress
from rethinking.run.results_lock import lock_results

# Scripts are found wherever the working directory is, and run with the Python that runs Snakemake whether or not
# its environment is activated. The C library keeps freed blocks: otherwise each training step on the CPU asks
# the kernel for its activations anew.
shell.prefix(
    f"export PYTHONPATH={quote(SCRIPTS)} PATH={quote(os.path.dirname(sys.executable))}:$PATH"
    " MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296; "
)

try:
    CONFIG = load_config(config, [CONFIG_FILE, *map(str, workflow.overwrite_configfiles)])
except UserError as error:
    raise WorkflowError(str(error)) from None

# So many cells train on this machine's GPUs at a time, unless --resources gpu=N says otherwise. On a cluster
# profiles/slurm makes this limit one of each job. Snakemake has no directive for it.
if expects_gpu(CONFIG.hardware.device) and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", CONFIG.hardware.cells_per_gpu * max(1, len(visible_gpus())))

RESULTS = CONFIG.results_dir
DATA_DIR = CONFIG.data_folder
# Sections of the configuration that have targets of their own.
BEYOND = ("capacity", "complexity", "expressivity", "linear_models")
CELL = "{dataset}/{corruption}/{model}/{regularisers}/seed{seed}"
# Where a cell lies among the results. The branch is empty, or 'ablations/<name>/' for a variant of the cell.
TRAINED = f"{{branch}}cells/{CELL}"
PREPARED = f"{DATA_DIR}/prepared/{{dataset}}"
CORRUPTED = f"{DATA_DIR}/corrupted/{{dataset}}/{{corruption}}/seed{{seed}}"
# A problem of two classes on n of the training images, stored like a prepared data set.
SAMPLE = f"{DATA_DIR}/samples/{{dataset}}/n{{n}}"
ARRAYS = ["train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"]


wildcard_constraints:
    dataset="[^/]+",
    corruption="[^/]+",
    model="[^/]+",
    regularisers="[^/]+",
    seed="[0-9]+",
    branch="(ablations/[^/]+/)?",


def cell_files(result, filename):
    """That file of every cell and seed that a table or figure shows; only finished cells if the config says so."""
    return available(f"{RESULTS}/cells/{cell}/{filename}" for cell in CONFIG.cells(result))


def result_cells(result):
    """The cells that a table or figure shows, without seeds."""
    cells = getattr(CONFIG, result).cells
    if not cells:
        raise WorkflowError(f"{result}.cells is empty, so there is no such result; list its cells")
    return cells


def available(files):
    """Files to build from: all of them, or those that are there if the config says so."""
    return [file for file in files if not CONFIG.finished_only or os.path.exists(file)]


def beyond(files):
    """Files of what has a target of its own, not part of cifar10: all where everything is made, else those that are there."""
    everything = not workflow.dag_settings.targets or "all" in workflow.dag_settings.targets
    return [file for file in files if os.path.exists(file) or (everything and not CONFIG.finished_only)]


def own_cells():
    """The cells of cifar10."""
    return CONFIG.cells(*(name for name in CONFIG.results if name not in BEYOND))


def shown_files(cells, filename):
    """That file of cells: of those of cifar10 as available() says, of others as beyond() does."""
    paths = {cell: f"{RESULTS}/cells/{cell}/{filename}" for cell in cells}
    own = set(own_cells())
    return available(paths[cell] for cell in cells if cell in own) + beyond(
        paths[cell] for cell in cells if cell not in own
    )


def read_cell(wildcards):
    """The cell that an output path names; a name that is none ends with what would be right."""
    try:
        cell = Cell.parse(
            f"{wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        )
        CONFIG.settings(cell, variant(wildcards))
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return cell


def variant(wildcards):
    """The ablation that an output path names; None for the cell with its own settings."""
    return wildcards.branch.removeprefix("ablations/").removesuffix("/") or None


def cell_inputs(wildcards):
    """Images and labels of a cell: the prepared data set and its corruption's overlay."""
    read_cell(wildcards)
    changed = "images" if wildcards.corruption in PIXEL_CORRUPTIONS else "labels"
    arrays = [f"{split}_{changed}.npy" for split in ("train", "test")]
    if replaced_example(wildcards.corruption) is not None:
        arrays.append("train_images.npy")
    n = sample_size(wildcards.corruption)
    # Not by expand(), which for thousands of cells is felt.
    prepared = PREPARED.format(**wildcards) if n is None else SAMPLE.format(n=n, **wildcards)
    overlay = CORRUPTED.format(**wildcards)
    return {
        "prepared": [f"{prepared}/{file}" for file in (*ARRAYS, "manifest.json")],
        "overlay": [f"{overlay}/{file}" for file in (*arrays, "manifest.json")],
    }


def cell_settings(wildcards):
    """The resolved settings of a cell, as JSON."""
    return CONFIG.settings(read_cell(wildcards), variant(wildcards)).model_dump_json()


def training_cost(wildcards):
    """The arithmetic that training a cell takes for each image of its data set, 10^6 operations."""
    settings = CONFIG.settings(read_cell(wildcards), variant(wildcards))
    return round(settings.epochs * training_megaflops(wildcards.model, settings.input_size))


def take_results():
    """Take the lock of the results, unless this run writes nothing."""
    if any(job.rule.name != "status" for job in workflow.dag.needrun_jobs()):
        try:
            lock_results(RESULTS)
        except UserError as error:
            raise WorkflowError(str(error)) from None


def planned_cells():
    """The cells that this run trains. Only Snakemake's graph of jobs knows them, which is there once a run starts."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name == "train_cell"]
    return [TRAINED.format(**job.wildcards_dict) for job in jobs]


def figure_curves(wildcards):
    """What a figure shows of each cell, one row per epoch."""
    filename = "memorisation.csv" if wildcards.figure == "memorisation" else "curve.csv"
    return cell_files(wildcards.figure, filename)


def figure_folders(wildcards, input):
    """The folders of the cells that have both files."""
    curves = set(map(os.path.dirname, input.curves))
    return [folder for folder in map(os.path.dirname, input.summaries) if folder in curves]


def networks():
    """Data set, network, its input size and architecture of all results, each once."""
    found = {}
    for cell in CONFIG.cells(*CONFIG.results):
        settings = CONFIG.settings(cell).model_dump(include={"input_size", "architecture"})
        network = {"dataset": cell.dataset, "model": cell.model, **settings}
        found[json.dumps(network)] = network
    return list(found.values())


def ablated_summaries(wildcards):
    """The summaries of the cells that ablations compare with."""
    cells = CONFIG.ablated_cells()
    if not cells:
        raise WorkflowError("ablations has no cells, so there is nothing to compare; list some")
    return available(f"{RESULTS}/cells/{cell}/summary.json" for cell in cells)


def sample_file(wildcards, filename):
    """A file of the sample that the signs of a corruption belong to."""
    n = sample_size(wildcards.corruption)
    return f"{SAMPLE.format(dataset=wildcards.dataset, n=n)}/{filename}"


def replaced_inputs(wildcards):
    """The network without the replacement of an example, with the images and labels of both examples."""
    base = read_cell(wildcards).base
    folder = TRAINED.format(**{**wildcards, "corruption": base.corruption})
    prepared, overlay = (
        path.format(dataset=base.dataset, corruption=base.corruption, seed=base.seed)
        for path in (PREPARED, CORRUPTED)
    )
    return {
        "before": [
            f"{RESULTS}/{folder}/{file}"
            for file in ("summary.json", "predictions.npz", "weights.safetensors")
        ],
        "images": [f"{prepared}/{split}_images.npy" for split in ("train", "test")],
        "labels": [f"{overlay}/{split}_labels.npy" for split in ("train", "test")],
    }


def measured_files(cells, filename):
    """What is measured on some cells for capacity or complexity."""
    measured = {
        "complexity.json": set(CONFIG.cells("complexity")),
        "stability.json": {cell for cell in CONFIG.cells("capacity") if cell.base != cell},
    }
    return [f"{RESULTS}/cells/{cell}/{filename}" for cell in cells if cell in measured[filename]]


def prepared_folder(wildcards):
    """The folder of the prepared data set of a linear model."""
    return f"{DATA_DIR}/prepared/{CONFIG.linear_models.model(wildcards.model).dataset}"


def linear_model_data(wildcards):
    """The files in it."""
    return [f"{prepared_folder(wildcards)}/{file}" for file in ("manifest.json", *ARRAYS)]


def validation_file(wildcards):
    """The errors that gamma or penalty is chosen from, where one is."""
    return f"{RESULTS}/linear_models/{wildcards.model}/validation.csv" if validated(wildcards) else []


def validated(wildcards):
    """Whether a linear model has a setting that is chosen on the validation part."""
    return CONFIG.linear_models.model(wildcards.model).validated
