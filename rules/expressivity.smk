# Theorem 1, lemma 1 and corollary 1: networks that fit any labels with 2n + d weights.

EXPRESSIVITY = CONFIG.expressivity
BUILT = [PLAN.expressivity(seed) for seed in CONFIG.seeds if EXPRESSIVITY.dataset]
EXPRESSIVITY_TABLE = artefact(
    "tabulate_theory", [f"{RESULTS}/expressivity.csv"], {"table": "expressivity"}, BUILT
)
PRECISION = artefact(
    "plot_theory",
    [*multiext(f"{RESULTS}/expressivity_precision", *IMAGES), f"{RESULTS}/expressivity_precision.csv"],
    {"figure": "precision"},
    BUILT,
)
EXPRESSIVITY_FILES = []
if BUILT:
    RENDERED["expressivity"] = EXPRESSIVITY_TABLE
    EXPRESSIVITY_FILES = [*multiext(f"{RESULTS}/expressivity", ".csv", ".md", ".tex"), *PRECISION.outputs]


localrules:
    tabulate_expressivity,
    plot_expressivity,


rule fit_expressivity:
    input:
        lambda wildcards: reads(PLAN.expressivity(int(wildcards.seed))),
    output:
        f"{RESULTS}/expressivity/seed{{seed}}.json",
    log:
        f"{RESULTS}/logs/expressivity/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/expressivity/seed{{seed}}.tsv"
    threads: CONFIG.hardware.threads
    params:
        prepared=lambda wildcards: PLAN.expressivity(int(wildcards.seed)).data[0].folder,
        settings=EXPRESSIVITY.model_dump_json(),
        record=lambda wildcards: record(PLAN.expressivity(int(wildcards.seed))),
    message:
        "Building networks that fit all labels of {EXPRESSIVITY.dataset}, seed {wildcards.seed}"
    shell:
        "exec python -m fit_expressivity --settings {params.settings:q} --prepared {params.prepared:q}"
        " --seed {wildcards.seed} --threads {threads} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule tabulate_expressivity:
    input:
        lambda wildcards: reads(EXPRESSIVITY_TABLE),
    output:
        f"{RESULTS}/expressivity.csv",
    log:
        f"{RESULTS}/logs/tabulate_expressivity.log",
    params:
        records=[made.outputs[0] for made in EXPRESSIVITY_TABLE.results],
        record=record(EXPRESSIVITY_TABLE),
    message:
        "Tabulating expressivity"
    shell:
        "exec python -m tabulate_theory --table expressivity --records {params.records:q} --output {output:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule plot_expressivity:
    input:
        lambda wildcards: reads(PRECISION),
    output:
        images=multiext(f"{RESULTS}/expressivity_precision", *IMAGES),
        numbers=f"{RESULTS}/expressivity_precision.csv",
    log:
        f"{RESULTS}/logs/plot_expressivity.log",
    params:
        records=[made.outputs[0] for made in PRECISION.results],
        record=record(PRECISION),
    message:
        "Plotting the precision that theorem 1 needs"
    shell:
        "exec python -m plot_theory --figure precision --records {params.records:q}"
        " --images {output.images:q} --numbers {output.numbers:q} --record {params.record:q} > {log:q} 2>&1"


rule expressivity:
    input:
        EXPRESSIVITY_FILES,
