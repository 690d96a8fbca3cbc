# Tables with the paper's values, for programs (CSV) and for readers.

TABLES = {
    name: artefact(
        "aggregate_table",
        [f"{RESULTS}/{name}.csv"],
        {"table": name, **networks(CONFIG.cell_names(name))},
        cells_of(name),
    )
    for name in registry.made_by("aggregate_table")
    if CONFIG.cell_names(name)
}
SIZED = [] if CONFIG.finished_only else DATASETS
# More networks on ImageNet are listed among the paper's sizes than it trains.
LISTS_IMAGENET = any(name.startswith("imagenet/") for name in CONFIG.table2.cells)
if SIZED:
    TABLES["sizes"] = PLAN.make(
        "count_sizes",
        [f"{RESULTS}/sizes.csv"],
        {"networks": architectures(), "imagenet": LISTS_IMAGENET},
        inputs={name: PLAN.prepared(name) for name in SIZED},
        entries=model_entries(*CONFIG.results),
        data=[PLAN.prepared(name) for name in SIZED],
    )
ABLATED_SEEDS = seeds_of(cell.name for cell in CONFIG.ablated_cells())
ABLATED = PLAN.cells(CONFIG.ablated_cells()) + [PLAN.cell(cell, name) for name, cell in CONFIG.variants()]
ABLATIONS = artefact(
    "compare_ablations",
    [f"{RESULTS}/ablations.csv"],
    {
        "ablations": [each.model_dump(include={"name", "question", "cells"}) for each in CONFIG.ablations],
        "seeds": ABLATED_SEEDS,
    },
    ABLATED,
)
TABLE_FILES = [file for name, made in TABLES.items() for file in show(name, made)]
ABLATION_FILES = show("ablations", ABLATIONS)


rule aggregate_table:
    input:
        lambda wildcards: reads(table(wildcards.table)),
    output:
        marked(f"{RESULTS}/{{table}}.csv"),
    log:
        f"{RESULTS}/logs/aggregate_{{table}}.log",
    wildcard_constraints:
        table=named("aggregate_table"),
    localrule: True
    params:
        caption=caption(),
        networks=lambda wildcards: network_options(table(wildcards.table)),
        record=lambda wildcards: record(table(wildcards.table)),
    message:
        "Aggregating {wildcards.table}"
    shell:
        "exec python -m aggregate_table --table {wildcards.table} {params.networks} --output {output:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule count_sizes:
    input:
        lambda wildcards: reads(table("sizes")),
    output:
        marked(f"{RESULTS}/sizes.csv", "sizes"),
    log:
        f"{RESULTS}/logs/count_sizes.log",
    localrule: True
    params:
        caption=caption("sizes"),
        networks=packed(architectures()),
        imagenet="--imagenet" if LISTS_IMAGENET else "",
        manifests=[PLAN.prepared(name).outputs[0] for name in SIZED],
        record=lambda wildcards: record(table("sizes")),
    message:
        "Counting parameters and training images"
    shell:
        "exec python -m count_sizes --networks {params.networks:q} {params.imagenet}"
        " --manifests {params.manifests:q} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule compare_ablations:
    input:
        lambda wildcards: reads(ablations(wildcards)),
    output:
        marked(f"{RESULTS}/ablations.csv", "ablations"),
    log:
        f"{RESULTS}/logs/compare_ablations.log",
    localrule: True
    params:
        caption=caption("ablations"),
        ablations=packed(ABLATIONS.identity.settings["ablations"]),
        results=subpath(output[0], parent=True),
        seeds=ABLATED_SEEDS,
        record=lambda wildcards: record(ABLATIONS),
    message:
        "Comparing ablations"
    shell:
        "exec python -m compare_ablations --ablations {params.ablations:q} --results {params.results:q}"
        " --seeds {params.seeds:q} --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule tabulate_theory:
    input:
        lambda wildcards: reads(table(wildcards.table)),
    output:
        marked(f"{RESULTS}/{{table}}.csv"),
    log:
        f"{RESULTS}/logs/tabulate_{{table}}.log",
    wildcard_constraints:
        table=named("tabulate_theory"),
    localrule: True
    params:
        caption=caption(),
        records=lambda wildcards: files_of(table(wildcards.table), ".json"),
        record=lambda wildcards: record(table(wildcards.table)),
    message:
        "Tabulating {wildcards.table}"
    shell:
        "exec python -m tabulate_theory --table {wildcards.table} --records {params.records:q} --output {output:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule render_table:
    input:
        lambda wildcards: reads(shown(wildcards.table)),
    output:
        markdown=f"{RESULTS}/{{table}}.md",
        latex=f"{RESULTS}/{{table}}.tex",
    log:
        f"{RESULTS}/logs/render_{{table}}.log",
    wildcard_constraints:
        table="|".join(registry.names("table")),
    localrule: True
    params:
        csv=f"{RESULTS}/{{table}}.csv",
        record=lambda wildcards: record(shown(wildcards.table)),
    message:
        "Rendering {wildcards.table}"
    shell:
        "exec python -m render_table --table {wildcards.table} --input {params.csv:q}"
        " --markdown {output.markdown:q} --latex {output.latex:q} --record {params.record:q} > {log:q} 2>&1"
