"""The target ``claims``: what it trains, and verdicts from the networks that are finished."""

import pandas as pd

from rethinking.cells import canonical_name

from ..unit.paper_cells import cell_values, make_runs, write_runs
from .conftest import TINY, cells_of, jobs_of


def test_claims_take_the_cells_of_all_results_of_the_first_data_set(tiny_workflow):
    names = [name for section in TINY.values() if "cells" in section for name in section["cells"]]
    digits = {f"{canonical_name(name)}/seed0" for name in names if name.startswith("digits/")}
    # Sections that a configuration does not mention are those of the default, on CIFAR-10.
    output = tiny_workflow.succeed("-n", "claims")
    assert cells_of(output) == sorted(digits)
    assert jobs_of(output)["check_claims"] == 1


def test_verdicts_on_finished_networks(default_workflow):
    values = cell_values()
    some = ["random_labels/mlp_1x512/none", "true_labels/mlp_1x512/none"]
    runs = make_runs({cell: values[cell] for cell in some})
    write_runs(default_workflow.folder / "results" / "cells", runs)
    default_workflow.succeed("claims", "--config", "finished_only=true")
    table = pd.read_csv(default_workflow.folder / "results" / "claims.csv").set_index("claim")
    assert (
        table.verdict == "supported"
    ).sum() == 2  # and the parameters of Inception V3, which need no network
    assert table.verdict["fits_random_labels_mlp_1x512"] == "supported"
    assert "1 supported" in (default_workflow.folder / "results" / "claims.md").read_text()
