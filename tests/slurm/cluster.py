"""A real SLURM cluster of several nodes on one machine, for tests: started in a second, stopped without a trace.

It needs Debian's slurm-wlm and munge (several slurmd on one machine is a build option). It writes nothing outside
its folder, and needs neither systemd nor entries in /etc.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.waiting import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job can be started again only when its credential has expired, by default after two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
KillWait=10
SlurmdTimeout=10
SlurmctldTimeout=30
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
NodeName=DEFAULT CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=8000 Gres=gpu:1
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 DefMemPerCPU=500 State=UP PriorityTier=10
PartitionName=urgent Nodes=ALL MaxTime=INFINITE DefaultTime=60 DefMemPerCPU=500 State=UP PriorityTier=100
"""


class Cluster:
    """A running cluster; each node has two CPUs, which may be more than the machine has, and a device that is no GPU.

    Args:
        folder: where configuration, logs and state go.
        nodes: how many, called n1, n2 ...
    """

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder, self.nodes = folder, [f"n{number}" for number in range(1, nodes + 1)]
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        for name in ("state", "devices", "cgroup", *(f"spool/{node}" for node in self.nodes)):
            (folder / name).mkdir(parents=True)
        host, (port, *ports) = socket.gethostname().split(".")[0], free_ports(1 + nodes)
        each = f"NodeName={{}} NodeHostname={host} NodeAddr=127.0.0.1 Port={{}} State=UNKNOWN".format
        values = {"host": host, "port": port, "user": getpass.getuser(), "folder": folder}
        values["nodes"] = "\n".join(map(each, self.nodes, ports))
        (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
        gres = [f"NodeName={node} Name=gpu File={self.device(node)}\n" for node in self.nodes]
        (folder / "gres.conf").write_text("".join(gres))
        (folder / "cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/cgroup\n")
        self.start()

    def device(self, node: str) -> Path:
        """A character device in place of a GPU, because SLURM requires one."""
        path = self.folder / "devices" / node
        try:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
        except PermissionError:
            return Path("/dev/null")
        return path

    def start(self) -> None:
        """Start munge and the daemons, and wait for the nodes."""
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        munge = ["munged", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket"]
        munge += [f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log"]
        self.run(*munge, f"--seed-file={self.folder}/munge.seed", "--num-threads=2")
        self.start_controller("-c", "-i")
        for node in self.nodes:
            self.start_node(node, "-c")
        wait_for(lambda: len(self.run("sinfo", "-h", "-N", "-p", "main", "-t", "idle").split("\n")) > len(self.nodes))

    def start_controller(self, *options: str) -> None:
        """Start the controller."""
        self.run("slurmctld", *options)
        wait_for(lambda: "UP" in self.run("scontrol", "ping", check=False))

    def start_node(self, node: str, *options: str) -> None:
        """Start a node."""
        self.run("slurmd", "-N", node, *options)

    def stop_controller(self) -> None:
        """Stop the controller as on a restart of its host; jobs keep running."""
        controller = psutil.Process(int((self.folder / "slurmctld.pid").read_text()))
        self.run("scontrol", "shutdown", "slurmctld")
        # Only then are its ports free.
        psutil.wait_procs([controller])

    def kill_node(self, node: str) -> None:
        """Kill a node, with everything that runs on it."""
        daemon = psutil.Process(int((self.folder / f"slurmd.{node}.pid").read_text()))
        # The processes of its jobs are not children of the daemon; their environment names the node.
        victims = [daemon, *self.processes_on(node)]
        for process in victims:
            self.kill(process.pid)

    def processes_on(self, node: str) -> list[psutil.Process]:
        """The processes of jobs on a node, and their slurmstepd."""

        def ours(process: psutil.Process) -> bool:
            environment = process.environ()
            return environment.get("SLURM_CONF") == str(self.folder / "slurm.conf") and (
                environment.get("SLURMD_NODENAME") == node
            )

        return self.keepers(node) + processes(ours)

    def keepers(self, node: str) -> list[psutil.Process]:
        """The slurmstepd processes of a node; their environment cannot be read."""
        log = str(self.folder / f"slurmd.{node}.log")
        return processes(
            lambda process: (
                process.name().startswith("slurmstepd") and any(file.path == log for file in process.open_files())
            )
        )

    @staticmethod
    def kill(process: int) -> None:
        """SIGKILL, if it is still there."""
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command of SLURM's and return what it says."""
        path = f"{os.environ['PATH']}:/usr/sbin"
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment | {"PATH": path}, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def stop(self) -> None:
        """Cancel all jobs and stop everything that was started."""
        self.run("scancel", "--me", "--full", check=False)
        for node in self.nodes:
            for process in self.processes_on(node):
                self.kill(process.pid)
        for name in ("slurmctld", *(f"slurmd.{node}" for node in self.nodes), "munged"):
            self.kill(int((self.folder / f"{name}.pid").read_text()))


def processes(condition: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The processes on this machine for which a condition holds."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if condition(process):
                found.append(process)
    return found


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [program for program in PROGRAMS if not shutil.which(program, path=path)]


def free_ports(number: int) -> list[int]:
    """Unused ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
