# Our curves over the paper's.

import os


localrules:
    plot_fig1a,


rule plot_fig1a:
    input:
        summaries=cell_files("fig1a", "summary.json"),
        curves=cell_files("fig1a", "curve.csv"),
    output:
        multiext(f"{RESULTS}/fig1a", ".svg", ".png", ".pdf"),
    log:
        f"{RESULTS}/logs/plot_fig1a.log",
    params:
        cells=CONFIG.fig1a.cells,
        code=fingerprint("rethinking.figures", "rethinking.tables", "rethinking.paper", "rethinking.titles"),
        folders=lambda wildcards, input: [os.path.dirname(summary) for summary in input.summaries],
    message:
        "Plotting figure 1a"
    shell:
        "exec python -m plot_fig1a --cells {params.cells:q} --folders {params.folders:q}"
        " --output {output:q} > {log:q} 2>&1"
