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
        f"{RESULTS}/logs/fig1a.log",
    params:
        cells=CONFIG.fig1a.cells,
        folders=lambda wildcards, input: [os.path.dirname(summary) for summary in input.summaries],
    message:
        "Plotting figure 1a"
    shell:
        "exec python workflow_scripts/plot_fig1a.py --cells {params.cells:q} --folders {params.folders:q}"
        " --output {output:q} > {log:q} 2>&1"
