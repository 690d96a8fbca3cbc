# Section 2.2 measured: what the networks can fit, and how far one example moves them, beside how they generalise.

import os

CAPACITY_TABLES = {
    "rademacher": any(sample_size(cell.corruption) for cell in CONFIG.cells("capacity")),
    "stability": any(cell.base != cell for cell in CONFIG.cells("capacity")),
}
CAPACITY_FILES = [
    f"{RESULTS}/{name}.{ending}"
    for name, has_cells in CAPACITY_TABLES.items()
    for ending in ("csv", "md", "tex")
    if has_cells
]
if CAPACITY_FILES:
    CAPACITY_FILES += multiext(f"{RESULTS}/capacity", ".svg", ".png", ".pdf")


localrules:
    measure_capacity,


rule draw_sample:
    input:
        manifest=f"{PREPARED}/manifest.json",
        arrays=multiext(f"{PREPARED}/", *ARRAYS),
    output:
        arrays=multiext(f"{SAMPLE}/", *ARRAYS),
        manifest=f"{SAMPLE}/manifest.json",
    log:
        f"{DATA_DIR}/logs/samples/{{dataset}}/n{{n}}.log",
    wildcard_constraints:
        n="[1-9][0-9]*",
    params:
        prepared=subpath(input.manifest, parent=True),
        folder=subpath(output.manifest, parent=True),
        code=fingerprint("rethinking.corruption.signs"),
    message:
        "Drawing {wildcards.n} training images of {wildcards.dataset}"
    shell:
        "exec python -m draw_sample --prepared {params.prepared:q} --images {wildcards.n}"
        " --output {params.folder:q} > {log:q} 2>&1"


use rule corrupt_labels as draw_signs with:
    input:
        manifest=lambda wildcards: sample_file(wildcards, "manifest.json"),
        labels=lambda wildcards: [
            sample_file(wildcards, f"{split}_labels.npy") for split in ("train", "test")
        ],
    output:
        labels=multiext(f"{CORRUPTED}/", "train_labels.npy", "test_labels.npy"),
        manifest=f"{CORRUPTED}/manifest.json",
    wildcard_constraints:
        corruption="(true|random)_signs_n[1-9][0-9]*",


use rule corrupt_labels as replace_example with:
    input:
        manifest=f"{PREPARED}/manifest.json",
        arrays=multiext(f"{PREPARED}/", *ARRAYS),
    output:
        arrays=multiext(f"{CORRUPTED}/", "train_images.npy", "train_labels.npy", "test_labels.npy"),
        manifest=f"{CORRUPTED}/manifest.json",
    wildcard_constraints:
        corruption="(true|random)_labels_replaced[0-9]+",
    message:
        "Replacing an example of {wildcards.dataset}: {wildcards.corruption}, seed {wildcards.seed}"


if not CONFIG.finished_only:

    rule measure_stability:
        input:
            unpack(replaced_inputs),
            after=multiext(f"{RESULTS}/{TRAINED}/", "summary.json", "predictions.npz", "weights.safetensors"),
        output:
            f"{RESULTS}/{TRAINED}/stability.json",
        log:
            f"{RESULTS}/logs/stability/{TRAINED}.log",
        wildcard_constraints:
            corruption="(true|random)_labels_replaced[0-9]+",
        params:
            before=lambda wildcards, input: os.path.dirname(input.before[0]),
            after=lambda wildcards, input: os.path.dirname(input.after[0]),
            prepared=lambda wildcards, input: os.path.dirname(input.images[0]),
            overlay=lambda wildcards, input: os.path.dirname(input.labels[0]),
            code=fingerprint(
                "rethinking.measures.stability",
                "rethinking.corruption.replacements",
                "rethinking.training.batches",
            ),
        message:
            "Measuring the stability of {wildcards.branch}{wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        shell:
            "exec python -m measure_stability --before {params.before:q} --after {params.after:q}"
            " --prepared {params.prepared:q} --overlay {params.overlay:q} --output {output:q} > {log:q} 2>&1"


rule measure_capacity:
    input:
        summaries=cell_files("capacity", "summary.json"),
        stability=available(measured_files(CONFIG.cells("capacity"), "stability.json")),
    output:
        rademacher=f"{RESULTS}/rademacher.csv",
        stability=f"{RESULTS}/stability.csv",
        images=multiext(f"{RESULTS}/capacity", ".svg", ".png", ".pdf"),
    log:
        f"{RESULTS}/logs/measure_capacity.log",
    params:
        # Names and not files, which are too many for a command line.
        cells=lambda wildcards: result_cells("capacity"),
        seeds=CONFIG.seeds,
        root=lambda wildcards, output: os.path.join(os.path.dirname(output.rademacher), "cells"),
        code=fingerprint(
            "rethinking.figures.capacity",
            "rethinking.measures.folding",
            "rethinking.measures.rademacher",
            "rethinking.measures.stability",
        ),
    message:
        "Measuring capacity: Rademacher complexity and stability"
    shell:
        "exec python -m measure_capacity --cells {params.cells:q} --seeds {params.seeds} --root {params.root:q}"
        " --rademacher {output.rademacher:q} --stability {output.stability:q}"
        " --images {output.images:q} > {log:q} 2>&1"
