# What the stages share: configuration, paths, and what is stale.

import json
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger
from snakemake.settings.types import RerunTrigger

SCRIPTS = os.path.join(workflow.basedir, "workflow_scripts")
sys.path.insert(0, SCRIPTS)

from rethinking import registry
from rethinking.config.loading import load_config
from rethinking.run.environment import job_environment, name_user
from rethinking.run.files import UserError, check_replaceable, check_room, check_writable, existing_folder
from rethinking.run.hardware import expects_gpu, old_driver, visible_gpus
from rethinking.run.locks import is_locked
from rethinking.run.plan import Plan
from rethinking.run.refusals import explain
from rethinking.run.scripts import AGAIN, packed


def exit_on_user_error(function):
    """Wrap a function, so that what it says to the user ends the run.

    Snakemake puts exceptions of rules and input functions under a traceback, but not the end of the program.
    """

    def checked(*arguments, **named):
        try:
            return function(*arguments, **named)
        except UserError as error:
            sys.exit(f"snakemake: {error}")
        except OSError as error:
            sys.exit(f"snakemake: {explain(error)}")

    return checked


class ExitOnUserError:
    """An object whose methods say to the user what is wrong (see exit_on_user_error)."""

    def __init__(self, each):
        self.each = each

    def __getattr__(self, name):
        value = getattr(self.each, name)
        return exit_on_user_error(value) if callable(value) else value


name_user()
CONFIG = exit_on_user_error(load_config)(
    config, [CONFIG_FILE, *map(str, workflow.overwrite_configfiles)], logger.warning
)

# Snakemake keeps its own files there, and would end with a traceback.
try:
    check_writable([".snakemake"])
except UserError:
    sys.exit(
        f"snakemake: {os.getcwd()}/.snakemake cannot be written, where Snakemake keeps its own files; work in a folder of"
        f" yours: snakemake -s {os.path.abspath(workflow.basedir)}/Snakefile -d FOLDER"
    )

# Where a quota is reached it would end each job, and each line that it says, with a traceback.
exit_on_user_error(check_room)(os.path.abspath(".snakemake"))

# Snakemake looks into them as it plans.
for folder in (CONFIG.results_dir, CONFIG.data_folder):
    exit_on_user_error(existing_folder)(folder)

# Whether another run was at work before this one looked at what there is.
WAS_BUSY = is_locked(f"{CONFIG.results_dir}/.lock")

# Snakemake formats the prefix, so braces are doubled.
COPIES = {name: dataset.provenance for name, dataset in CONFIG.datasets.items() if dataset.provenance}
shell.prefix(exit_on_user_error(job_environment)(COPIES).replace("{", "{{").replace("}", "}}"))

# How many cells train on this machine's GPUs at a time, unless --resources gpu=N says otherwise. On a cluster,
# profiles/slurm applies the limit to each job. Snakemake has no directive for it.
if expects_gpu(CONFIG.hardware.device) and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", CONFIG.hardware.cells_per_gpu * max(1, len(visible_gpus())))

if expects_gpu(CONFIG.hardware.device) and (why := old_driver()):
    logger.warning(why)

for name in CONFIG.absent_datasets():
    logger.info(f"{name} is left out, as datasets.{name}.path is not set")
# The data sets of all tables and figures of networks, and those of large images in files of the user.
DATASETS = sorted({cell.dataset for cell in CONFIG.cells(*CONFIG.results)})
LOCAL = [name for name, dataset in CONFIG.datasets.items() if dataset.source == "local"]

PLAN = ExitOnUserError(Plan(CONFIG))
MEASURES_AND_FITS = PLAN.measures_and_fits()
RESULTS = CONFIG.results_dir
DATA_DIR = CONFIG.data_folder


CELL = "{dataset}/{corruption}/{model}/{regularisers}/seed{seed}"
# The same for messages and commands.
CELL_NAMED = CELL.replace("{", "{wildcards.")
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


@cache
def forced_by_user():
    """The files and rules that the command line forces (-f, -R, -F), before stale files are added to them."""
    return frozenset(workflow.dag.forcefiles), frozenset(workflow.dag.forcerules)


def is_made_by(rule, made):
    """Whether a result is an output of a rule; one file of each job tells."""
    return any(output.match(file) for output in rule.output for file in made.known[:1])


@cache
def is_forced(made):
    """Whether the command line forces a result, or one that it is made from."""
    files, rules = forced_by_user()
    return (
        not files.isdisjoint(made.known)
        or any(is_made_by(rule, made) for rule in rules)
        or any(map(is_forced, (*made.needs, *made.data)))
    )


@exit_on_user_error
def is_current(made):
    """Whether a result need not be made again."""
    return made.current


@exit_on_user_error
def reads(made):
    """The files that a job reads. A current result that nobody forces needs none; an existing but stale one is made again.

    So identities alone decide what is made. Snakemake sees neither times nor inputs of current results, and its own
    records, which are lost with .snakemake, are not used. Of the inputs it sees those that a job of this run makes:
    otherwise it would delete a result as older than a file whose clock was ahead.
    """
    # Snakemake has no settings of its plan yet when it reads this file.
    workflow.dag_settings.rerun_triggers = frozenset([RerunTrigger.MTIME])
    # Nor does it know who runs jobs. It would cap the threads of those on other machines by the cores of this one.
    if workflow.non_local_exec:
        workflow.global_resources["_cores"] = None
    # Asked first, before stale files are among the forced ones.
    if not is_forced(made) and made.current:
        return []
    check_replaceable(made.known)
    # A download is stale when its file is gone or another one, or data_dir has changed, whatever its token says.
    for each in (made, *made.data):
        if not each.current and any(os.path.exists(file) for file in each.known):
            workflow.dag.forcefiles.update(each.known)
    # One file of each job is enough: with thousands of cells the others would take noticeable time.
    made_now = (each for each in (*made.needs, *made.data) if not each.current or is_forced(each))
    return list(dict.fromkeys(file for each in made_now for file in each.known[:1]))


@exit_on_user_error
def record(made):
    """What a job must know to record the identity of its result, and at the end whether the user forces it."""
    # A Snakemake that another one starts for a job of a cluster forces that job.
    return packed(made.record) + (AGAIN if workflow.is_main_process and is_forced(made) else "")
