# From published or local files to verified, memory-mappable arrays.

import os

from rethinking.run.scripts import options
from rethinking.data.sources import source_paths


rule download_file:
    output:
        f"{DATA_DIR}/downloads/{{dataset}}/{{file}}",
    log:
        f"{DATA_DIR}/logs/downloads/{{dataset}}/{{file}}.log",
    wildcard_constraints:
        dataset="|".join(CONFIG.datasets),
        file="[^/]+",
    # Compute nodes of a cluster often have no way to the internet.
    localrule: True
    message:
        "Downloading {wildcards.file} ({wildcards.dataset})"
    shell:
        "exec python -m download_dataset --dataset {wildcards.dataset}"
        " --file {wildcards.file} --output {output:q} > {log:q} 2>&1"


rule prepare_dataset:
    input:
        lambda wildcards: source_paths(
            wildcards.dataset,
            CONFIG.datasets[wildcards.dataset].source,
            CONFIG.datasets[wildcards.dataset].path,
            f"{DATA_DIR}/downloads/{wildcards.dataset}",
        ),
    output:
        arrays=multiext(f"{PREPARED}/", *ARRAYS),
        manifest=f"{PREPARED}/manifest.json",
    log:
        f"{DATA_DIR}/logs/prepared/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(CONFIG.datasets),
    params:
        folder=subpath(output.manifest, parent=True),
        # Of several downloads, the folder that they are in.
        path=lambda wildcards, input: options(
            path=CONFIG.datasets[wildcards.dataset].path or (os.path.commonpath(input) if input else None)
        ),
        # Without 'input': Snakemake does not heed changes of params that are derived from it.
        options=lambda wildcards: options(
            **CONFIG.datasets[wildcards.dataset].model_dump(
                include={"source", "provenance", "train_limit", "test_limit"}
            )
        ),
        code=fingerprint("rethinking.data.readers"),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "exec python -m prepare_dataset --dataset {wildcards.dataset} {params.path} {params.options}"
        " --output {params.folder:q} > {log:q} 2>&1"
