# One network per cell, or per variant of a cell.

from rethinking.run.plan import checkpoint_file


rule train_cell:
    input:
        lambda wildcards: reads(trained(wildcards)),
    output:
        curve=f"{RESULTS}/{TRAINED}/curve.csv",
        memorisation=f"{RESULTS}/{TRAINED}/memorisation.csv",
        weights=f"{RESULTS}/{TRAINED}/weights.safetensors",
        predictions=f"{RESULTS}/{TRAINED}/predictions.npz",
        summary=f"{RESULTS}/{TRAINED}/summary.json",
    log:
        f"{RESULTS}/logs/{TRAINED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{TRAINED}.tsv"
    threads: lambda wildcards: CONFIG.hardware.threads * workers_of(wildcards)
    # Resources are not part of what a cell is made from.
    resources:
        device=CONFIG.hardware.device,
        cells_per_gpu=CONFIG.hardware.cells_per_gpu,
        checkpoint_seconds=CONFIG.hardware.checkpoint_seconds,
        feeder=CONFIG.hardware.feeder,
        workers=workers_of,
        nodes=nodes_of,
        threads_each=lambda wildcards, threads: max(1, threads // workers_of(wildcards)),
        gpu=gpu_slots_of,
        cache=lambda wildcards: options(cache=CONFIG.cache_dir),
        # For profiles/slurm, which distributes cells over jobs; one with several workers has a job of its own.
        bundle_cost=training_cost,
    params:
        data=lambda wildcards: cell_options(trained(wildcards)),
        folder=subpath(output.summary, parent=True),
        settings=cell_settings,
        checkpoint=checkpoint_file(RESULTS, "{branch}", CELL),
        record=lambda wildcards: record(trained(wildcards)),
    message:
        f"Training {{wildcards.branch}}{CELL_NAMED}"
    shell:
        f"exec python -m train_cell --cell {CELL_NAMED}"
        " --settings {params.settings:q} {params.data} --output {params.folder:q}"
        " --checkpoint {params.checkpoint:q} --checkpoint-seconds {resources.checkpoint_seconds} {resources.cache}"
        " --device {resources.device} --cells-per-gpu {resources.cells_per_gpu} --feeder {resources.feeder}"
        " --workers {resources.workers} --nodes {resources.nodes} --threads {resources.threads_each}"
        " --record {params.record:q} > {log:q} 2>&1"
