# Our curves over the paper's, their numbers, and how far apart they are.

import os

from rethinking.run.scripts import options

FIGURES = [
    name for name in ("fig1a", "fig1b", "fig1c", "fig2b", "memorisation") if getattr(CONFIG, name).cells
]
COMPARED = [name for name in ("fig1a", "fig1b", "fig1c", "fig2b") if name in FIGURES]
FIGURE_FILES = [f"{RESULTS}/{name}.{ending}" for name in FIGURES for ending in ("svg", "png", "pdf", "csv")]
if COMPARED:
    FIGURE_FILES += multiext(f"{RESULTS}/curve_differences", ".csv", ".md", ".tex")


localrules:
    plot_figure,
    compare_curves,


rule plot_figure:
    input:
        summaries=lambda wildcards: cell_files(wildcards.figure, "summary.json"),
        curves=figure_curves,
    output:
        images=multiext(f"{RESULTS}/{{figure}}", ".svg", ".png", ".pdf"),
        numbers=f"{RESULTS}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/plot_{{figure}}.log",
    wildcard_constraints:
        figure="fig1a|fig1b|fig1c|fig2b|memorisation",
    params:
        cells=lambda wildcards: result_cells(wildcards.figure),
        code=lambda wildcards: fingerprint(
            f"rethinking.figures.{wildcards.figure}", "rethinking.analysis.aggregation"
        ),
        folders=figure_folders,
    message:
        "Plotting {wildcards.figure}"
    shell:
        "exec python -m plot_figure --figure {wildcards.figure} --cells {params.cells:q}"
        " --folders {params.folders:q} --images {output.images:q} --numbers {output.numbers:q} > {log:q} 2>&1"


rule compare_curves:
    input:
        **{name: f"{RESULTS}/{name}.csv" for name in COMPARED},
    output:
        csv=f"{RESULTS}/curve_differences.csv",
        markdown=f"{RESULTS}/curve_differences.md",
        latex=f"{RESULTS}/curve_differences.tex",
    log:
        f"{RESULTS}/logs/compare_curves.log",
    params:
        numbers=lambda wildcards, input: options(**dict(input.items())),
        code=fingerprint("rethinking.analysis.differences", "rethinking.paper", "rethinking.tables.rendering"),
    message:
        "Comparing our curves with the paper's"
    shell:
        "exec python -m compare_curves {params.numbers}"
        " --output {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q} > {log:q} 2>&1"
