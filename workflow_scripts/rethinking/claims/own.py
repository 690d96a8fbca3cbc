"""Claims of plug-ins: each names its cells, the measure on them and its bounds."""

import copy
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import pandas as pd

from rethinking import registry
from rethinking.analysis.runs import TABLES, Run
from rethinking.cells import canonical_name
from rethinking.claims.forms import Claim
from rethinking.claims.measures import NotMeasured, number_in
from rethinking.claims.possible_values import measured
from rethinking.claims.report import Judged
from rethinking.claims.verdicts import Check
from rethinking.measures import stability
from rethinking.run.files import UserError, did_you_mean
from rethinking.run.plugins import blame

BOUNDS = ("at_least", "at_most", "above")
READ = (Run, pd.DataFrame, pd.Series)  # whose attributes a claim reads


def own_claims() -> list[Claim]:
    """The claims that plug-ins register; their cells have a data set, unlike those of the paper's claims."""
    return [own_claim(entry) for entry in registry.entries("claim") if entry.own]


def own_claim(entry: registry.Entry) -> Claim:
    """The claim of one registration, whose function takes one run for each cell and gives a number."""
    options = entry.options
    function = entry.resolve()

    @measured(options.get("step", 0.0))
    def number(*runs: Run) -> float:
        try:
            # It may change what it is given, which the next claim must not see.
            given = [replace(run, measured=Measured(run)) for run in copy.deepcopy(runs)]
            return entry.number(function(*given))
        except Exception as error:
            # The summary of such a network has no accuracies.
            if diverged := [run.summary["cell"] for run in runs if run.summary["status"] == "diverged"]:
                raise NotMeasured(f"{diverged[0]} diverged") from None
            # A misspelt name is a fault of the plug-in, not a number that a seed lacks, as that of an epoch is.
            misspelt = isinstance(error, KeyError) and all(isinstance(name, str) for name in error.args)
            if misspelt or isinstance(getattr(error, "obj", None), READ):
                fault = blame(error) or f"{entry.place}: {type(error).__name__}: {error}"
                raise UserError(f"{fault}; {known_names(error, runs)}") from error
            # Null in summary.json is such a number.
            if isinstance(error, TypeError) and "NoneType" in str(error):
                cells = " or ".join(run.summary["cell"] for run in runs)
                raise NotMeasured(f"null in summary.json of {cells} (TypeError: {error})") from None
            raise

    label = entry.function.replace("_", " ")
    bounds = {bound: options[bound] for bound in BOUNDS if bound in options}
    check = Check(label, number, tuple(map(canonical_name, options["cells"])), **bounds)
    words = ", ".join(f"{bound.replace('_', ' ')} {value:g}" for bound, value in bounds.items())
    holds_if = options.get("holds_if", f"{label} {words}")
    return Claim(entry.name, options["statement"], options.get("source", "own"), holds_if, (check,))


def measure_files() -> dict[str, str]:
    """Every measure that a network can have -> its file, one of :data:`rethinking.analysis.runs.MEASURES`."""
    files = {"complexity.json": registry.names("measure"), "stability.json": stability.MEASURED}
    return {name: file for file, names in files.items() for name in names}


class Measured(Mapping[str, float]):
    """The measures of a run, of which it can lack some."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __getitem__(self, name: str) -> float:
        """One of them.

        Raises:
            NotMeasured: the network has no such number.
            KeyError: there is no such measure.
        """
        file = measure_files()[name]
        number = number_in(file, self.run, name)
        if number is None:
            raise NotMeasured(f"{self.run.summary['cell']} has a {file} without a number for {name}")
        return number

    def get(self, name: str, default: float = math.nan) -> float:
        """One of them, or the default where the network has no such number.

        Raises:
            KeyError: there is no such measure.
        """
        try:
            return self[name]
        except NotMeasured:
            return default

    def __iter__(self) -> Iterator[str]:
        return (name for name in measure_files() if self.run.measured.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(each == name for each in self)


def known_names(error: KeyError | AttributeError, runs: Sequence[Run]) -> str:
    """What runs can be asked for, and what of it is like the name in an error."""
    name = error.name if isinstance(error, AttributeError) else str(*error.args[:1])
    known = {
        "run.summary": dict.fromkeys(chain(*(run.summary for run in runs))),
        "run.measured": measure_files(),
        **{f"run.{table}": names for table, names in TABLES.items()},
    }
    hint = did_you_mean(name, {*chain(*known.values()), "summary", "measured", *TABLES} - {name})
    return hint + ", and ".join(f"{place} has {', '.join(names)}" for place, names in known.items())


def name_unlisted(judged: Judged, listed: Collection[str]) -> Judged:
    """A claim that says of its missing cells which are not among these of the configuration, and so are never trained."""

    def described(cell: str) -> str:
        if cell in listed:
            return cell
        dataset = cell.split("/")[0]
        # Without a path the cells of such a data set are left out.
        absent = "local" in registry.entry("dataset", dataset).sources
        path = f", or datasets.{dataset}.path is not set" if absent else ""
        return f"{cell} (no section lists it{path}; add it to one, such as table1)"

    findings = [finding._replace(missing=tuple(map(described, finding.missing))) for finding in judged.findings]
    return judged._replace(findings=findings)
