"""Run the tasks of a bundle on a compute node and record how each ended in the bundle's folder.

A task that ended by itself is not run again, so a bundle that is started again continues where it stopped. On SIGTERM,
SIGINT or SIGUSR1 the tasks write their checkpoints; the bundle then waits for the cluster to end or requeue it.
"""

import argparse
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from snakemake_executor_plugin_slurm_bundles.bundles import Bundle, how_it_ended, mark, write

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # that ask to stop
# How long the cluster may take to end a job that it has asked to stop.
LEAVE_SECONDS = 300
# Faults of a disk that pass, and the time between two attempts to write to it.
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
RETRY_SECONDS = 10


class Runner:
    """The running tasks of a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        # Process -> task, when it began, the marks of its files before.
        self.running: dict[int, tuple[int, float, list[list[int] | None]]] = {}
        self.signal: int | None = None
        self.began = time.monotonic()
        self.cost_done = self.seconds_done = 0.0  # of tasks that have ended, each by itself
        self.left: set[int] = set()  # tasks that have not ended by themselves

    def run(self) -> bool:
        """Run what has not ended; whether all has."""
        waiting = sorted(set(range(len(self.bundle.tasks))) - self.bundle.ended().keys())
        # Snakemake deletes a bundle as soon as the last end is noted, so this process keeps the count itself.
        self.left = set(waiting)
        for number in SIGNALS:
            signal.signal(number, self.note_signal)
        log(f"{len(waiting)} of {len(self.bundle.tasks)} tasks to do, {self.bundle.side_by_side} at a time")
        while waiting or self.running:
            while waiting and len(self.running) < self.bundle.side_by_side and self.may_begin(waiting[0]):
                self.begin(waiting.pop(0))
            if not self.running:
                break
            self.wait_for_one()
        log(f"{len(self.left)} tasks left" if self.left else "all tasks have ended")
        return not self.left

    def may_begin(self, number: int) -> bool:
        """Whether another task may begin: none was asked to stop, and there is probably time for it."""
        if self.signal is not None:
            return False
        if not self.bundle.minutes or not self.cost_done:
            return True
        elapsed = time.monotonic() - self.began
        # Those that run beside it slow it down as they did the others.
        needed = self.seconds_done * self.bundle.tasks[number].cost / self.cost_done
        return elapsed + needed <= 60 * self.bundle.minutes

    def begin(self, number: int) -> None:
        """Start a task in a process of its own, unless a signal asks to stop meanwhile."""
        task = self.bundle.tasks[number]
        before = [mark(file) for file in task.output]
        command = task.command
        # What an attempt said stays as long as another resumes from its checkpoint or finds what it made.
        if (task.made or os.path.exists(task.checkpoint or "")) and command.endswith(" 2>&1"):
            command = " >> ".join(command.rsplit(" > ", 1))
        shell = ["bash", "-c", f"set -euo pipefail; {self.bundle.prefix}{command}"]
        # A signal in between would not be passed on.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if self.signal is None:
            log(f"begins: {task.name}")
            process = os.posix_spawnp(shell[0], shell, os.environ, setsigmask=[])
            self.running[process] = number, time.monotonic(), before
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def wait_for_one(self) -> None:
        """Wait for the end of a task and note how it ended."""
        process, status, usage = os.wait4(-1, 0)
        number, began, before = self.running.pop(process)
        task, code = self.bundle.tasks[number], os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        self.cost_done += task.cost
        self.seconds_done += seconds
        # A signal ends a task that does not handle it yet; a job that stops may be sent others.
        if code == os.EX_TEMPFAIL or -code in SIGNALS or (self.signal is not None and code < 0):
            how = "stopped" if code == os.EX_TEMPFAIL else how_it_ended(code)
            log(f"{how} after {seconds:.0f} s, continues later: {task.name}")
            return
        # The time of one that found its files made must not replace that of the one that made them.
        found = before and all(before) and before == [mark(file) for file in task.output]
        if code == 0 and task.benchmark and not (found and os.path.exists(task.benchmark)):
            self.insist(lambda: write_benchmark(Path(task.benchmark), seconds, usage))
        self.insist(lambda: self.bundle.note_end(number, code))
        self.left.discard(number)
        log(f"{'done' if code == 0 else f'failed with status {code}'} after {seconds:.1f} s: {task.name}")

    def insist(self, write: Callable[[], None]) -> None:
        """Write as soon as the disk has room: what is not noted would be done again.

        A fault that does not pass by itself (a missing permission, say) is logged and skipped: Snakemake misses the file
        and says so, and the other tasks go on.
        """
        said = False
        while True:
            try:
                write()
                return
            except OSError as error:
                if error.errno not in PASSING:
                    log(f"not written: {error}")
                    return
                if not said:
                    log(f"{error}; trying again every {RETRY_SECONDS} s")
                said = True
            if self.signal is not None:
                return  # the next start of the bundle sees that the task is done
            time.sleep(RETRY_SECONDS)

    def note_signal(self, number: int, _frame: object) -> None:
        """Pass a signal on; nothing more begins."""
        if self.signal is None:
            log(f"{signal.Signals(number).name}: the tasks write their checkpoints")
        self.signal = number
        for process in list(self.running):
            with suppress(ProcessLookupError):  # it has ended and is about to be noted
                # Python takes SIGINT for an error until a script handles it.
                os.kill(process, signal.SIGTERM if number == signal.SIGINT else number)


def write_benchmark(path: Path, seconds: float, usage: object) -> None:
    """What Snakemake writes for ``benchmark:``, as far as the kernel counts it."""
    clock = f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    cpu = usage.ru_utime + usage.ru_stime
    row = [f"{seconds:.4f}", clock, f"{usage.ru_maxrss / 1024:.2f}", *["NA"] * 5]
    row += [f"{100 * cpu / max(seconds, 1e-9):.2f}", f"{cpu:.2f}"]
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
    write(path, header + "\n" + "\t".join(row) + "\n")


def log(line: str) -> None:
    """Print a line with the time, at once; also from a signal's handler, in which print can fail."""
    # A full disk must not end what the bundle runs.
    with suppress(OSError):
        os.write(1, f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n".encode())


def main() -> None:
    """Read the command line, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the bundle")
    bundle = Bundle.read(parser.parse_args().folder)
    node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
    log(f"SLURM job {os.environ.get('SLURM_JOB_ID', 'none')} on {node}")
    runner = Runner(bundle)
    done = runner.run()
    if runner.signal is not None:
        # The state of the job is then what the cluster makes of it: requeued, timed out, cancelled.
        time.sleep(LEAVE_SECONDS)
    sys.exit(0 if done else os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
