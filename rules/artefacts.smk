# How tables, figures and texts are made from results, and shown.

import re

from rethinking.report.layout import entry_of, place_of
from rethinking.run.code import LIBRARY
from rethinking.run.digests import digest_of
from rethinking.run.identity import altered, made_from, read_record

# What tables and figures call things is a part of what they are made from.
TITLES = digest_of([json.dumps([registry.titles(), COPIES])])
# With finished_only: the results that tables and figures are made from, and those that are left out, with their faults.
USED, ALTERED = set(), {}


@cache
@exit_on_user_error
def is_finished(made):
    """Whether a result exists, and its files are those that its job made."""
    if not os.path.exists(made.outputs[-1]):
        return False
    if faults := altered(made.outputs):
        ALTERED[made.outputs[0]] = faults
    return not faults


@exit_on_user_error
def is_of_earlier_network(made):
    """Whether a result is a measure of a network that is no longer there, which rethinking.analysis.runs does not read."""
    measured = [each.outputs[0] for each in made.needs if each.script == "train_cell"]
    return bool(measured) and not made_from(made.outputs[0], measured)


def finished(results):
    """The results to build from: all, or with finished_only those that are finished."""
    return [each for each in results if not CONFIG.finished_only or is_finished(each)]


@exit_on_user_error
def artefact(script, outputs, settings, results=(), entries=(), needs=()):
    """A table, figure or text made from trained networks and fits (results) and from other artefacts (needs)."""
    found, inputs = finished(results), {"titles": TITLES}
    if CONFIG.finished_only:
        USED.update(found)
        # They need not be current: their records say what they were made from.
        records = [read_record(each.outputs[0]) for each in found]
        inputs["finished"] = digest_of([f"{record.get('identity')} {record.get('stamp')}" for record in records])
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
    """Add a table or figure of the theory; return its files. With finished_only there may be nothing to show."""
    if not finished(results):
        return []
    if registry.find("table", name):
        return show(name, artefact("tabulate_theory", [f"{RESULTS}/{name}.csv"], {"table": name}, results))
    entry = registry.entry("figure", name)
    outputs = multiext(f"{RESULTS}/{name}", *IMAGES, ".csv")
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
