# Section 2.2 measured: what the networks can fit and how far one example moves them, compared with their gap.

from rethinking.cells import sample_size

STABILITIES = MEASURES_AND_FITS["stability"]
CAPACITY = artefact(
    "measure_capacity",
    [f"{RESULTS}/rademacher.csv", f"{RESULTS}/stability.csv", *multiext(f"{RESULTS}/capacity", *IMAGES)],
    networks(CONFIG.cell_names("capacity")),
    [*cells_of("capacity"), *STABILITIES],
    # The depth of a network is counted in its own code.
    entries=model_entries("capacity"),
)
CAPACITY_FILES = []
if any(sample_size(cell.corruption) for cell in CONFIG.cells("capacity")):
    CAPACITY_FILES += show("rademacher", CAPACITY)
if STABILITIES:
    CAPACITY_FILES += show("stability", CAPACITY)
if CAPACITY_FILES:
    CAPACITY_FILES += show("capacity", CAPACITY)


rule draw_sample:
    input:
        lambda wildcards: reads(sampled(wildcards)),
    output:
        touch(SAMPLE),
    log:
        f"{RESULTS}/logs/samples/{{dataset}}/n{{n}}/{{key}}.log",
    wildcard_constraints:
        n="[1-9][0-9]*",
    localrule: True
    params:
        prepared=lambda wildcards: sampled(wildcards).data[0].folder,
        folder=lambda wildcards: sampled(wildcards).folder,
        record=lambda wildcards: record(sampled(wildcards)),
    message:
        "Drawing {wildcards.n} training images of {wildcards.dataset}"
    shell:
        "exec python -m draw_sample --prepared {params.prepared:q} --images {wildcards.n}"
        " --output {params.folder:q} --record {params.record:q} > {log:q} 2>&1"


rule measure_stability:
    input:
        lambda wildcards: reads(stability(wildcards)),
    output:
        f"{RESULTS}/cells/{CELL}/stability.json",
    log:
        f"{RESULTS}/logs/stability/cells/{CELL}.log",
    wildcard_constraints:
        corruption=REPLACED,
    resources:
        # For profiles/slurm: a job of its own for each network would mostly wait.
        bundle_cost=1,
    params:
        folders=lambda wildcards: options(
            before=stability(wildcards).needs[0].folder, after=stability(wildcards).needs[1].folder
        ),
        # Images and labels of the network without the replacement.
        data=lambda wildcards: cell_options(stability(wildcards).needs[0]),
        record=lambda wildcards: record(stability(wildcards)),
    message:
        f"Measuring the stability of {CELL_NAMED}"
    shell:
        "exec python -m measure_stability {params.folders} {params.data} --output {output:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule measure_capacity:
    input:
        lambda wildcards: reads(shown("capacity")),
    output:
        rademacher=marked(f"{RESULTS}/rademacher.csv", "rademacher"),
        stability=marked(f"{RESULTS}/stability.csv", "stability"),
        images=images("capacity"),
    log:
        f"{RESULTS}/logs/measure_capacity.log",
    localrule: True
    params:
        caption=caption("capacity"),
        networks=network_options(CAPACITY),
        record=lambda wildcards: record(CAPACITY),
    message:
        "Measuring capacity: Rademacher complexity and stability"
    shell:
        "exec python -m measure_capacity {params.networks} --rademacher {output.rademacher:q} --stability {output.stability:q}"
        " --images {output.images:q} --record {params.record:q} > {log:q} 2>&1"
