"""Check that training on this machine's GPU gives the CPU's numbers, and measure how fast it is.

Takes at most 8 minutes, prints a table and writes a JSON. Ends with status 0 if all comparisons pass, 1 if one fails,
and 69 where there is no GPU. Without the environment of `make env`: PYTHONPATH=workflow_scripts python bench/gpu_check.py
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from check import Check
from gpu_steps import MORE, PRECISIONS, STEPS, work
from rethinking.run import scripts
from rethinking.run.environment import ARITHMETIC
from rethinking.run.hardware import no_gpu

ROOT = Path(__file__).parents[1]
CIFAR10 = ("mlp_1x512", "mlp_3x512", "alexnet", "inception", "inception_no_bn")  # the networks of table 1


def main() -> None:
    """Read the command line, take the steps, print the table and write the JSON; or be one of several processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the script out")
    add("--models", nargs="+", choices=CIFAR10, default=CIFAR10)
    add("--data", type=Path, help="CIFAR-10's archive, or its prepared folder; without it images are made up")
    add("--quick", action="store_true", help="few images and little time, to try the script out")
    add("--all", action="store_true", help="then train table 1 and profile an epoch")
    add("--steps", nargs="+", choices=(*STEPS, *MORE), help="these alone")
    add("--configfile", help="of table 1, over config.yaml")
    add("--epochs", type=int, help="of table 1, in place of the configuration's")
    add("--precision", choices=PRECISIONS, default="bfloat16", help="of table 1 and the profile")
    add("--side-by-side", type=int, default=8, help="networks of table 1 at a time")
    add("--minutes", type=float, default=10, help="for table 1; the next run continues it")
    add("--output", type=Path, default=ROOT / "results/gpu_check", help="folder")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in ARITHMETIC:  # unset for the jobs of the workflow too
        os.environ.pop(name, None)
    if args.device == "cuda" and (why := no_gpu()):
        print(f"gpu-check: {why}, so nothing was checked", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
    check = Check(args)
    if args.worker:
        work(check)
        return
    every = STEPS | MORE
    check.run({name: every[name] for name in args.steps or (every if args.all else STEPS)})
    failed = check.report()
    sys.exit(bool(failed))


if __name__ == "__main__":
    scripts.run(main)
