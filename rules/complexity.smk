# Beyond the paper: measures of complexity of the trained networks, held against their generalisation gap.

import os

COMPLEXITY_FILES = []
if CONFIG.complexity.cells:
    COMPLEXITY_FILES = [
        *multiext(f"{RESULTS}/complexity", ".csv", ".md", ".tex"),
        *multiext(f"{RESULTS}/complexity_measures", ".csv", ".svg", ".png", ".pdf"),
    ]


localrules:
    compare_complexity,


if not CONFIG.finished_only:

    rule measure_complexity:
        input:
            unpack(cell_inputs),
            summary=f"{RESULTS}/{TRAINED}/summary.json",
            weights=f"{RESULTS}/{TRAINED}/weights.safetensors",
        output:
            f"{RESULTS}/{TRAINED}/complexity.json",
        log:
            f"{RESULTS}/logs/complexity/{TRAINED}.log",
        benchmark:
            f"{RESULTS}/benchmarks/complexity/{TRAINED}.tsv"
        threads: CONFIG.hardware.threads
        resources:
            device=CONFIG.hardware.device,
            cells_per_gpu=CONFIG.hardware.cells_per_gpu,
            gpu=int(expects_gpu(CONFIG.hardware.device)),
        params:
            folder=subpath(input.summary, parent=True),
            prepared=lambda wildcards, input: os.path.dirname(input.prepared[0]),
            overlay=lambda wildcards, input: os.path.dirname(input.overlay[0]),
            images=CONFIG.complexity.images,
            draws=CONFIG.complexity.draws,
            code=fingerprint("rethinking.measures.complexity", "rethinking.training.batches"),
        message:
            "Measuring the complexity of {wildcards.branch}{wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        shell:
            "exec python -m measure_complexity --folder {params.folder:q} --prepared {params.prepared:q}"
            " --overlay {params.overlay:q} --images {params.images} --draws {params.draws} --device {resources.device}"
            " --cells-per-gpu {resources.cells_per_gpu} --threads {threads} --output {output:q} > {log:q} 2>&1"


rule compare_complexity:
    input:
        summaries=cell_files("complexity", "summary.json"),
        measures=cell_files("complexity", "complexity.json"),
    output:
        ranks=f"{RESULTS}/complexity.csv",
        networks=f"{RESULTS}/complexity_measures.csv",
        images=multiext(f"{RESULTS}/complexity_measures", ".svg", ".png", ".pdf"),
    log:
        f"{RESULTS}/logs/compare_complexity.log",
    params:
        # Names and not files, which are too many for a command line.
        cells=lambda wildcards: result_cells("complexity"),
        root=lambda wildcards, output: os.path.join(os.path.dirname(output.ranks), "cells"),
        seeds=CONFIG.seeds,
        code=fingerprint("rethinking.figures.complexity", "rethinking.analysis.rank_correlations"),
    message:
        "Comparing measures of complexity with the generalisation gap"
    shell:
        "exec python -m compare_complexity --cells {params.cells:q} --root {params.root:q} --seeds {params.seeds}"
        " --ranks {output.ranks:q} --networks {output.networks:q} --images {output.images:q} > {log:q} 2>&1"
