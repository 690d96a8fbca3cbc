"""What the executor says to SLURM's commands and makes of their answers."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakemake_executor_plugin_slurm_bundles import sbatch, slurm

from .conftest import AWAY, Alone, given, job


def test_queue(fake):
    fake.says(
        "squeue",
        "1|RUNNING|n1|2026-01-01T00:00:00|None|a",
        "2|CANCELLED|||None|a",
        "3|FAILED|||NonZeroExitCode|b",
        "4|PENDING||N/A|ReqNodeNotAvail, UnavailableNodes:n1|b",
        "5|RUNNING|n1||None|what | users|call|jobs",
        "no job",
    )
    known = slurm.queue()
    assert (known["a"].number, known["a"].node, known["a"].over) == ("1", "n1", False)
    assert (known["b"].number, known["b"].waits) == ("4", True)
    assert known["what | users|call|jobs"].state == "RUNNING"


def test_what_the_user_likes_to_see_hides_no_jobs(fake, monkeypatch):
    """Nor does it tell times by the day on which it is asked."""
    (fake.folder / "squeue").write_text('#!/bin/sh\necho "1|RUNNING|||None|a$SQUEUE_PARTITION$SLURM_TIME_FORMAT"\n')
    monkeypatch.setenv("SQUEUE_PARTITION", "short")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    assert list(slurm.queue()) == ["a"]


# What SLURM says (22.05) of jobs that it never takes, and the setting that it is about.
NEVER = {
    "invalid partition specified: a": "slurm_partition",
    "Invalid partition name specified": "slurm_partition",
    "User's group not permitted to use this partition": "slurm_partition",
    "Invalid account or account/partition combination specified": "slurm_account",
    "Invalid qos specification": "qos",
    "Requested node configuration is not available": "mem_mb (now 1000), cpus_per_task (now 1)",
    "Memory specification can not be satisfied": "mem_mb",
    "CPU count per node can not be satisfied": "cpus_per_task",
    "Requested time limit is invalid (missing or exceeds some limit)": "runtime",
    "Invalid --time specification": "runtime",
    "Invalid feature specification": "constraint",
    "Invalid generic resource (gres) specification": "gpu",
    "QOSMaxGRESPerJob\nsbatch: error: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)": "gpu",
    "unrecognized option '--colour=red'": "slurm_extra",
}
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
# Limits of accounts and QOS, and what is to be corrected.
LIMITS = {
    "QOSMaxGRESPerUser": "Correct gpu of",
    "QOSMinGRES": "Correct gpu of",
    "QOSMaxCpuPerUserLimit": "Correct cpus_per_task (now 1) of",
    "QOSMaxMemoryPerUser": "Correct mem_mb (now 1000) of",
    "QOSMaxWallDurationPerJobLimit": "Correct runtime of",
    "QOSMaxCpuMinutesPerJobLimit": "Correct runtime of",
    "AssocGrpCPUMinutesLimit": "used up.\nCorrect qos (now q) of",
    "AssocGrpCPURunMinutesLimit": "Correct cpus_per_task (now 1) of",
    "AssocGrpBillingMinutes": "used up.\nCorrect qos (now q) of",
    "QOSMaxBillingPerUser": "Correct qos (now q) of",
}
# What passes by itself.
LATER = [
    AWAY,
    "QOSMaxSubmitJobPerUserLimit\nsbatch: error: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "AssocMaxSubmitJobLimit",
    "Transport endpoint is not connected",
    "I/O error writing script/environment to file",
    "Socket timed out on send/recv operation",
    "Required partition not available (inactive or drain)",
    "Protocol authentication error",
    "sbatch: INFO: time limit set to default partition\n"
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    f"sbatch: error: QOSMaxJobsPerUserLimit\nsbatch: error: Batch job submission failed: {POLICY}",
    "Unspecified error",
    "something that nobody has seen before",
    "",
]


@pytest.mark.parametrize(("said", "setting"), NEVER.items())
def test_what_sbatch_never_takes(fake, said, setting):
    fake.fails("sbatch", f"sbatch: error: {said}")
    with pytest.raises(sbatch.Refused) as refused:
        sbatch.submit(["sbatch"], "", {"mem_mb": 1000, "cpus_per_task": 1})
    assert said in str(refused.value)
    assert setting in str(refused.value)


@pytest.mark.parametrize(("limit", "correct"), LIMITS.items())
def test_limits_of_accounts_are_told_apart(fake, limit, correct):
    """In one parenthesis sbatch speaks of all of them."""
    fake.fails("sbatch", f"sbatch: error: {limit}\nsbatch: error: Batch job submission failed: {POLICY}")
    with pytest.raises(sbatch.Refused) as refused:
        sbatch.submit(["sbatch"], "", {"mem_mb": 1000, "cpus_per_task": 1, "qos": "q"})
    assert correct in str(refused.value)


@pytest.mark.parametrize("said", LATER)
def test_what_sbatch_may_take_later(fake, said):
    fake.fails("sbatch", said)
    with pytest.raises(slurm.Unreachable, match=re.escape(said) or "status 1"):
        sbatch.submit(["sbatch"], "", {})


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (["12"], "12"),
        (["12;cluster2"], "12"),
        (["Your project has 3 hours left.", "Submitted batch job 12"], "12"),
        (["rubbish"], ""),
    ],
)
def test_number_of_a_job(fake, said, number):
    """Wrappers say more than that; without a number the job is found by its name."""
    fake.says("sbatch", *said)
    assert sbatch.submit(["sbatch"], "", {}) == number


def test_job_submitted_from_a_job(fake, monkeypatch):
    """It knows nothing of the outer one, whose memory, say, would end its srun."""
    (fake.folder / "sbatch").write_text(f"#!/bin/sh\nenv > {fake.folder}/environment\n")
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_CONF", "SLURM_JWT"):
        monkeypatch.setenv(name, "1")
    sbatch.submit(["sbatch"], "", {})
    found = re.findall(r"^SLURM_\w+", (fake.folder / "environment").read_text(), re.MULTILINE)
    assert sorted(found) == ["SLURM_CONF", "SLURM_JWT"]


def test_variables_at_fault(fake, monkeypatch):
    """Those that a setting of the profile wins over are not named."""
    profile = {
        "slurm_partition": "PARTITION", "slurm_account": "ACCOUNT", "runtime": "TIMELIMIT", "constraint": "CONSTRAINT",
        "qos": "QOS", "mem_mb": "MEM_PER_NODE", "gres": "GRES", "gpu": "GPUS",
    }  # fmt: skip
    for name in profile.values():
        monkeypatch.setenv(f"SBATCH_{name}", "1")
    resources = {"slurm_extra": "--colour", **dict.fromkeys(profile, "7")}
    for said, named in (
        ("unrecognized option '--colour'", ""),
        ("Invalid feature specification", "constraint (now 7), "),
    ):
        fake.fails("sbatch", said)
        with pytest.raises(sbatch.Refused) as refused:
            sbatch.submit(["sbatch"], "", resources)
        assert f"Correct {named}slurm_extra (now --colour) of this rule in the profile. It is not" in str(refused.value)
    monkeypatch.setenv("SBATCH_GPUS_PER_NODE", "8")
    with pytest.raises(sbatch.Refused, match=r"what is set in your environment: SBATCH_GPUS_PER_NODE=8\. It is not"):
        sbatch.submit(["sbatch"], "", resources)


def test_resources_that_are_to_be_corrected_are_those_that_a_job_asks_with():
    def command(**resources):
        return sbatch.command("n", Path("/l"), "c", resources, 5)

    for name in {each for _, names in sbatch.PERMANENT for each in names}:
        assert command(**{name: "2" if name in ("gres", "slurm_extra") else 2}) != command(), name


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {
            "mem_mb": 1,
            "runtime": 90,
            "slurm_partition": "p",
            "slurm_account": "a",
            "qos": "q",
            "constraint": "x",
        },
        {"gpu": 2, "nodes": 1, "mem_mb_per_cpu": 3, "cpus_per_gpu": 4, "tasks": 2},
        {"cpus_per_gpu": 4},
        {"gpu_model": "a100", "tasks": 2, "cpus_per_task": 3},
        {"gres": "gpu:1", "cpus_per_task": -1},
        {"tasks": 2, "slurm_extra": "'--mail-user=a b' --hold"},
    ],
)
def test_resources_mean_what_they_mean_to_snakemakes_own_executor(resources):
    """The options are those of its plugin."""
    own = pytest.importorskip("snakemake_executor_plugin_slurm.submit_string")
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    class Resources(dict):
        __getattr__ = dict.__getitem__

    like = SimpleNamespace(resources=Resources(resources), threads=5)
    text = {"run_uuid": "n", "slurm_logfile": "/l", "comment_str": "c", "workdir": None}
    text |= {"account": "--account=a" * ("slurm_account" in resources)}
    text |= {"partition": "--partition=p" * ("slurm_partition" in resources)}
    theirs = own.get_submit_command(like, text, SimpleNamespace(requeue=True, qos=None, reservation=None))
    theirs = shlex.join(shlex.split(f"{theirs} {set_gres_string(like)}")) + " "
    for short, long in (("-t ", "--time="), ("-C ", "--constraint=")):
        theirs = theirs.replace(f" {short}", f" {long}")
    for option in ("job-name", "output", "comment", "mem", "mem-per-cpu"):
        theirs = theirs.replace(f"--{option} ", f"--{option}=")
    ours = sbatch.command("n", Path("/l"), "c", resources, 5)
    assert ours[-1] == "--job-name=n"  # whatever slurm_extra says
    only_ours = {"--open-mode=append", f"--chdir={Path.cwd()}"}
    assert set(ours) - only_ours == set(shlex.split(theirs))


def test_memory_is_asked_for_by_node_or_by_cpu(tmp_path):
    """sbatch takes one of the two; the profile's default of a node's gives way."""
    for per_cpu, asked in ((None, ["--mem=4000"]), (500, ["--mem-per-cpu=500"])):
        command = sbatch.command("a", tmp_path / "log", "", {"mem_mb": 4000, "mem_mb_per_cpu": per_cpu}, 1)
        assert [word for word in command if word.startswith("--mem")] == asked


def test_percent_sign_in_a_path(tmp_path, monkeypatch):
    """SLURM would put something else in its place, except in its working folder."""
    folder = tmp_path / "50%u"
    folder.mkdir()
    monkeypatch.chdir(folder)
    command = sbatch.command("n", Path("100%j/log"), "c", {}, 1)
    assert f"--output={tmp_path}/50%%u/100%%j/log" in command
    assert f"--chdir={folder}" in command


def test_of_several_partitions_the_longest_limit_counts_and_one_can_be_without(fake):
    fake.says("sinfo", "a 4:00:00", "b infinite", "c 1-08:00:00")
    assert [slurm.longest_minutes(names) for names in ("a", "a,c", "c,a")] == [240, 32 * 60, 32 * 60]
    assert [slurm.longest_minutes(names) for names in ("a,b", "none")] == [None, None]


@pytest.mark.parametrize(
    ("limit", "asked"),
    [
        ("4:00:00", 240),
        ("1-12:00:00", 480),
        ("infinite", 480),
        ("30:00", 30),
        ("1-00:00:00", 480),
        (":", 480),
    ],
)
@pytest.mark.parametrize(
    "resources",
    [
        {"slurm_partition": "short"},
        *(
            {"slurm_partition": "main", "slurm_extra": f"--hold {extra}"}
            for extra in ("-p short", "-pshort", "--partition=short", "-p main --partition short")
        ),
    ],
)
def test_a_retry_asks_for_no_more_time_than_the_partition_allows(fake, results, limit, asked, resources):
    """It would wait for ever."""
    fake.says("sinfo", f"short {limit}", "main* 5:00")
    given(results, job("a", runtime=480, mem_mb=0, **resources))
    (call,) = fake.calls("sbatch")
    assert f"--time={asked} " in call


def test_a_cell_with_several_workers_has_a_job_with_all_their_gpus(results, fake):
    executor = Alone(results)
    alone = {"workers": 4, "gpu": 1, "bundle_cost": 0}
    executor.run_jobs([job("a", **alone), job("b", **alone), job("c"), job("d")])
    executor.look()
    *apart, together = sorted(fake.calls("sbatch"), key=lambda call: "--gpus" not in call)
    assert len(apart) == 2
    assert all({"--gpus=4", "--nodes=1", "--mem=4000"} <= set(call.split()) for call in apart)
    assert {"--mem=1000", "--comment=2"} <= set(together.split())


@pytest.mark.parametrize(
    ("jobs", "asked"),
    [
        # Cells on several GPUs have processors each.
        ([job(name, gpu=2, cpus_per_task=3) for name in "ab"], {"--gpus=2", "--cpus-per-task=6", "--mem=2000"}),
        # Workers are spread over nodes, each of two with the GPUs, memory and processors of two workers.
        ([job("a", workers=4, nodes=2, gpu=1, cpus_per_task=8, bundle_cost=0)],
         {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=2", "--cpus-per-task=4", "--mem=2000"}),
        ([job("a", workers=4, nodes=2, cpus_per_task=8, bundle_cost=0)],
         {"--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--mem=2000"}),
        # The same by gres.
        ([job(name, gpu=0, gres="gpu:2", cpus_per_task=3) for name in "ab"],
         {"--gres=gpu:2", "--cpus-per-task=6", "--mem=2000"}),
        ([job("a", workers=4, gpu=0, gres="gpu:a100:1,nvme:1", cpus_per_task=8, bundle_cost=0)],
         {"--nodes=1", "--gres=gpu:a100:4,nvme:1", "--cpus-per-task=8", "--mem=4000"}),
        ([job("a", workers=4, nodes=2, gpu=0, gres="gpu", cpus_per_task=8, bundle_cost=0)],
         {"--nodes=2", "--ntasks-per-node=1", "--gres=gpu:2", "--cpus-per-task=4", "--mem=2000"}),
        ([job("a", workers=2, gpu=0, gpu_model="a100", cpus_per_task=2, bundle_cost=0)],
         {"--nodes=1", "--gpus=a100:2", "--cpus-per-task=2", "--mem=2000"}),
    ],
)  # fmt: skip
def test_what_a_job_asks_for(results, fake, jobs, asked):
    given(results, *jobs)
    (call,) = fake.calls("sbatch")
    assert {word for word in call.split() if re.match("--(gpus|gres|nodes|ntasks|cpus|mem)", word)} == asked


@pytest.mark.parametrize(
    ("gres", "count"),
    [("gpu", 1), ("gpu:4090:3", 3), ("nvme:1,gpu:1g.10gb:2", 2), ("gpu:a100:1,gpu:v100:2", 3), ("gpumem:40", 0)],
)
def test_gpus_are_counted_in_gres(gres, count):
    assert sbatch.gpus({"gpu": 0, "gres": gres}) == count
    assert sbatch.gpus({"gpu": 9, "gres": gres}) == 9


def test_advice_names_what_the_job_asked_for_in_all(results, fake):
    fake.fails("sbatch", "Requested node configuration is not available")
    ((_, error),) = given(results, job("a", workers=4, gpu=1, mem_mb=2000, bundle_cost=0)).over
    assert (
        "mem_mb (now 8000), cpus_per_task (now 1), gpu (now 4) of this rule in the profile, or hardware.workers"
        in error
    )
    (_, error), *_ = given(results, *(job(name, gpu=2, cpus_per_task=3) for name in "ab")).over
    assert "mem_mb (now 2000), cpus_per_task (now 6), gpu (now 2) of this rule in the profile." in error


def test_memory_that_another_resource_replaces_is_not_named(fake):
    fake.fails("sbatch", "Memory specification can not be satisfied")
    with pytest.raises(sbatch.Refused, match=r"Correct mem_mb_per_cpu \(now 500\) of"):
        sbatch.submit(["sbatch"], "", {"mem_mb": 1000, "mem_mb_per_cpu": 500})


def test_a_command_that_is_not_there(fake):
    (fake.folder / "squeue").unlink()
    (fake.folder / "squeue").mkdir()
    with pytest.raises(slurm.Unreachable):
        slurm.run([str(fake.folder / "squeue")])


def test_a_command_that_hangs(fake, monkeypatch):
    """Also a wrapper, whose child keeps the pipe open; what it has said is passed on."""
    done = fake.folder / "done"
    (fake.folder / "squeue").write_text(f"#!/bin/sh\necho temporarily unable >&2\n(sleep 60; touch {done}) &\nwait\n")
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(slurm.Unreachable, match=r"more than .* s and said: temporarily unable"):
        slurm.queue()
    assert not done.exists()
