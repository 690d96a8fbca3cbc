# Configuration, the cell grammar and the paths that the stages share.

import json
import os
import re
import sys
from shlex import quote

from snakemake.logging import logger
from snakemake.settings.types import RerunTrigger

SCRIPTS = os.path.join(workflow.basedir, "workflow_scripts")
sys.path.insert(0, SCRIPTS)

from rethinking import plugins, registry
from rethinking.cells import Cell, canonical_name, sample_size
from rethinking.config.loading import load_config
from rethinking.data.imagenet_classes import classes_of
from rethinking.models import training_megaflops
from rethinking.report.layout import entry_of, place_of, titles
from rethinking.run.environment import job_environment
from rethinking.run.files import UserError
from rethinking.run.hardware import expects_gpu, visible_gpus
from rethinking.run.identity import digest_of, recorded_digest
from rethinking.run.plan import LIBRARY, NAMES, Plan
from rethinking.run.scripts import options


def told(function):
    """Wrap a function, so that what it says to the user ends the run.

    Snakemake puts exceptions of rules and input functions under a traceback, but not the end of the program.
    """

    def checked(*arguments, **named):
        try:
            return function(*arguments, **named)
        except UserError as error:
            sys.exit(f"snakemake: {error}")

    return checked


class Told:
    """An object whose methods say to the user what is wrong (see told)."""

    def __init__(self, each):
        self.each = each

    def __getattr__(self, name):
        value = getattr(self.each, name)
        return told(value) if callable(value) else value


CONFIG = told(load_config)(config, [CONFIG_FILE, *map(str, workflow.overwrite_configfiles)])

# Snakemake formats the prefix, so braces are doubled.
shell.prefix(job_environment(plugins.VARIABLE, plugins.files()).replace("{", "{{").replace("}", "}}"))

# How many cells train on this machine's GPUs at a time, unless --resources gpu=N says otherwise. On a cluster,
# profiles/slurm applies the limit to each job. Snakemake has no directive for it.
if expects_gpu(CONFIG.hardware.device) and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", CONFIG.hardware.cells_per_gpu * max(1, len(visible_gpus())))

for name in CONFIG.absent_datasets():
    logger.info(f"{name} is left out, as datasets.{name}.path is not set")
# Data sets of large images in files of the user.
LOCAL = [name for name, dataset in CONFIG.datasets.items() if dataset.source == "local"]

PLAN = Told(Plan(CONFIG))
RESULTS = CONFIG.results_dir
DATA_DIR = CONFIG.data_folder
# The seeds of all cells, and of those with fewer, for command lines.
SEEDS = [*CONFIG.seeds]
SEEDS += [
    f"{name}={','.join(map(str, CONFIG.seeds_of(name)))}"
    for name in dict.fromkeys(cell.name for cell in [*CONFIG.cells(*CONFIG.results), *CONFIG.ablated_cells()])
    if CONFIG.seeds_of(name) != CONFIG.seeds
]
# What tables and figures call things is a part of what they are made from.
TITLES = digest_of([json.dumps(registry.titles())])
CELL = "{dataset}/{corruption}/{model}/{regularisers}/seed{seed}"
# The place of a cell among the results. The branch is empty, or 'ablations/<name>/' for a variant of the cell.
TRAINED = f"{{branch}}cells/{CELL}"
# Data lie in folders that are named after what they are made from, so that checkouts can share them. Snakemake, which
# deletes outputs before and after jobs, knows them by a file among the results alone (see Made.token).
DOWNLOAD = f"{PLAN.tokens}/downloads/{{dataset}}/{{file}}"
PREPARED = f"{PLAN.tokens}/prepared/{{dataset}}/{{key}}"
CORRUPTED = f"{PLAN.tokens}/corrupted/{{dataset}}/{{corruption}}/seed{{seed}}/{{key}}"
# A problem of two classes on n of the training images, stored like a prepared data set.
SAMPLE = f"{PLAN.tokens}/samples/{{dataset}}/n{{n}}/{{key}}"


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
    """The files that a job reads. A current result needs none; an existing but stale one is made again.

    So identities alone decide what is made. Snakemake sees neither times nor inputs of current results, and its own
    records, which are lost with .snakemake, are not used. Of the inputs it sees those that a job of this run makes:
    otherwise it would delete a result as older than a file whose clock was ahead.
    """
    asked_for = workflow.dag_settings
    asked_for.rerun_triggers = frozenset([RerunTrigger.MTIME])
    forced = asked_for.forceall or asked_for.forcetargets or asked_for.forcerun
    if made.current and not forced:
        return []
    if any(os.path.exists(file) for file in made.known):
        workflow.dag.forcefiles.update(made.known)
    # One file of each job is enough: with thousands of cells the others are felt.
    files = (each.known[:1] for each in (*made.needs, *made.data) if forced or not each.current)
    return list(dict.fromkeys(file for known in files for file in known))


def record(made):
    """What a job must know to record the identity of its result."""
    return json.dumps(made.record)


def finished(results):
    """The results to build from: all, or with finished_only those that exist."""
    return [each for each in results if not CONFIG.finished_only or os.path.exists(each.outputs[-1])]


# What is built from while finished_only is set.
USED = {}


def artefact(script, outputs, settings, results=(), entries=(), needs=()):
    """A table, figure or text made from trained networks and fits (results) and from other artefacts (needs)."""
    found, inputs = finished(results), {"titles": TITLES}
    if CONFIG.finished_only:
        USED.update((each.outputs[0], each) for each in found)
        # They need not be current: their records say what they were made from.
        inputs["finished"] = digest_of([recorded_digest(each.outputs[0]) or "" for each in found])
    else:
        needs = [*results, *needs]
    made = PLAN.make(script, outputs, settings, inputs=inputs, entries=entries, needs=needs)
    made.results = found
    return made


CAPTION = os.path.join(LIBRARY, "report", "caption.rst")
# Table or figure -> the result behind what readers see. Each stage adds its own.
SHOWN = {}


def show(name, made):
    """Add a table, of which ``made`` holds the numbers, or a figure to what readers see; return its files."""
    if entry := registry.find("table", name):
        outputs = multiext(f"{RESULTS}/{name}", ".md", ".tex")
        SHOWN[name] = artefact("render_table", outputs, {"table": name}, entries=[entry.root], needs=[made])
        return [f"{RESULTS}/{name}.csv", *outputs]
    SHOWN[name] = made
    return [file for file in made.outputs if os.path.basename(file).split(".")[0] == name]


def show_theory(name, results):
    """Add a figure of the theory; return its files. With finished_only there may be nothing to draw."""
    if not finished(results):
        return []
    entry = registry.entry("figure", name)
    outputs = [*multiext(f"{RESULTS}/{name}", *IMAGES), f"{RESULTS}/{name}.csv"]
    settings = {"figure": name} | ({"models": MODELS_SHOWN} if "models" in entry.arguments else {})
    return show(name, artefact("plot_theory", outputs, settings, results, entries=[entry.root]))


def marked(file, name=None):
    """A file for 'snakemake --report', under the section and the sentence of the report; the name is a wildcard's value."""
    return report(
        file,
        caption=CAPTION,
        category=lambda wildcards: place_of(name or shown_name(wildcards))[0],
        labels=lambda wildcards: {"result": entry_of(name or shown_name(wildcards)).title},
    )


def images(name):
    """The formats of a figure, the first one marked; the name can be a wildcard."""
    known = None if name.startswith("{") else name
    return [marked(f"{RESULTS}/{name}.svg", known), *multiext(f"{RESULTS}/{name}", ".png", ".pdf")]


def caption(*names):
    """The text beside the marked files of a rule, which makes these tables and figures or the one of its wildcard."""
    return lambda wildcards: " ".join(place_of(name)[1] for name in names or [shown_name(wildcards)])


def shown_name(wildcards):
    """The table or figure that a rule's wildcards name."""
    return wildcards.get("table") or wildcards.figure


def named(script):
    """The names of the tables and figures that a script makes, for a wildcard."""
    return "|".join(registry.made_by(script))


def model_entries(*results):
    """The code of the networks that some sections of the configuration have."""
    models = dict.fromkeys(cell.model for cell in CONFIG.cells(*results))
    return [registry.entry("model", model).root for model in models]


def corruptions(*arrays):
    """The form of the names of all corruptions that change these arrays, for a wildcard."""
    files = ["manifest.json", *(f"{array}.npy" for array in arrays)]
    forms = [each.form.pattern for each in registry.entries("corruption") if each.files == files]
    return "|".join(re.sub(r"\?P<\w+>", "?:", form) for form in forms)


def files_of(made, ending):
    """The files with this ending among the results that an artefact is made from."""
    return [file for each in made.results for file in each.outputs if file.endswith(ending)]


def described(get):
    """Wrap a function of wildcards, so that an unknown name ends with a message for the user."""

    @told
    def checked(wildcards):
        made = get(wildcards)
        key = wildcards.get("key")
        if key is not None and key != made.identity.digest:
            raise UserError(
                f"there are no data {key}: with this configuration the key is {made.identity.digest}; ask for that"
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
    return PLAN.cell(
        Cell.parse(CELL.format(**wildcards)),
        wildcards.branch.removeprefix("ablations/").removesuffix("/") or None,
    )


# ---- cells


def cells_of(*results):
    """The trained networks of some sections of the configuration."""
    return PLAN.cells(CONFIG.cells(*results))


@told
def result_cells(result):
    """The cells that a table or figure shows, without seeds."""
    if not getattr(CONFIG, result).cells:
        raise UserError(f"{result}.cells is empty, so there is no such result; list its cells")
    if not CONFIG.cell_names(result):
        paths = ", ".join(f"datasets.{name}.path" for name in CONFIG.absent_datasets())
        raise UserError(f"{result} has no data, as {paths} is not set")
    return CONFIG.cell_names(result)


def paired_cells():
    """The cells of table 1 without regularisers, of networks that it has on true and on random labels."""
    found = {}
    for cell in CONFIG.cells("table1"):
        if not cell.regularisers and cell.corruption in ("true_labels", "random_labels"):
            found.setdefault((cell.dataset, cell.model), {})[cell.corruption] = cell.name
    return [name for names in found.values() if len(names) == 2 for name in names.values()]


def cell_options(made):
    """Where a network's data lie, for a command line."""
    *_, overlay = made.data
    whole = overlay.data[0]
    images = whole.data[0].path if f"{whole.folder}/{NAMES[0]}" in whole.outputs else None
    return options(prepared=whole.folder, overlay=overlay.folder, images=images)


def cell_settings(wildcards):
    """The resolved settings of a cell, as JSON."""
    settings = dict(trained(wildcards).identity.settings)
    settings.pop("cell")
    return json.dumps(settings)


def workers_of(wildcards):
    """The processes that train a cell together."""
    return CONFIG.hardware.workers if "micro_batch" in trained(wildcards).identity.settings else 1


def gpu_slots_of(wildcards):
    """The slots of GPUs that a cell takes: all of each GPU where it has several workers."""
    workers = workers_of(wildcards)
    slots = workers * CONFIG.hardware.cells_per_gpu if workers > 1 else 1
    return slots * expects_gpu(CONFIG.hardware.device)


def training_cost(wildcards):
    """The arithmetic that training a cell takes for each image of its data set, 10^6 operations; 0 keeps it apart."""
    if workers_of(wildcards) > 1:
        return 0
    settings = trained(wildcards).identity.settings
    # 0 would mean that it is no cell.
    return max(1, round(settings["epochs"] * training_megaflops(wildcards.model, settings["input_size"])))


def measured(name):
    """The measurements on cells for capacity or complexity."""
    if name == "complexity":
        return [PLAN.complexity(cell) for cell in CONFIG.cells("complexity")]
    return [PLAN.stability(cell) for cell in CONFIG.cells("capacity") if cell.base != cell]


def networks():
    """Data set, network, input size and architecture behind all results, each combination once."""
    found = {}
    for cell in CONFIG.cells(*CONFIG.results):
        settings = CONFIG.settings(cell).model_dump(include={"input_size", "architecture"})
        # A regulariser, which has no parameters.
        settings["architecture"].pop("dropout", None)
        network = {"dataset": cell.dataset, "model": cell.model, **settings}
        found[json.dumps(network)] = network
    return list(found.values())


# ---- results, by the wildcards of their rules


def source_options(wildcards):
    """Source of a data set and how much of it is used, for a command line."""
    dataset = CONFIG.datasets[wildcards.dataset]
    downloads = f"{DATA_DIR}/downloads/{wildcards.dataset}"
    files = PLAN.prepared(wildcards.dataset).data
    path = dataset.path or (files[0].path if len(files) == 1 else downloads if files else None)
    return options(
        path=path, **dataset.model_dump(include={"source", "provenance", "train_limit", "test_limit"})
    )


def image_options(wildcards):
    """Where large images lie and what is taken of them, for a command line."""
    dataset = CONFIG.datasets[wildcards.dataset]
    chosen = {"path", "provenance", "stored_size", "train_limit", "test_limit"}
    values = dataset.model_dump(include=chosen)
    classes = classes_of(wildcards.dataset, dataset.classes)
    values["classes"] = ",".join(classes) if classes else None
    return options(**values) + (" --skip-unreadable" if dataset.skip_unreadable else "")


@described
def shown(wildcards):
    """A table for readers, or a figure."""
    name = shown_name(wildcards)
    if name not in SHOWN:
        raise UserError(f"{name} has nothing to show with this configuration; list its cells")
    return SHOWN[name]


@described
def table(wildcards):
    """The numbers of a table."""
    if wildcards.table in CONFIG.results:
        result_cells(wildcards.table)
    return shown(wildcards).needs[0]


@described
def ablations(wildcards):
    """The comparison of ablations."""
    if not CONFIG.ablated_cells():
        raise UserError("ablations has no cells, so there is nothing to compare; list some")
    return ABLATIONS


@described
def figure(wildcards):
    """A figure of trained networks."""
    result_cells(wildcards.figure)
    return shown(wildcards)


@described
def stability(wildcards):
    """The stability of a network."""
    return PLAN.stability(Cell.parse(CELL.format(**wildcards)))


@described
def complexity(wildcards):
    """The complexity of a network."""
    return PLAN.complexity(Cell.parse(CELL.format(**wildcards)))


def fit(wildcards):
    """An exact fit."""
    return PLAN.fit(wildcards.model, int(wildcards.seed))


def comparison(wildcards):
    """Other exact fits."""
    return PLAN.comparison(wildcards.model, int(wildcards.seed))


def fit_data(made):
    """Where a fit's images lie, and the errors that its gamma or penalty is chosen from, for a command line."""
    return options(prepared=made.data[0].folder, validation=made.needs[0].outputs[0] if made.needs else None)
