# Configuration, the cell grammar and the paths that the stages share.

import json
import os
import sys
from shlex import quote

from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.join(workflow.basedir, "workflow_scripts")
sys.path.insert(0, SCRIPTS)

from rethinking.cells import PIXEL_CORRUPTIONS, Cell, sample_size
from rethinking.config.loading import load_config
from rethinking.models import training_megaflops
from rethinking.run.files import UserError
from rethinking.run.hardware import expects_gpu, visible_gpus
from rethinking.run.identity import digest_of, recorded_digest
from rethinking.run.plan import ARRAYS, LIBRARY, Plan
from rethinking.run.progress import show_progress
from rethinking.run.results_lock import lock_results
from rethinking.run.scripts import options

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

PLAN = Plan(CONFIG)
RESULTS = CONFIG.results_dir
DATA_DIR = CONFIG.data_folder
# Sections of the configuration that have targets of their own.
BEYOND = ("capacity", "complexity", "expressivity", "linear_models")
CELL = "{dataset}/{corruption}/{model}/{regularisers}/seed{seed}"
# Where a cell lies among the results. The branch is empty, or 'ablations/<name>/' for a variant of the cell.
TRAINED = f"{{branch}}cells/{CELL}"
# Data lie in folders that are named after what they are made from, so that checkouts can share them.
PREPARED = f"{DATA_DIR}/prepared/{{dataset}}/{{key}}"
CORRUPTED = f"{DATA_DIR}/corrupted/{{dataset}}/{{corruption}}/seed{{seed}}/{{key}}"
# A problem of two classes on n of the training images, stored like a prepared data set.
SAMPLE = f"{DATA_DIR}/samples/{{dataset}}/n{{n}}/{{key}}"


wildcard_constraints:
    dataset="[^/]+",
    corruption="[^/]+",
    model="[^/]+",
    regularisers="[^/]+",
    seed="[0-9]+",
    branch="(ablations/[^/]+/)?",
    key="[0-9a-f]{20}",


# ---- what is stale


def reads(made):
    """The files that a job reads. A current result needs none; one that is there and stale is made again.

    So identities decide alone what is made: Snakemake sees neither times nor inputs of what is current.
    """
    asked_for = workflow.dag_settings
    forced = asked_for.forceall or asked_for.forcetargets or asked_for.forcerun
    if made.current and not forced:
        return []
    if any(os.path.exists(file) for file in made.outputs):
        workflow.dag.forcefiles.update(made.outputs)
    files = [[each] if isinstance(each, str) else each.outputs for each in (*made.needs, *made.data)]
    return list(dict.fromkeys(file for some in files for file in some))


def record(made):
    """What a job has to know to record the identity of its result."""
    return json.dumps(made.record)


def finished(results):
    """Results to build from: all of them, or those that are there if the configuration says so."""
    return [each for each in results if not CONFIG.finished_only or os.path.exists(each.outputs[-1])]


def artefact(script, outputs, settings, results=(), entries=(), needs=()):
    """A table, figure or text made from trained networks and fits (results) and from other artefacts (needs)."""
    found = finished(results)
    if CONFIG.finished_only:
        # Whatever they were made from: their own records say what it was.
        parts = digest_of([recorded_digest(each.outputs[0]) or "" for each in found])
        made = PLAN.make(script, outputs, settings, inputs={"finished": parts}, entries=entries, needs=needs)
        made.results = found
        return made
    made = PLAN.make(script, outputs, settings, entries=entries, needs=[*results, *needs])
    made.results = found
    return made


def files_of(made, filename):
    """The files of that name among the results that an artefact is made from."""
    return [file for each in made.results for file in each.outputs if os.path.basename(file) == filename]


def described(get):
    """A function of wildcards that ends with a message for the user where there is no such thing."""

    def checked(wildcards):
        try:
            made = get(wildcards)
        except UserError as error:
            raise WorkflowError(str(error)) from None
        key = wildcards.get("key")
        if key is not None and key != made.identity.digest:
            raise WorkflowError(
                f"there are no data {key}: with this configuration it is {made.identity.digest}; ask for that"
            )
        return made

    return checked


@described
def prepared(wildcards):
    """A prepared data set."""
    return PLAN.prepared(wildcards.dataset)


@described
def sampled(wildcards):
    """A sample of a data set."""
    return PLAN.sample(wildcards.dataset, int(wildcards.n))


@described
def corrupted(wildcards):
    """A corruption of a data set."""
    return PLAN.overlay(wildcards.dataset, wildcards.corruption, int(wildcards.seed))


@described
def trained(wildcards):
    """A network that an output path names."""
    cell = Cell.parse(
        f"{wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
    )
    return PLAN.cell(cell, wildcards.branch.removeprefix("ablations/").removesuffix("/") or None)


# ---- cells


def cells_of(*results):
    """The trained networks of some sections of the configuration."""
    return PLAN.cells(CONFIG.cells(*results))


def result_cells(result):
    """The cells that a table or figure shows, without seeds."""
    cells = getattr(CONFIG, result).cells
    if not cells:
        raise WorkflowError(f"{result}.cells is empty, so there is no such result; list its cells")
    return cells


def cell_options(made):
    """Where a network's data lie, for a command line."""
    *_, overlay = made.data
    whole = overlay.data[0]
    return options(prepared=whole.folder, overlay=overlay.folder)


def cell_settings(wildcards):
    """The resolved settings of a cell, as JSON."""
    settings = dict(trained(wildcards).identity.settings)
    settings.pop("cell")
    return json.dumps(settings)


def training_cost(wildcards):
    """The arithmetic that training a cell takes for each image of its data set, 10^6 operations."""
    settings = trained(wildcards).identity.settings
    return round(settings["epochs"] * training_megaflops(wildcards.model, settings["input_size"]))


def measured(name):
    """What is measured on cells for capacity or complexity."""
    if name == "complexity":
        return [PLAN.complexity(cell) for cell in CONFIG.cells("complexity")]
    return [PLAN.stability(cell) for cell in CONFIG.cells("capacity") if cell.base != cell]


def networks():
    """Data set, network, its input size and architecture of all results, each once."""
    found = {}
    for cell in CONFIG.cells(*CONFIG.results):
        settings = CONFIG.settings(cell).model_dump(include={"input_size", "architecture"})
        network = {"dataset": cell.dataset, "model": cell.model, **settings}
        found[json.dumps(network)] = network
    return list(found.values())


# ---- runs


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
