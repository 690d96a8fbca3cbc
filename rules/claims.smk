# The paper's claims, held against the trained networks and the fits of its theory.

import os


localrules:
    check_claims,


# Of all tables and figures, on the data set of the first: table 1 if it has cells.
ALL_CELLS = CONFIG.cells(*CONFIG.results)
CLAIM_CELLS = [cell for cell in ALL_CELLS if cell.dataset == ALL_CELLS[0].dataset]
THEORY_RECORDS = [
    *EXPRESSIVITY_RECORDS,
    *FITS,
    *COUNTEREXAMPLES,
    *(f"{folder}/summary.json" for folder in DESCENTS),
]


rule check_claims:
    input:
        summaries=lambda wildcards: shown_files(CLAIM_CELLS, "summary.json"),
        curves=lambda wildcards: shown_files(CLAIM_CELLS, "curve.csv"),
        memorisation=lambda wildcards: shown_files(CLAIM_CELLS, "memorisation.csv"),
        complexity=lambda wildcards: beyond(measured_files(CLAIM_CELLS, "complexity.json")),
        stability=lambda wildcards: beyond(measured_files(CLAIM_CELLS, "stability.json")),
        records=lambda wildcards: beyond(THEORY_RECORDS),
    output:
        csv=f"{RESULTS}/claims.csv",
        markdown=f"{RESULTS}/claims.md",
    log:
        f"{RESULTS}/logs/check_claims.log",
    params:
        # Names and not files, which are too many for a command line.
        root=lambda wildcards, output: os.path.join(os.path.dirname(output.csv), "cells"),
        cells=list(dict.fromkeys(cell.name for cell in CLAIM_CELLS)),
        seeds=CONFIG.seeds,
        theory="--theory" if THEORY_RECORDS else "",
        code=fingerprint("rethinking.claims.report", "rethinking.claims.theory"),
    message:
        "Checking the paper's claims"
    shell:
        "exec python -m check_claims --cells-root {params.root:q} --cells {params.cells:q}"
        " --seeds {params.seeds} {params.theory} --records {input.records:q} --csv {output.csv:q} --markdown {output.markdown:q} > {log:q} 2>&1"
