# Our curves over the paper's, their numbers, and how far apart they are.

IMAGES = (".svg", ".png", ".pdf")
# figure -> the table of each cell that it shows, one row per epoch
CURVES = dict.fromkeys(("fig1a", "fig1b", "fig1c", "fig2b"), "curve") | {"memorisation": "memorisation"}
FIGURES = {
    name: artefact(
        "plot_figure",
        [*multiext(f"{RESULTS}/{name}", *IMAGES), f"{RESULTS}/{name}.csv"],
        {"figure": name, "cells": getattr(CONFIG, name).cells, "seeds": CONFIG.seeds},
        cells_of(name),
        entries=[(LIBRARY / "figures" / f"{name}.py", None)],
    )
    for name in CURVES
    if getattr(CONFIG, name).cells
}
COMPARED = [name for name in FIGURES if name != "memorisation"]
DIFFERENCES = artefact(
    "compare_curves",
    multiext(f"{RESULTS}/curve_differences", ".csv", ".md", ".tex"),
    {"figures": COMPARED},
    needs=[FIGURES[name] for name in COMPARED],
)
FIGURE_FILES = [file for made in FIGURES.values() for file in made.outputs]
FIGURE_FILES += DIFFERENCES.outputs if COMPARED else []


localrules:
    plot_figure,
    compare_curves,


rule plot_figure:
    input:
        lambda wildcards: reads(figure(wildcards)),
    output:
        images=multiext(f"{RESULTS}/{{figure}}", *IMAGES),
        numbers=f"{RESULTS}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/plot_{{figure}}.log",
    wildcard_constraints:
        figure="|".join(CURVES),
    params:
        cells=lambda wildcards: result_cells(wildcards.figure),
        root=f"{RESULTS}/cells",
        seeds=CONFIG.seeds,
        table=lambda wildcards: CURVES[wildcards.figure],
        record=lambda wildcards: record(figure(wildcards)),
    message:
        "Plotting {wildcards.figure}"
    shell:
        "exec python -m plot_figure --figure {wildcards.figure} --cells {params.cells:q}"
        " --root {params.root:q} --seeds {params.seeds} --table {params.table} --images {output.images:q} --numbers {output.numbers:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule compare_curves:
    input:
        lambda wildcards: reads(DIFFERENCES),
    output:
        csv=f"{RESULTS}/curve_differences.csv",
        markdown=f"{RESULTS}/curve_differences.md",
        latex=f"{RESULTS}/curve_differences.tex",
    log:
        f"{RESULTS}/logs/compare_curves.log",
    params:
        numbers=options(**{name: f"{RESULTS}/{name}.csv" for name in COMPARED}),
        record=record(DIFFERENCES),
    message:
        "Comparing our curves with the paper's"
    shell:
        "exec python -m compare_curves {params.numbers}"
        " --output {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q}"
        " --record {params.record:q} > {log:q} 2>&1"
