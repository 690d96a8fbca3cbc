# Beyond the paper: measures of complexity of the trained networks, compared with their generalisation gap.

COMPLEXITIES = MEASURES_AND_FITS["complexity"]
COMPLEXITY = artefact(
    "compare_complexity",
    [f"{RESULTS}/complexity.csv", *multiext(f"{RESULTS}/complexity_measures", *IMAGES, ".csv")],
    networks(CONFIG.cell_names("complexity")),
    [*cells_of("complexity"), *COMPLEXITIES],
)
COMPLEXITY_FILES = []
if CONFIG.complexity.cells:
    COMPLEXITY_FILES = [*show("complexity", COMPLEXITY), *show("complexity_measures", COMPLEXITY)]


rule measure_complexity:
    input:
        lambda wildcards: reads(complexity(wildcards)),
    output:
        f"{RESULTS}/cells/{CELL}/complexity.json",
    log:
        f"{RESULTS}/logs/complexity/cells/{CELL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/complexity/cells/{CELL}.tsv"
    threads: CONFIG.hardware.threads
    resources:
        device=CONFIG.hardware.device,
        cells_per_gpu=CONFIG.hardware.cells_per_gpu,
        gpu=int(expects_gpu(CONFIG.hardware.device)),
        # For profiles/slurm: a job of its own for each network would mostly wait.
        bundle_cost=1,
    params:
        folder=subpath(output[0], parent=True),
        data=lambda wildcards: cell_options(complexity(wildcards).needs[0]),
        number=CONFIG.complexity.images,
        draws=CONFIG.complexity.draws,
        record=lambda wildcards: record(complexity(wildcards)),
    message:
        f"Measuring the complexity of {CELL_NAMED}"
    shell:
        "exec python -m measure_complexity --folder {params.folder:q} {params.data}"
        " --count {params.number} --draws {params.draws} --device {resources.device}"
        " --cells-per-gpu {resources.cells_per_gpu} --threads {threads} --output {output:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule compare_complexity:
    input:
        lambda wildcards: reads(table("complexity")),
    output:
        ranks=marked(f"{RESULTS}/complexity.csv", "complexity"),
        networks=f"{RESULTS}/complexity_measures.csv",
        images=images("complexity_measures"),
    log:
        f"{RESULTS}/logs/compare_complexity.log",
    localrule: True
    params:
        caption=caption("complexity_measures"),
        networks=network_options(COMPLEXITY),
        record=lambda wildcards: record(COMPLEXITY),
    message:
        "Comparing measures of complexity with the generalisation gap"
    shell:
        "exec python -m compare_complexity {params.networks} --ranks {output.ranks:q} --networks {output.networks:q} --images {output.images:q}"
        " --record {params.record:q} > {log:q} 2>&1"
