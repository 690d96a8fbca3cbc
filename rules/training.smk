# One network per cell, or per variant of a cell.


rule train_cell:
    input:
        unpack(cell_inputs),
    output:
        curve=f"{RESULTS}/{TRAINED}/curve.csv",
        memorisation=f"{RESULTS}/{TRAINED}/memorisation.csv",
        summary=f"{RESULTS}/{TRAINED}/summary.json",
        weights=f"{RESULTS}/{TRAINED}/weights.safetensors",
        predictions=f"{RESULTS}/{TRAINED}/predictions.npz",
    log:
        f"{RESULTS}/logs/{TRAINED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{TRAINED}.tsv"
    threads: CONFIG.hardware.threads
    # As resources, so that a change of them makes no cell stale.
    resources:
        device=CONFIG.hardware.device,
        cells_per_gpu=CONFIG.hardware.cells_per_gpu,
        checkpoint_seconds=CONFIG.hardware.checkpoint_seconds,
        gpu=int(expects_gpu(CONFIG.hardware.device)),
        cache=f"--cache {quote(CONFIG.cache_dir)}" if CONFIG.cache_dir else "",
        # For profiles/slurm, which shares out cells to jobs.
        bundle_cost=training_cost,
    params:
        prepared=lambda wildcards, input: os.path.dirname(input.prepared[0]),
        overlay=lambda wildcards, input: os.path.dirname(input.overlay[0]),
        folder=subpath(output.summary, parent=True),
        settings=cell_settings,
        # Not declared as output: it has to outlive a job that fails.
        checkpoint=f"{RESULTS}/checkpoints/{{branch}}{CELL}.safetensors",
        # For Snakemake alone: train_cell looks itself at the code that it runs.
        code=lambda wildcards: cell_fingerprint(wildcards.model, wildcards.corruption),
    message:
        "Training {wildcards.branch}{wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
    shell:
        "exec python -m train_cell"
        " --cell {wildcards.dataset}/{wildcards.corruption}/{wildcards.model}/{wildcards.regularisers}/seed{wildcards.seed}"
        " --settings {params.settings:q} --prepared {params.prepared:q} --overlay {params.overlay:q} --output {params.folder:q}"
        " --checkpoint {params.checkpoint:q} --checkpoint-seconds {resources.checkpoint_seconds} {resources.cache}"
        " --device {resources.device} --cells-per-gpu {resources.cells_per_gpu} --threads {threads} > {log:q} 2>&1"
