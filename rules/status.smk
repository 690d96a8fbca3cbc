# What is done and what is left, on the terminal.


rule status:
    log:
        # Not among the results, which can be another user's.
        ".snakemake/log/status.log",
    localrule: True
    params:
        config=packed(CONFIG.model_dump(mode="json")),
    message:
        "Reading the state of the cells in {RESULTS}"
    shell:
        "exec python -m report_status --config {params.config:q} 2> {log:q}"
