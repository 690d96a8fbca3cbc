# From published or local files to verified, memory-mappable arrays.


rule download_file:
    output:
        touch(DOWNLOAD),
    log:
        f"{RESULTS}/logs/downloads/{{dataset}}/{{file}}.log",
    wildcard_constraints:
        dataset="|".join(CONFIG.datasets),
        file="[^/]+",
    # Compute nodes of a cluster often have no internet.
    localrule: True
    params:
        path=f"{DATA_DIR}/downloads/{{dataset}}/{{file}}",
    message:
        "Downloading {wildcards.file} ({wildcards.dataset})"
    shell:
        "exec python -m download_dataset --dataset {wildcards.dataset}"
        " --file {wildcards.file} --output {params.path:q} > {log:q} 2>&1"


rule prepare_dataset:
    input:
        lambda wildcards: reads(prepared(wildcards)),
    output:
        touch(PREPARED),
    log:
        f"{RESULTS}/logs/prepared/{{dataset}}/{{key}}.log",
    wildcard_constraints:
        dataset="|".join(name for name in CONFIG.datasets if name not in LOCAL),
    params:
        folder=lambda wildcards: prepared(wildcards).folder,
        options=source_options,
        record=lambda wildcards: record(prepared(wildcards)),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "exec python -m prepare_dataset --dataset {wildcards.dataset} {params.options}"
        " --output {params.folder:q} --record {params.record:q} > {log:q} 2>&1"


# Large images, such as ImageNet, which stay where they lie: names and labels, and pixels of small sets.
rule prepare_images:
    input:
        lambda wildcards: reads(prepared(wildcards)),
    output:
        touch(PREPARED),
    log:
        f"{RESULTS}/logs/prepared/{{dataset}}/{{key}}.log",
    wildcard_constraints:
        dataset="|".join(LOCAL) or "-",
    threads: CONFIG.hardware.threads
    params:
        folder=lambda wildcards: prepared(wildcards).folder,
        options=image_options,
        checksums=PLAN.checksums,
        record=lambda wildcards: record(prepared(wildcards)),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "exec python -m prepare_images --dataset {wildcards.dataset} {params.options} --threads {threads}"
        " --checksums {params.checksums:q} --output {params.folder:q} --record {params.record:q} > {log:q} 2>&1"
