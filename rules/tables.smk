# Means over seeds beside the paper's values, for programs (CSV) and for readers.


localrules:
    aggregate_table1,
    render_table,


rule aggregate_table1:
    input:
        cell_files("table1", "summary.json"),
    output:
        f"{RESULTS}/table1.csv",
    log:
        f"{RESULTS}/logs/aggregate_table1.log",
    params:
        cells=CONFIG.table1.cells,
        code=fingerprint("rethinking.tables", "rethinking.paper"),
    message:
        "Aggregating table 1"
    shell:
        "exec python -m aggregate_table --table table1 --cells {params.cells:q}"
        " --summaries {input:q} --output {output:q} > {log:q} 2>&1"


rule render_table:
    input:
        f"{RESULTS}/{{table}}.csv",
    output:
        markdown=f"{RESULTS}/{{table}}.md",
        latex=f"{RESULTS}/{{table}}.tex",
    log:
        f"{RESULTS}/logs/render_{{table}}.log",
    wildcard_constraints:
        table=r"table\d",
    params:
        code=fingerprint("rethinking.rendering"),
    message:
        "Rendering {wildcards.table}"
    shell:
        "exec python -m render_table --input {input:q}"
        " --markdown {output.markdown:q} --latex {output.latex:q} > {log:q} 2>&1"
