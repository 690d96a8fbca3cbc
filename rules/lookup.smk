# What the rules look up: the result that a rule's wildcards name, and options of its command line.

from shlex import join

from rethinking.cells import Cell
from rethinking.config.image_counts import too_few_images
from rethinking.data.imagenet_classes import classes_of
from rethinking.models import training_megaflops
from rethinking.run.scripts import options

# What would take more images than there are stops before any job does, but only where a target needs it.
IMPOSSIBLE = too_few_images(CONFIG)


def described(get, name=lambda wildcards: None):
    """Wrap a function of wildcards, so that an unknown name ends with a message for the user.

    The second function gives the name under which what cannot be made is known.
    """

    @exit_on_user_error
    def checked(wildcards):
        made = get(wildcards)
        if message := IMPOSSIBLE.get(name(wildcards)):
            raise UserError(message)
        key = wildcards.get("key")
        if key is not None and key != made.identity.digest:
            raise UserError(
                f"there are no data {key}: with this configuration the key is {made.identity.digest}; ask for that"
            )
        return made

    return checked


def cell_named(wildcards):
    """The cell of an output path."""
    return Cell.parse(CELL.format(**wildcards))


# The results that the wildcards of rules name: data, networks, measurements, fits.
prepared = described(lambda wildcards: PLAN.prepared(wildcards.dataset))
sampled = described(
    lambda wildcards: PLAN.sample(wildcards.dataset, int(wildcards.n)),
    lambda wildcards: ("sample", wildcards.dataset, int(wildcards.n)),
)
corrupted = described(
    lambda wildcards: PLAN.overlay(wildcards.dataset, wildcards.corruption, int(wildcards.seed)),
    lambda wildcards: ("corruption", wildcards.dataset, wildcards.corruption),
)
trained = described(lambda wildcards: PLAN.cell(cell_named(wildcards), *wildcards.branch.split("/")[1:2]))
stability = described(lambda wildcards: PLAN.stability(cell_named(wildcards)))
complexity = described(lambda wildcards: PLAN.complexity(cell_named(wildcards)))
fit = described(lambda wildcards: PLAN.fit(wildcards.model, int(wildcards.seed)))
comparison = described(
    lambda wildcards: PLAN.comparison(wildcards.model, int(wildcards.seed)),
    lambda wildcards: ("comparison", wildcards.model),
)
validation = described(
    lambda wildcards: PLAN.validation(wildcards.model), lambda wildcards: ("validation", wildcards.model)
)
construction = described(lambda wildcards: PLAN.expressivity(int(wildcards.seed)))
descent = described(lambda wildcards: PLAN.descent(int(wildcards.seed)), lambda wildcards: ("descent",))


# ---- cells


def seeds_of(cells):
    """The seeds of all cells, and of those among these with fewer, for command lines."""
    # Without the folder of an ablation.
    names = dict.fromkeys(str(Path(*Path(name).parts[-4:])) for name in cells)
    fewer = {name: seeds for name in names if (seeds := CONFIG.seeds_of(name)) != CONFIG.seeds}
    return [*CONFIG.seeds, *(f"{name}={','.join(map(str, seeds))}" for name, seeds in fewer.items())]


def networks(cells):
    """The networks that an artefact shows, as settings of it."""
    return {"cells": cells, "seeds": seeds_of(cells)}


def network_options(made, root=f"{RESULTS}/cells"):
    """The networks that an artefact shows, for a command line: names of cells and seeds, because files are too many."""
    cells, seeds = (made.identity.settings[key] for key in ("cells", "seeds"))
    return f"{options(root=root)} --cells {join(cells)} --seeds {join(map(str, seeds))}"


def cells_of(*results):
    """The trained networks of some sections of the configuration."""
    return PLAN.cells(CONFIG.cells(*results))


@exit_on_user_error
def result_cells(result):
    """The cells that a table or figure shows, without seeds."""
    if not getattr(CONFIG, result).cells:
        raise UserError(f"{result}.cells is empty, so there is no such result; list its cells")
    if not CONFIG.cell_names(result):
        paths = ", ".join(f"datasets.{name}.path" for name in CONFIG.absent_datasets())
        raise UserError(f"{result} has no data, as {paths} is not set")
    return CONFIG.cell_names(result)


def paired_cells():
    """The cells without regularisers of networks that a table has on true and on random labels.

    They are those of table 1, and of table 2 where table 1 has none: one on CIFAR-10 must not wait for ImageNet. With
    finished_only table 1 has none, too, as long as no pair of it is finished.
    """
    several = []
    for table in ("table1", "table2"):
        found = {}
        for cell in CONFIG.cells(table):
            if not cell.regularisers and cell.corruption in ("true_labels", "random_labels"):
                found.setdefault((cell.dataset, cell.model), {})[cell.corruption] = cell.name
        if pairs := [list(names.values()) for names in found.values() if len(names) == 2]:
            several.append(pairs)
    done = {cell.name for cell in CONFIG.cells("table1", "table2") if finished([PLAN.cell(cell)])}
    shown = [pairs for pairs in several if any(done.issuperset(pair) for pair in pairs)]
    return [name for pair in next(iter(shown or several), []) for name in pair]


def cell_options(made):
    """Where a network's data lie, for a command line."""
    *_, overlay = made.data
    whole = overlay.data[0]
    images = whole.data[0].path if whole.script == "prepare_images" else None
    return options(prepared=whole.folder, overlay=overlay.folder, images=images)


def cell_settings(wildcards):
    """The resolved settings of a cell, as JSON."""
    settings = dict(trained(wildcards).identity.settings)
    settings.pop("cell")
    return json.dumps(settings)


def workers_of(wildcards):
    """The processes that train a cell together."""
    return CONFIG.hardware.workers if "micro_batch" in trained(wildcards).identity.settings else 1


def nodes_of(wildcards):
    """The nodes of a cluster over which the workers of a cell are spread."""
    return CONFIG.hardware.nodes if workers_of(wildcards) > 1 else 1


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


def architectures():
    """Data set, network, input size and architecture behind all results, each combination once."""
    found = {}
    # The seeds of a cell have one.
    for cell in {cell.name: cell for cell in CONFIG.cells(*CONFIG.results)}.values():
        settings = CONFIG.settings(cell).model_dump(include={"input_size", "architecture"})
        # A regulariser, which has no parameters.
        settings["architecture"].pop("dropout", None)
        network = {"dataset": cell.dataset, "model": cell.model, **settings}
        found[json.dumps(network)] = network
    return list(found.values())


def source_options(wildcards):
    """Source of a data set and how much of it is used, for a command line."""
    dataset = CONFIG.datasets[wildcards.dataset]
    path = PLAN.downloaded(wildcards.dataset) if dataset.source == "official" else dataset.path
    return options(path=path, **dataset.model_dump(include={"source", "provenance", "train_limit", "test_limit"}))


def image_options(wildcards):
    """Where large images lie and what is taken of them, for a command line."""
    dataset = CONFIG.datasets[wildcards.dataset]
    chosen = {"path", "provenance", "stored_size", "train_limit", "test_limit"}
    values = dataset.model_dump(include=chosen)
    classes = classes_of(wildcards.dataset, dataset.classes)
    values["classes"] = packed(classes) if classes else None
    return options(**values) + (" --skip-unreadable" if dataset.skip_unreadable else "")


def fit_data(made):
    """Where a fit's images lie, and the errors that its gamma or penalty is chosen from, for a command line."""
    return options(prepared=made.data[0].folder, validation=made.needs[0].outputs[0] if made.needs else None)


# ---- tables and figures, by their names


@exit_on_user_error
def shown(name):
    """A table for readers, or a figure."""
    if name in CONFIG.results:
        result_cells(name)
    if name not in SHOWN:
        why = "list the cells that it shows"
        if CONFIG.finished_only:
            counted = "it is counted from prepared data: ask without finished_only"
            why = counted if name == "sizes" else "none of its results is finished"
        raise UserError(f"{name} has nothing to show with this configuration; {why}")
    return SHOWN[name]


def table(name):
    """The numbers of a table."""
    return shown(name).needs[0]


@exit_on_user_error
def ablations(wildcards):
    """The comparison of ablations."""
    if not CONFIG.ablated_cells():
        if CONFIG.ablations:
            raise UserError(
                "no variant of ablations changes its cells, so there is nothing to compare; give other values"
            )
        raise UserError("ablations is empty, so there is nothing to compare; list some")
    return ABLATIONS
