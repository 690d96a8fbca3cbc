# Tables, figures, claims and where they come from, in one file to read.

# The networks of ablations take as long as all others, so they have a target of their own.
REPORTED = [name for name in SHOWN if name != "ablations" or (CONFIG.report_ablations and ABLATED)]
REPORTED_NETWORKS = PLAN.cells(ALL_CELLS) + (ABLATED if "ablations" in REPORTED else [])
REPORTED_NETWORKS = list(dict.fromkeys(REPORTED_NETWORKS))
# Their folders among the results, without the seeds.
REPORTED_CELLS = [os.path.relpath(os.path.dirname(made.folder), RESULTS) for made in REPORTED_NETWORKS]
REPORTED_CELLS = list(dict.fromkeys(REPORTED_CELLS))
COLLECTION = artefact(
    "collect_cells",
    [f"{RESULTS}/cells.csv", f"{RESULTS}/curves.csv.gz"],
    networks(REPORTED_CELLS),
    REPORTED_NETWORKS,
)
REPORT = artefact(
    "render_report",
    [f"{RESULTS}/report.html"],
    {
        "artefacts": [[name, entry_of(name).title] for name in REPORTED],
        **networks(REPORTED_CELLS),
        "not_judged": NOT_JUDGED,
    },
    REPORTED_NETWORKS,
    needs=[*(SHOWN[name] for name in REPORTED), CLAIMS, COLLECTION],
)


rule collect_cells:
    input:
        lambda wildcards: reads(COLLECTION),
    output:
        networks=f"{RESULTS}/cells.csv",
        curves=f"{RESULTS}/curves.csv.gz",
    log:
        f"{RESULTS}/logs/collect_cells.log",
    localrule: True
    params:
        networks=network_options(COLLECTION, root=RESULTS),
        record=lambda wildcards: record(COLLECTION),
    message:
        "Collecting all networks in two tables"
    shell:
        "exec python -m collect_cells {params.networks} --networks {output.networks:q} --curves {output.curves:q} --record {params.record:q} > {log:q} 2>&1"


rule render_report:
    input:
        lambda wildcards: reads(REPORT),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/render_report.log",
    localrule: True
    params:
        artefacts=[f"{RESULTS}/{entry_of(name).filename}" for name in REPORTED],
        finding=options(finding=f"{RESULTS}/finding.txt" if "finding" in REPORTED else None),
        claims=CLAIMS.outputs[0],
        not_judged=NOT_JUDGED,
        networks=network_options(REPORT, root=RESULTS),
        asked_for=len(REPORTED_NETWORKS),
        record=lambda wildcards: record(REPORT),
    message:
        "Writing the report"
    shell:
        "exec python -m render_report --artefacts {params.artefacts:q} {params.finding} --claims {params.claims:q}"
        " --not-judged {params.not_judged:q} {params.networks} --asked-for {params.asked_for}"
        " --output {output:q} --record {params.record:q} > {log:q} 2>&1"


# After the last stage, when it is known what tables and figures are built from.
if ALTERED:
    faults = [f"{os.path.dirname(file)}: {', '.join(lines)}" for file, lines in ALTERED.items()]
    logger.warning(
        "finished_only: left out, as their files or records are not those that were made:\n" + "\n".join(faults)
    )
NETWORKS_USED = {each for each in USED if each.script == "train_cell"}
REFUSED = {each for each in USED if is_of_earlier_network(each)}
for kind, used in (("networks", NETWORKS_USED), ("measures and fits", USED - NETWORKS_USED - REFUSED)):
    if stale := [is_current(each) for each in used].count(False):
        logger.warning(
            f"finished_only: {stale} of {len(used)} finished {kind} are stale and used as they are;"
            " 'snakemake status' says why"
        )
if REFUSED:
    logger.warning(
        f"finished_only: {len(REFUSED)} finished measures left out, as they are of an earlier network;"
        " a run without finished_only makes them again"
    )
