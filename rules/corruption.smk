# Corruptions, drawn once per seed and stored as overlays on the prepared data set.


rule corrupt_labels:
    input:
        manifest=f"{PREPARED}/manifest.json",
        labels=multiext(f"{PREPARED}/", "train_labels.npy", "test_labels.npy"),
    output:
        labels=multiext(f"{CORRUPTED}/", "train_labels.npy", "test_labels.npy"),
        manifest=f"{CORRUPTED}/manifest.json",
    log:
        f"{DATA_DIR}/logs/corrupted/{{dataset}}/{{corruption}}/seed{{seed}}.log",
    wildcard_constraints:
        corruption="true_labels|random_labels|labels_p[0-9.]+",
    localrule: True
    params:
        prepared=subpath(input.manifest, parent=True),
        overlay=subpath(output.manifest, parent=True),
        code=lambda wildcards: fingerprint(f"rethinking.corruption.{corruption_kind(wildcards.corruption)}"),
    message:
        "Corrupting labels of {wildcards.dataset}: {wildcards.corruption}, seed {wildcards.seed}"
    shell:
        "exec python -m corrupt_dataset --prepared {params.prepared:q} --dataset {wildcards.dataset}"
        " --corruption {wildcards.corruption} --seed {wildcards.seed} --output {params.overlay:q} > {log:q} 2>&1"


# Not a local rule, which is not inherited: pixels take minutes and gigabytes on large data sets.
use rule corrupt_labels as corrupt_pixels with:
    input:
        manifest=f"{PREPARED}/manifest.json",
        images=multiext(f"{PREPARED}/", "train_images.npy", "test_images.npy"),
    output:
        images=multiext(f"{CORRUPTED}/", "train_images.npy", "test_images.npy"),
        manifest=f"{CORRUPTED}/manifest.json",
    wildcard_constraints:
        corruption="|".join(PIXEL_CORRUPTIONS),
    message:
        "Corrupting pixels of {wildcards.dataset}: {wildcards.corruption}, seed {wildcards.seed}"
