"""The executor's options and what Snakemake must know of it."""

from dataclasses import dataclass, field

from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """Settings of the executor."""

    cells: int = field(default=1, metadata={"help": "Cells that one SLURM job trains at most."})
    minutes: int = field(
        default=0,
        metadata={
            "help": "A SLURM job begins no further cell that would probably end later than this; 0 sets no limit."
        },
    )
    gather_seconds: int = field(
        default=10,
        metadata={"help": "A job that is not full is submitted when no further cell has come for so long."},
    )
    poll_seconds: int = field(default=10, metadata={"help": "Time between two looks at the jobs."})


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    init_seconds_before_status_checks=1,
)
