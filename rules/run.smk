# What a run does besides its jobs: it checks what it is asked for, takes its lock, and shows progress and the finding.

import atexit
import resource
import signal
from contextlib import suppress

import snakemake.benchmark
import snakemake.dag
import snakemake.jobs
from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake.persistence.file import FilePersistence
from snakemake_executor_plugin_slurm_bundles.command_line import is_snakemake
from snakemake_executor_plugin_slurm_bundles.earlier import why_wait

from rethinking.run.files import check_room
from rethinking.run.identity import record_path
from rethinking.run.locks import lock_results
from rethinking.run.progress import show_progress
from rethinking.run.refusals import forgiving
from rethinking.run.stop_signals import interrupt_once
from rethinking.run.targets import describe_unknown

# A profile can limit the jobs on this machine beside those of a cluster: --local-cores has no effect in Snakemake 9.27.
for each in workflow.rules:
    if workflow.is_local(each):
        each.resources["local_jobs"] = 1


def check_targets():
    """End with one message for all words of the command line that nothing makes.

    Snakemake itself would know its targets only once it plans, and not what could have been meant.
    """
    if not (workflow.is_main_process and is_snakemake(sys.argv[0])):
        return
    asked = get_argument_parser().parse_args(sys.argv[1:])
    if asked.batch:
        # Jobs do not name inputs that are current, so batches would change as cells are finished.
        sys.exit("snakemake: leave out --batch; a thousand cells are planned in seconds, ten thousand in minutes")
    words = [*asked.targets, *sorted({*asked.forcerun, *asked.until, *asked.omit_from, *asked.prioritize})]
    products = [file for rule in workflow.rules for file in rule.products()]

    def is_known(word):
        path = word if os.path.isabs(word) else os.path.relpath(word or ".")
        return workflow.is_rule(word) or any(file.match(path) for file in products)

    if unknown := [word for word in dict.fromkeys(words) if not is_known(word)]:
        rules = [rule.name for rule in workflow.rules]
        files = [file for each in PLAN.made for file in each.known]
        files += [file for file in products if not file.contains_wildcard()]
        sys.exit(f"snakemake: {describe_unknown(unknown, rules, files, RESULTS)}")


async def ignore_times(*_):
    """Times of files do not count."""


# Otherwise Snakemake deletes a network that has just been trained where there is no room for the file of its
# benchmark, or where the clock was set back after its data had been made.
snakemake.benchmark.write_benchmark_records = forgiving(snakemake.benchmark.write_benchmark_records)
snakemake.dag.DAG.check_output_mtime = ignore_times
# And it would end with a traceback on a damaged one of its own records, which decide nothing here.
FilePersistence._read_record = forgiving(FilePersistence._read_record, ValueError)


def spare_networks(delete):
    """Wrap a function that deletes a job's outputs: a network stays until another has been trained and takes its place.

    Otherwise a job that fails would cost the finished network that the user forces.
    """

    async def spare(job, *arguments):
        if job.rule.name != "train_cell":
            await delete(job, *arguments)

    return spare


# A Snakemake that another one starts for a job cannot tell it that the user forces it; there the files must be gone.
if workflow.is_main_process:
    for name in ("remove_existing_output", "cleanup"):
        setattr(snakemake.jobs.Job, name, spare_networks(getattr(snakemake.jobs.Job, name)))


def files_of_job(job):
    """The files that a job writes, among them its record, its checkpoint and data, of which Snakemake does not know."""
    tokens = [file for file in job.output if file.startswith(f"{PLAN.tokens}/")]
    data = [f"{DATA_DIR}{token.removeprefix(PLAN.tokens)}" for token in tokens]
    # Data that are there are left alone, and can be another user's.
    unknown = [file for file in data if not os.path.exists(file)] if data else [*map(record_path, job.output)]
    unknown += [job.params.checkpoint] if job.rule.name == "train_cell" else []
    return [*job.output, *job.log, *unknown]


def take_results():
    """Take the lock of the results, unless this run writes nothing."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name != "status"]
    if jobs:
        try:
            lock_results(RESULTS, CONFIG.finished_only)
            if WAS_BUSY:  # what it has made since would be made again
                raise UserError(f"another run on {RESULTS} ended while this one was planned; start again")
            made = {file for job in jobs for file in job.output}
            others = workflow.executor_plugin.name not in ("slurm-bundles", "touch")
            if others and (reason := why_wait(Path(RESULTS, "slurm"), made)):
                raise UserError(reason)
            check_writable(os.path.dirname(file) for job in jobs for file in files_of_job(job))
        except UserError as error:
            raise WorkflowError(str(error)) from None


def check_cache():
    """Warn of a cache that cannot be written. Networks can be taken from another user's."""
    try:
        check_writable([CONFIG.cache_dir] if CONFIG.cache_dir else [])
    except UserError as error:
        logger.warning(f"finished networks are not put into cache_dir: {error}")


# Snakemake does not run this hook in jobs of a cluster or in dry runs.
onstart:
    interrupt_once()
    take_results()
    training = [job for job in workflow.dag.needrun_jobs() if job.rule.name == "train_cell"]
    checkpoints = {TRAINED.format(**job.wildcards_dict): job.params.checkpoint for job in training}
    if training:
        check_cache()
    show_progress(RESULTS, checkpoints)


onsuccess:
    reports = (job for job in workflow.dag.needrun_jobs(exclude_finished=False) if job.rule.name == "render_report")
    # With --touch no job has made one.
    if workflow.executor_plugin.name != "touch" and any(reports):
        # When all else is said, print the finding and where the report is.
        text = Path(RESULTS, "finding.txt")
        finding = text.read_text(encoding="utf-8").splitlines()[:1] if text.exists() else []
        atexit.register(print, *finding, f"Report: {RESULTS}/report.html", file=sys.stderr)


onerror:
    # Logs on a full disk cannot say that it is full.
    try:
        check_room(RESULTS)
    except UserError as error:
        logger.error(str(error))
    # Nor can a killed job say what killed it. Only Snakemake's own log has it, in the middle of a command.
    said = ""
    with suppress(OSError):  # a log that is gone must not cost what Snakemake says after this
        said = "".join(Path(file).read_text(errors="replace") for file in log)
    if f"died with {signal.SIGKILL!r}" in said:
        # On a cluster --cores does not limit the jobs that run here.
        several = workflow.local_exec and workflow.resource_settings.cores > 1
        fewer = "with fewer --cores, so that fewer jobs run at a time" if several else "once there is more"
        logger.error(
            f"a job was killed (SIGKILL), probably because memory was short; start again {fewer}: networks resume from "
            "their checkpoints"
        )
    # Libraries that find no room below it name no limit.
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        logger.error(
            f"each process here can have addresses for {limit / 1e9:.1f} GB at most (ulimit -v); raise the limit if a log "
            "says that memory was short or a library could not be loaded"
        )
