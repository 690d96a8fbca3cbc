# Tables, figures, claims and where they come from, in one file to read.

import os

from rethinking.artefacts import wanted
from rethinking.files import hash_file
from rethinking.scripts import options

REPORTED_SECTIONS = [name for name in CONFIG.results if getattr(CONFIG, name).cells]
REPORTED_CELLS = [f"cells/{cell.name}" for cell in CONFIG.cells(*CONFIG.results)]
# They have a target of their own, as they take as long as all the rest; once made they are in the report.
if CONFIG.ablations and os.path.exists(f"{RESULTS}/ablations.md"):
    REPORTED_SECTIONS.append("ablations")
    REPORTED_CELLS += [f"cells/{cell.name}" for cell in CONFIG.ablated_cells()]
    REPORTED_CELLS += [f"ablations/{name}/cells/{cell.name}" for name, cell in CONFIG.variants()]
REPORTED_CELLS = list(dict.fromkeys(REPORTED_CELLS))
THEORY_FILES = EXPRESSIVITY_FILES + LINEAR_MODEL_FILES
REPORTED = [each for each in wanted(REPORTED_SECTIONS) if each.name != "sizes" or "sizes" in TABLES]
REPORTED = [each for each in REPORTED if CAPACITY_TABLES.get(each.name, True)]
if THEORY_FILES and not REPORTED_SECTIONS:  # claims are shown with the theory alone, too
    REPORTED += [each for each in wanted(["expressivity"]) if each.kind == "claims"]
REPORTED_THEORY = [
    f"{RESULTS}/{artefact.filename}"
    for artefact in wanted(["expressivity", "linear_models"])
    if f"{RESULTS}/{artefact.filename}" in THEORY_FILES
]


rule render_report:
    input:
        artefacts=[f"{RESULTS}/{artefact.filename}" for artefact in REPORTED],
        claims=[f"{RESULTS}/claims.csv" for artefact in REPORTED if artefact.kind == "claims"],
        summaries=available(
            f"{RESULTS}/{cell}/seed{seed}/summary.json" for cell in REPORTED_CELLS for seed in CONFIG.seeds
        ),
        theory=lambda wildcards: theory(REPORTED_THEORY),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/render_report.log",
    localrule: True
    params:
        claims=lambda wildcards, input: options(claims=input.claims[0] if input.claims else None),
        results=subpath(output[0], parent=True),
        # Names and not files, which are too many for a command line.
        cells=REPORTED_CELLS,
        seeds=CONFIG.seeds,
        code=fingerprint("rethinking.report"),
        template=hash_file(f"{SCRIPTS}/rethinking/report.html.jinja"),
    message:
        "Writing the report"
    shell:
        "exec python -m render_report --artefacts {input.artefacts:q} {input.theory:q} {params.claims} --results {params.results:q}"
        " --cells {params.cells:q} --seeds {params.seeds} --output {output:q} > {log:q} 2>&1"
