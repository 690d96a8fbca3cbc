# Theorem 1, lemma 1 and corollary 1: networks that fit any labels with 2n + d weights.

EXPRESSIVITY = CONFIG.expressivity
BUILT = MEASURES_AND_FITS["expressivity"]
EXPRESSIVITY_FILES = show_theory("expressivity", BUILT) + show_theory("expressivity_precision", BUILT)


rule fit_expressivity:
    input:
        lambda wildcards: reads(construction(wildcards)),
    output:
        f"{RESULTS}/expressivity/seed{{seed}}.json",
    log:
        f"{RESULTS}/logs/expressivity/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/expressivity/seed{{seed}}.tsv"
    threads: CONFIG.hardware.threads
    params:
        prepared=lambda wildcards: construction(wildcards).data[0].folder,
        settings=EXPRESSIVITY.model_dump_json(),
        record=lambda wildcards: record(construction(wildcards)),
    message:
        "Building networks that fit all labels of {EXPRESSIVITY.dataset}, seed {wildcards.seed}"
    shell:
        "exec python -m fit_expressivity --settings {params.settings:q} --prepared {params.prepared:q}"
        " --seed {wildcards.seed} --threads {threads} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule expressivity:
    input:
        EXPRESSIVITY_FILES,
