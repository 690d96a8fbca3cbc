"""What is wrong with a plug-in's claim is named by its file and line; a number that a network lacks is not wrong."""

import re

import pandas as pd
import pytest

from rethinking import registry
from rethinking.analysis.runs import TABLES, Run
from rethinking.claims.measures import NotMeasured
from rethinking.claims.own import own_claims
from rethinking.claims.verdicts import examine

from .test_wrong_plugins import message


@pytest.mark.parametrize(
    ("body", "line", "expected"),
    [
        ("None", 3, "c returns None, not a number"),
        (
            "__import__('numpy').ones((3, 9))",
            3,
            "c returns array([[1., 1., 1., 1., 1., 1., 1., 1., 1.], [1., 1., 1., 1., 1., 1., 1., [...], not a number",
        ),
    ],
)
def test_claims(plugin, body, line, expected):
    cell = "digits/true_labels/mlp_1x512/none"
    file = plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    runs = {cell: {0: Run({"cell": "x", "status": "finished"})}}
    assert message(examine, check, runs, "") == f"{file}:{line}: {expected}"
    with pytest.raises(NotMeasured, match="x diverged"):
        check.measure(Run({"cell": "x", "status": "diverged"}))


@pytest.mark.parametrize(
    ("body", "said", "meant"),
    [
        ("run.summary['wall_second']", "KeyError: 'wall_second'", "wall_seconds"),  # not a missing number
        ("run.curve['train_acuracy'].iloc[-1]", "KeyError: 'train_acuracy'", "train_accuracy"),
        ("run.curve.iloc[-1]['train_acuracy']", "KeyError: 'train_acuracy'", "train_accuracy"),
        ("run.curve.train_acuracy.max()", "AttributeError: 'DataFrame' object has no attribute 'train_acuracy'", "train_accuracy"),
        ("run.sumary['cell']", "AttributeError: 'Run' object has no attribute 'sumary'", "summary"),
        ("run.curve['cell']", "KeyError: 'cell'", None),
        ("run.measured['path_nrm']", "KeyError: 'path_nrm'", "path_norm"),
        ("run.measured['all_chnge']", "KeyError: 'all_chnge'", "all_change"),
        ("run.summary['train_acuracy']", "KeyError: 'train_acuracy'", "train_accuracy"),  # only the other run has it
        ("run.memorisation.changed_accuracy_giv", "AttributeError: 'DataFrame' object has no attribute 'changed_accuracy_giv'", "changed_accuracy_given"),
    ],
)  # fmt: skip
def test_a_misspelt_name_in_a_claim(plugin, body, said, meant):
    names = ["digits/true_labels/mlp_1x512/none", "digits/random_labels/mlp_1x512/none"]
    file = plugin(f"@claim('c', statement='s', cells={names}, above=0)\ndef c(other, run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    summary = {"cell": "x", "status": "finished"}
    tables = {name: pd.DataFrame(0.0, [0], [*columns]) for name, columns in TABLES.items()}
    runs = [Run(summary | more, **tables) for more in ({"train_accuracy": 9.0}, {"wall_seconds": 1.0})]
    hint = f"did you mean '{meant}'? " if meant else ""
    assert message(examine, check, {name: {0: run} for name, run in zip(names, runs, strict=True)}, "") == (
        f"{file}:4: {said}; {hint}run.summary has cell, status, train_accuracy, wall_seconds, and run.measured has "
        f"{', '.join(registry.names('measure'))}, test_change, all_change, mean_change, changed_predictions, and "
        "run.curve has epoch, step, train_loss, train_accuracy, train_loss_end, train_accuracy_end, test_accuracy, "
        "test_accuracy_corrupted, and run.memorisation has epoch, unchanged_accuracy, changed_accuracy_given, "
        "changed_accuracy_true"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("run.measured['path_norm']", "x has no complexity.json with path_norm"),
        ("run.measured['sharpness'] + 1", "x has a complexity.json without a number for sharpness"),  # undefined
        (
            "run.measured['all_change']",
            "x has a stability.json of an earlier network ('snakemake capacity' without finished_only makes it again)",
        ),
        ("run.measured.get('path_norm')", "seed0 has nothing to measure"),
        ("run.curve.set_index('epoch').test_accuracy.loc[50]", "seed0 has nothing to measure (KeyError: 50)"),
        (
            "max(5, run.summary['epochs_to_train_accuracy']['100'])",
            "null in summary.json of x (TypeError: '>' not supported between instances of 'NoneType' and 'int')",
        ),
    ],
)
def test_a_number_that_a_network_lacks_leaves_a_claim_undecided(plugin, body, reason):
    cell = "digits/true_labels/mlp_1x512/none"
    plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    curve = pd.DataFrame({"epoch": [0, 1], "test_accuracy": [10.0, 20.0]})
    measured, unread = {"sharpness": None}, {"stability.json": "a stability.json of an earlier network"}
    summary = {"cell": "x", "status": "finished", "epochs_to_train_accuracy": {"100": None}}
    run = Run(summary, curve, measured=measured, unread=unread)
    assert examine(check, {cell: {0: run}}, "").reasons[0] == reason


def test_the_measures_that_a_network_has_are_those_of_a_dict(plugin):
    cell = "digits/true_labels/mlp_1x512/none"
    body = "run.measured.get('sharpness', 2) + len(run.measured) + sum(dict(run.measured).values()) + ('path_norm' in run.measured)"
    plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    measured = {"distance": 4.0, "frobenius_product": 8.0, "sharpness": None, "images": 500}
    run = Run({"cell": "x", "status": "finished"}, pd.DataFrame(), measured=measured)
    assert check.measure(run) == 2 + 2 + 12


def test_an_error_in_a_claim_outside_the_plugin_keeps_its_text(plugin):
    cell = "digits/true_labels/mlp_1x512/none"
    claim = f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return 0\n"
    file = plugin(claim + """c = eval("lambda run: run.summary['n']")\n""")
    ((check,),) = (claim.checks for claim in own_claims())
    runs = {cell: {0: Run({"cell": "x", "status": "finished"})}}
    said = message(examine, check, runs, "")
    assert re.fullmatch(rf"{re.escape(str(file))}:\d: KeyError: 'n'; run\.summary has cell, status, .*", said)
