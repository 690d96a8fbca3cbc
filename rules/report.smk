# Tables, figures, claims and where they come from, in one file to read.

from rethinking.report.artefacts import wanted

SECTIONS = [name for name in CONFIG.results if CONFIG.cell_names(name)]
SECTIONS += ["expressivity"] if BUILT else []
SECTIONS += ["linear_models"] if FITS or DESCENTS else []
MADE_BY_THEORY = EXPRESSIVITY_FILES + LINEAR_MODEL_FILES


REPORTED = [each for each in wanted(SECTIONS) if is_made(each)]
# Their networks take as long as all others, so they have a target of their own; once made they are in the report.
ABLATED = [each for each in wanted(["ablations"]) if each.name == "ablations" and ABLATIONS.current]


REPORTED_CELLS = [f"cells/{name}" for name in dict.fromkeys(cell.name for cell in ALL_CELLS)]
if ABLATED:
    REPORTED_CELLS += [f"cells/{cell.name}" for cell in CONFIG.ablated_cells()]
    REPORTED_CELLS += [f"ablations/{name}/cells/{cell.name}" for name, cell in CONFIG.variants()]
    REPORTED_CELLS = list(dict.fromkeys(REPORTED_CELLS))
REPORT = artefact(
    "render_report",
    [f"{RESULTS}/report.html"],
    {"artefacts": [each.name for each in REPORTED + ABLATED], "cells": REPORTED_CELLS, "seeds": CONFIG.seeds},
    PLAN.cells(ALL_CELLS),
    needs=[shown_artefact(each) for each in REPORTED + ABLATED],
)


rule render_report:
    input:
        lambda wildcards: reads(REPORT),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/render_report.log",
    localrule: True
    params:
        artefacts=[f"{RESULTS}/{each.filename}" for each in REPORTED + ABLATED],
        claims=options(
            claims=f"{RESULTS}/claims.csv" if any(each.kind == "claims" for each in REPORTED) else None
        ),
        results=subpath(output[0], parent=True),
        # Names and not files, which are too many for a command line.
        cells=REPORTED_CELLS,
        seeds=CONFIG.seeds,
        record=record(REPORT),
    message:
        "Writing the report"
    shell:
        "exec python -m render_report --artefacts {params.artefacts:q} {params.claims} --results {params.results:q}"
        " --cells {params.cells:q} --seeds {params.seeds} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


# After the last stage, when it is known what tables and figures are built from.
if used_stale := [each for each in USED.values() if not each.current]:
    logger.warning(
        f"finished_only: {len(used_stale)} of {len(USED)} finished results are stale and used as they are; "
        "'snakemake status' says why"
    )
