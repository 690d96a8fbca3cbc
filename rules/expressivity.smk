# Theorem 1, lemma 1 and corollary 1: networks that fit any labels with 2n + d weights.

EXPRESSIVITY = CONFIG.expressivity
EXPRESSIVITY_RECORDS = [
    f"{RESULTS}/expressivity/seed{seed}.json" for seed in CONFIG.seeds if EXPRESSIVITY.dataset
]
EXPRESSIVITY_FILES = (
    [
        *multiext(f"{RESULTS}/expressivity", ".csv", ".md", ".tex"),
        *multiext(f"{RESULTS}/expressivity_precision", ".svg", ".png", ".pdf", ".csv"),
    ]
    if available(EXPRESSIVITY_RECORDS)
    else []
)


localrules:
    tabulate_expressivity,
    plot_expressivity,


if not CONFIG.finished_only and EXPRESSIVITY.dataset:

    rule fit_expressivity:
        input:
            arrays=multiext(
                f"{DATA_DIR}/prepared/{EXPRESSIVITY.dataset}/", "train_images.npy", "train_labels.npy"
            ),
            manifest=f"{DATA_DIR}/prepared/{EXPRESSIVITY.dataset}/manifest.json",
        output:
            f"{RESULTS}/expressivity/seed{{seed}}.json",
        log:
            f"{RESULTS}/logs/expressivity/seed{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/expressivity/seed{{seed}}.tsv"
        threads: CONFIG.hardware.threads
        params:
            prepared=subpath(input.manifest, parent=True),
            settings=EXPRESSIVITY.model_dump_json(),
            code=fingerprint("rethinking.theory.expressivity", "rethinking.corruption.labels"),
        message:
            "Building networks that fit all labels of {EXPRESSIVITY.dataset}, seed {wildcards.seed}"
        shell:
            "exec python -m fit_expressivity --settings {params.settings:q} --prepared {params.prepared:q}"
            " --seed {wildcards.seed} --threads {threads} --output {output:q} > {log:q} 2>&1"


rule tabulate_expressivity:
    input:
        available(EXPRESSIVITY_RECORDS),
    output:
        f"{RESULTS}/expressivity.csv",
    log:
        f"{RESULTS}/logs/tabulate_expressivity.log",
    params:
        code=fingerprint("rethinking.analysis.theory_results"),
    message:
        "Tabulating expressivity"
    shell:
        "exec python -m tabulate_theory --table expressivity --records {input:q} --output {output:q} > {log:q} 2>&1"


rule plot_expressivity:
    input:
        available(EXPRESSIVITY_RECORDS),
    output:
        images=multiext(f"{RESULTS}/expressivity_precision", ".svg", ".png", ".pdf"),
        numbers=f"{RESULTS}/expressivity_precision.csv",
    log:
        f"{RESULTS}/logs/plot_expressivity.log",
    params:
        code=fingerprint("rethinking.figures.theory"),
    message:
        "Plotting the precision that theorem 1 needs"
    shell:
        "exec python -m plot_theory --figure precision --records {input:q}"
        " --images {output.images:q} --numbers {output.numbers:q} > {log:q} 2>&1"


use rule render_table as render_theory_table with:
    wildcard_constraints:
        table="expressivity|table3|norms",
    localrule: True
    params:
        code=fingerprint("rethinking.tables.theory"),


rule expressivity:
    input:
        EXPRESSIVITY_FILES,
