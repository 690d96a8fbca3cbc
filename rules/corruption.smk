# Corruptions, drawn once per seed and stored as overlays on the prepared data set.

REPLACED = corruptions("train_labels", "test_labels", "train_images")


rule corrupt_labels:
    input:
        lambda wildcards: reads(corrupted(wildcards)),
    output:
        touch(CORRUPTED),
    log:
        f"{RESULTS}/logs/corrupted/{{dataset}}/{{corruption}}/seed{{seed}}/{{key}}.log",
    wildcard_constraints:
        # Of those that replace an example, one image is stored beside the labels.
        corruption=f"{corruptions('train_labels', 'test_labels')}|{REPLACED}",
    localrule: True
    params:
        prepared=lambda wildcards: corrupted(wildcards).data[0].folder,
        overlay=lambda wildcards: corrupted(wildcards).folder,
        record=lambda wildcards: record(corrupted(wildcards)),
    message:
        "Corrupting labels of {wildcards.dataset}: {wildcards.corruption}, seed {wildcards.seed}"
    shell:
        "exec python -m corrupt_dataset --prepared {params.prepared:q} --dataset {wildcards.dataset}"
        " --corruption {wildcards.corruption} --seed {wildcards.seed} --output {params.overlay:q}"
        " --record {params.record:q} > {log:q} 2>&1"


# Not a local rule (the directive is not inherited): pixels take minutes and gigabytes on large data sets.
use rule corrupt_labels as corrupt_pixels with:
    wildcard_constraints:
        corruption=corruptions("train_images", "test_images"),
    message:
        "Corrupting pixels of {wildcards.dataset}: {wildcards.corruption}, seed {wildcards.seed}"
