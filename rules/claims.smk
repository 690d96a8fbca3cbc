# The paper's claims, checked against the trained networks and the fits of its theory.


localrules:
    check_claims,


# The cells of all tables and figures that are on the data set of the first cell (of table 1, if it has any).
ALL_CELLS = CONFIG.cells(*CONFIG.results)
OWN_CLAIMS = [each for each in registry.entries("claim") if each.own]
OWN_CELLS = {canonical_name(name) for each in OWN_CLAIMS for name in each.options["cells"]}
CLAIM_CELLS = [cell for cell in ALL_CELLS if cell.dataset == ALL_CELLS[0].dataset or cell.name in OWN_CELLS]
CLAIM_NAMES = list(dict.fromkeys(cell.name for cell in CLAIM_CELLS))
THEORY = [*BUILT, *FITS, *COMPARISONS, *DESCENTS]
CLAIMS = artefact(
    "check_claims",
    [f"{RESULTS}/claims.csv", f"{RESULTS}/claims.md"],
    {"cells": CLAIM_NAMES, "seeds": CONFIG.seeds, "own": [dict(each.options) for each in OWN_CLAIMS]},
    [*PLAN.cells(CLAIM_CELLS), *measured("complexity"), *measured("stability"), *THEORY],
    entries=[each.root for each in OWN_CLAIMS],
)


rule check_claims:
    input:
        lambda wildcards: reads(CLAIMS),
    output:
        csv=report(
            f"{RESULTS}/claims.csv", caption=CAPTION, category="The claims", labels={"result": "all claims"}
        ),
        markdown=f"{RESULTS}/claims.md",
    log:
        f"{RESULTS}/logs/check_claims.log",
    params:
        caption="Each statement as a condition on numbers, what was measured, and the outcome.",
        # Names, because there are too many files for a command line.
        root=f"{RESULTS}/cells",
        cells=CLAIM_NAMES,
        seeds=CONFIG.seeds,
        theory="--theory" if THEORY else "",
        records=[made.outputs[0] for made in finished(THEORY)],
        record=record(CLAIMS),
    message:
        "Checking the paper's claims"
    shell:
        "exec python -m check_claims --cells-root {params.root:q} --cells {params.cells:q}"
        " --seeds {params.seeds} {params.theory} --records {params.records:q} --csv {output.csv:q}"
        " --markdown {output.markdown:q} --record {params.record:q} > {log:q} 2>&1"
