# Tables beside the paper's values, for programs (CSV) and for readers.

import json

from rethinking.models import MODELS

TABLES = [name for name in ("table1", "table4") if getattr(CONFIG, name).cells]
MANIFESTS = available(
    f"{DATA_DIR}/prepared/{dataset}/manifest.json"
    for dataset in dict.fromkeys(cell.dataset for cell in CONFIG.cells(*CONFIG.results))
)
# Built from finished cells alone, there may be no data set to count the images of.
if MANIFESTS:
    TABLES.append("sizes")
TABLE_FILES = [f"{RESULTS}/{name}.{ending}" for name in TABLES for ending in ("csv", "md", "tex")]


localrules:
    aggregate_table,
    count_sizes,
    compare_ablations,
    render_table,


rule aggregate_table:
    input:
        lambda wildcards: cell_files(wildcards.table, "summary.json"),
    output:
        f"{RESULTS}/{{table}}.csv",
    log:
        f"{RESULTS}/logs/aggregate_{{table}}.log",
    wildcard_constraints:
        table="table1|table4",
    params:
        cells=lambda wildcards: result_cells(wildcards.table),
        code=fingerprint("rethinking.analysis.aggregation", "rethinking.paper"),
    message:
        "Aggregating {wildcards.table}"
    shell:
        "exec python -m aggregate_table --table {wildcards.table} --cells {params.cells:q}"
        " --summaries {input:q} --output {output:q} > {log:q} 2>&1"


rule count_sizes:
    input:
        MANIFESTS,
    output:
        f"{RESULTS}/sizes.csv",
    log:
        f"{RESULTS}/logs/count_sizes.log",
    params:
        networks=lambda wildcards: json.dumps(networks()),
        code=fingerprint(
            "rethinking.tables.sizes",
            "rethinking.paper",
            *(f"rethinking.models.{module}" for module, _ in MODELS.values()),
        ),
    message:
        "Counting parameters and training images"
    shell:
        "exec python -m count_sizes --networks {params.networks:q}"
        " --manifests {input:q} --output {output:q} > {log:q} 2>&1"


rule compare_ablations:
    input:
        defaults=ablated_summaries,
        variants=available(
            f"{RESULTS}/ablations/{name}/cells/{cell}/summary.json" for name, cell in CONFIG.variants()
        ),
    output:
        f"{RESULTS}/ablations.csv",
    log:
        f"{RESULTS}/logs/compare_ablations.log",
    params:
        ablations=json.dumps(
            [ablation.model_dump(include={"name", "question", "cells"}) for ablation in CONFIG.ablations]
        ),
        code=fingerprint("rethinking.analysis.ablations", "rethinking.paper"),
    message:
        "Comparing ablations"
    shell:
        "exec python -m compare_ablations --ablations {params.ablations:q}"
        " --defaults {input.defaults:q} --variants {input.variants:q} --output {output:q} > {log:q} 2>&1"


rule render_table:
    input:
        f"{RESULTS}/{{table}}.csv",
    output:
        markdown=f"{RESULTS}/{{table}}.md",
        latex=f"{RESULTS}/{{table}}.tex",
    log:
        f"{RESULTS}/logs/render_{{table}}.log",
    wildcard_constraints:
        table="table1|table4|sizes|rademacher|stability|complexity|ablations",
    params:
        code=fingerprint("rethinking.tables.presentation"),
    message:
        "Rendering {wildcards.table}"
    shell:
        "exec python -m render_table --table {wildcards.table} --input {input:q}"
        " --markdown {output.markdown:q} --latex {output.latex:q} > {log:q} 2>&1"
