# One network per cell.


rule train_cell:
    input:
        unpack(cell_inputs),
    output:
        curve=f"{CELL}/curve.csv",
        summary=f"{CELL}/summary.json",
        weights=f"{CELL}/weights.safetensors",
        predictions=f"{CELL}/predictions.npz",
    log:
        f"{RESULTS}/logs/cells/{{dataset}}/{{corruption}}/{{model}}/{{regularisers}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cells/{{dataset}}/{{corruption}}/{{model}}/{{regularisers}}/seed{{seed}}.tsv"
    threads: CONFIG.hardware.threads
    # As a resource, so that moving to another device makes no cell stale.
    resources:
        device=CONFIG.hardware.device,
        gpu=int(expects_gpu(CONFIG.hardware.device)),
    params:
        prepared=lambda wildcards, input: os.path.dirname(input.prepared[0]),
        overlay=lambda wildcards, input: os.path.dirname(input.overlay[0]),
        folder=subpath(output.summary, parent=True),
        settings=cell_settings,
        code=lambda wildcards: cell_fingerprint(wildcards.model),
    message:
        "Training {wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
    shell:
        "exec python -m train_cell"
        " --cell {wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        " --settings {params.settings:q} --fingerprint {params.code}"
        " --prepared {params.prepared:q} --overlay {params.overlay:q} --output {params.folder:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"
