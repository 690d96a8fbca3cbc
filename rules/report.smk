# Tables, figures, claims and where they come from, in one file to read.

import os

from rethinking.report.artefacts import wanted
from rethinking.run.files import hash_file
from rethinking.run.scripts import options

REPORTED_SECTIONS = [name for name in CONFIG.results if getattr(CONFIG, name).cells]
ABLATED_CELLS = []
# They have a target of their own, as they take as long as all the rest; once made they are in the report.
if CONFIG.ablations and os.path.exists(f"{RESULTS}/ablations.md"):
    REPORTED_SECTIONS.append("ablations")
    ABLATED_CELLS += [f"cells/{cell.name}" for cell in CONFIG.ablated_cells()]
    ABLATED_CELLS += [f"ablations/{name}/cells/{cell.name}" for name, cell in CONFIG.variants()]
REPORTED = [each for each in wanted(REPORTED_SECTIONS) if each.name != "sizes" or "sizes" in TABLES]
REPORTED = [each for each in REPORTED if CAPACITY_TABLES.get(each.name, True)]
THEORY_FILES = EXPRESSIVITY_FILES + LINEAR_MODEL_FILES
if THEORY_FILES and not REPORTED_SECTIONS:  # claims are shown with the theory alone, too
    REPORTED += [each for each in wanted(["expressivity"]) if each.kind == "claims"]
# What has a target of its own is in the report once it is made.
REPORTED_BEYOND = [
    f"{RESULTS}/{each.filename}" for each in REPORTED if each.sections and set(each.sections) <= set(BEYOND)
]
REPORTED_BEYOND += [
    file
    for each in wanted(["expressivity", "linear_models"])
    if (file := f"{RESULTS}/{each.filename}") in THEORY_FILES
]
REPORTED_OWN = [file for each in REPORTED if (file := f"{RESULTS}/{each.filename}") not in REPORTED_BEYOND]


rule render_report:
    input:
        artefacts=REPORTED_OWN,
        claims=[f"{RESULTS}/claims.csv" for artefact in REPORTED if artefact.kind == "claims"],
        summaries=lambda wildcards: shown_files(CONFIG.cells(*CONFIG.results), "summary.json"),
        ablated=available(
            f"{RESULTS}/{cell}/seed{seed}/summary.json" for cell in ABLATED_CELLS for seed in CONFIG.seeds
        ),
        beyond=lambda wildcards: beyond(REPORTED_BEYOND),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/render_report.log",
    localrule: True
    params:
        claims=lambda wildcards, input: options(claims=input.claims[0] if input.claims else None),
        results=subpath(output[0], parent=True),
        # Names and not files, which are too many for a command line.
        cells=lambda wildcards, input: list(
            dict.fromkeys(
                [f"cells/{cell.name}" for cell in own_cells()]
                + ABLATED_CELLS
                + [os.path.relpath(file, RESULTS).rsplit("/", 2)[0] for file in input.summaries]
            )
        ),
        seeds=CONFIG.seeds,
        code=fingerprint("rethinking.report.page"),
        texts=[
            hash_file(f"{SCRIPTS}/rethinking/report/{name}")
            for name in ("report.html.jinja", "captions.yaml")
        ],
    message:
        "Writing the report"
    shell:
        "exec python -m render_report --artefacts {input.artefacts:q} {input.beyond:q} {params.claims} --results {params.results:q}"
        " --cells {params.cells:q} --seeds {params.seeds} --output {output:q} > {log:q} 2>&1"
