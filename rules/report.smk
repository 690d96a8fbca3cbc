# Tables, figures, claims and where they come from, in one file to read.

# The networks of ablations take as long as all others, so they have a target of their own; once made they are here.
REPORTED = [name for name in SHOWN if name != "ablations" or ABLATIONS.current]


REPORTED_CELLS = [f"cells/{name}" for name in dict.fromkeys(cell.name for cell in ALL_CELLS)]
if "ablations" in REPORTED:
    REPORTED_CELLS += [f"cells/{cell.name}" for cell in CONFIG.ablated_cells()]
    REPORTED_CELLS += [f"ablations/{name}/cells/{cell.name}" for name, cell in CONFIG.variants()]
    REPORTED_CELLS = list(dict.fromkeys(REPORTED_CELLS))
REPORT = artefact(
    "render_report",
    [f"{RESULTS}/report.html"],
    {
        "artefacts": [[name, entry_of(name).title] for name in REPORTED],
        "cells": REPORTED_CELLS,
        "seeds": CONFIG.seeds,
    },
    PLAN.cells(ALL_CELLS),
    needs=[*(SHOWN[name] for name in REPORTED), CLAIMS],
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
        artefacts=[f"{RESULTS}/{entry_of(name).filename}" for name in REPORTED] + CLAIMS.outputs[1:],
        claims=CLAIMS.outputs[0],
        results=subpath(output[0], parent=True),
        # Names and not files, which are too many for a command line.
        cells=REPORTED_CELLS,
        seeds=CONFIG.seeds,
        record=record(REPORT),
    message:
        "Writing the report"
    shell:
        "exec python -m render_report --artefacts {params.artefacts:q} --claims {params.claims:q} --results {params.results:q}"
        " --cells {params.cells:q} --seeds {params.seeds} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


# After the last stage, when it is known what tables and figures are built from.
if used_stale := [each for each in USED.values() if not each.current]:
    logger.warning(
        f"finished_only: {len(used_stale)} of {len(USED)} finished results are stale and used as they are; "
        "'snakemake status' says why"
    )
