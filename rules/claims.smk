# The paper's claims, checked against the trained networks and the fits of its theory.

from rethinking.cells import canonical_name

ALL_CELLS = CONFIG.cells(*CONFIG.results)
ALL_SETS = list(dict.fromkeys(cell.dataset for cell in ALL_CELLS))
OWN_SETS = [each.name for each in registry.entries("dataset") if each.own]
OWN_CLAIMS = [each for each in registry.entries("claim") if each.own]
OWN_CELLS = {canonical_name(name) for each in OWN_CLAIMS for name in each.options["cells"]}
# The data set on which the claims on CIFAR-10 are checked: CIFAR-10, else the first (of table 1, if it has any) that another
# result than ImageNet's names; one like ImageNet, or a plug-in's, only if there is no other.
CIFAR_CELLS = CONFIG.cells(*(name for name in CONFIG.results if name not in IMAGENET_RESULTS))
CIFAR_SETS = [cell.dataset for cell in CIFAR_CELLS] + [name for name in ALL_SETS if name in ("cifar10", *OWN_SETS)]
CLAIM_SET = min(CIFAR_SETS, key=lambda name: (name in OWN_SETS, name != "cifar10", name in LOCAL), default=None)
# That on which those on ImageNet are checked: one that is there, and the paper's before others, whatever the order of the
# cells. Those on CIFAR-10 keep theirs, unless it is like ImageNet. There are none on a plug-in's.
IMAGENET_NAMES = [name for result in IMAGENET_RESULTS for name in getattr(CONFIG, result).cells]
IMAGENET_SETS = [name.split("/")[0] for name in IMAGENET_NAMES]
IMAGENET_SET = min(
    (name for name in IMAGENET_SETS if name not in OWN_SETS and (name != CLAIM_SET or name in LOCAL)),
    key=lambda name: (name not in ALL_SETS, name != "imagenet"),
    default=None,
)
# The paper says nothing about a plug-in's; those of ablations count if the report shows them.
REPORTED_SETS = ALL_SETS + [cell.dataset for cell in CONFIG.ablated_cells() if CONFIG.report_ablations]
JUDGED = {CLAIM_SET, IMAGENET_SET}.difference(OWN_SETS)
NOT_JUDGED = [name for name in dict.fromkeys(REPORTED_SETS) if name not in JUDGED]
CLAIM_CELLS = [cell for cell in ALL_CELLS if cell.dataset in (CLAIM_SET, IMAGENET_SET) or cell.name in OWN_CELLS]
CLAIM_NAMES = list(dict.fromkeys(cell.name for cell in CLAIM_CELLS))
# Of other networks, measures of an earlier configuration can lie among the results.
MEASURED = [f"{name}/complexity.json" for name in CONFIG.cell_names("complexity") if name in CLAIM_NAMES]
MEASURED += [f"{cell.name}/stability.json" for cell in CONFIG.cells("capacity") if cell.base != cell]
THEORY = [*BUILT, *FITS, *COMPARISONS, *DESCENTS]
CLAIMS = artefact(
    "check_claims",
    [f"{RESULTS}/claims.csv", f"{RESULTS}/claims.md"],
    {
        **networks(CLAIM_NAMES),
        "own": [dict(each.options) for each in OWN_CLAIMS],
        "dataset": CLAIM_SET,
        "imagenet": IMAGENET_SET,
        "not_judged": NOT_JUDGED,
        # With finished_only its claims are listed before there are any fits.
        "theory": bool(THEORY),
    },
    [*PLAN.cells(CLAIM_CELLS), *COMPLEXITIES, *STABILITIES, *THEORY],
    entries=[each.root for each in OWN_CLAIMS],
)


rule check_claims:
    input:
        lambda wildcards: reads(CLAIMS),
    output:
        csv=report(f"{RESULTS}/claims.csv", caption=CAPTION, category="The claims", labels={"result": "all claims"}),
        markdown=f"{RESULTS}/claims.md",
    log:
        f"{RESULTS}/logs/check_claims.log",
    localrule: True
    params:
        caption="Each statement as a condition on numbers, what was measured, and the outcome.",
        networks=network_options(CLAIMS),
        measures=join(dict.fromkeys(MEASURED)),
        theory="--theory" if THEORY else "",
        datasets=options(dataset=CLAIM_SET, imagenet=IMAGENET_SET),
        not_judged=NOT_JUDGED,
        records=[made.outputs[0] for made in finished(THEORY)],
        record=lambda wildcards: record(CLAIMS),
    message:
        "Checking the paper's claims"
    shell:
        "exec python -m check_claims {params.networks} --measures {params.measures} {params.theory} {params.datasets}"
        " --not-judged {params.not_judged:q} --records {params.records:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} --record {params.record:q} > {log:q} 2>&1"
