# One network per cell.


rule train_cell:
    input:
        unpack(cell_inputs),
    output:
        curve=f"{RESULTS}/cells/{CELL}/curve.csv",
        memorisation=f"{RESULTS}/cells/{CELL}/memorisation.csv",
        summary=f"{RESULTS}/cells/{CELL}/summary.json",
        weights=f"{RESULTS}/cells/{CELL}/weights.safetensors",
        predictions=f"{RESULTS}/cells/{CELL}/predictions.npz",
    log:
        f"{RESULTS}/logs/cells/{CELL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cells/{CELL}.tsv"
    threads: CONFIG.hardware.threads
    # As resources, so that a change of them makes no cell stale.
    resources:
        device=CONFIG.hardware.device,
        checkpoint_seconds=CONFIG.hardware.checkpoint_seconds,
        gpu=int(expects_gpu(CONFIG.hardware.device)),
    params:
        prepared=lambda wildcards, input: os.path.dirname(input.prepared[0]),
        overlay=lambda wildcards, input: os.path.dirname(input.overlay[0]),
        folder=subpath(output.summary, parent=True),
        settings=cell_settings,
        # Not declared as output: it has to outlive a job that fails.
        checkpoint=f"{RESULTS}/checkpoints/{CELL}.safetensors",
        code=lambda wildcards: cell_fingerprint(wildcards.model),
    message:
        "Training {wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
    shell:
        "exec python -m train_cell"
        " --cell {wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        " --settings {params.settings:q} --fingerprint {params.code}"
        " --prepared {params.prepared:q} --overlay {params.overlay:q} --output {params.folder:q}"
        " --checkpoint {params.checkpoint:q} --checkpoint-seconds {resources.checkpoint_seconds}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"
