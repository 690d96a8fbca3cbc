# Our curves over the paper's, their numbers, and how far apart they are.

IMAGES = (".svg", ".png", ".pdf")
FIGURES = {
    name: artefact(
        "plot_figure",
        multiext(f"{RESULTS}/{name}", *IMAGES, ".csv"),
        {
            "figure": name,
            **networks(CONFIG.cell_names(name)),
            "reads": registry.entry("figure", name).options["reads"],
        },
        cells_of(name),
        entries=[registry.entry("figure", name).root],
    )
    for name in registry.made_by("plot_figure")
    if CONFIG.cell_names(name)
}
# Those of which the paper has curves, with their units.
COMPARED = {name: unit for name in FIGURES if (unit := registry.entry("figure", name).options.get("unit"))}
DIFFERENCES = artefact(
    "compare_curves",
    [f"{RESULTS}/curve_differences.csv"],
    {"figures": COMPARED},
    needs=[FIGURES[name] for name in COMPARED],
)
PAIRED = paired_cells()
FINDING = artefact(
    "plot_finding",
    multiext(f"{RESULTS}/finding", *IMAGES, ".csv", ".txt"),
    networks(PAIRED),
    [PLAN.cell(cell) for cell in CONFIG.cells("table1", "table2") if cell.name in PAIRED],
)
FIGURE_FILES = show("finding", FINDING) if PAIRED else []
FIGURE_FILES += [file for name, made in FIGURES.items() for file in show(name, made)]
FIGURE_FILES += show("curve_differences", DIFFERENCES) if COMPARED else []
# All others show CIFAR-10, or what takes its place.
IMAGENET_RESULTS = ("table2", "fig2a")
IMAGENET_FILES = [file for file in TABLE_FILES + FIGURE_FILES if Path(file).stem in IMAGENET_RESULTS]


rule plot_finding:
    input:
        lambda wildcards: reads(shown("finding")),
    output:
        images=images("finding"),
        numbers=f"{RESULTS}/finding.csv",
        text=f"{RESULTS}/finding.txt",
    log:
        f"{RESULTS}/logs/plot_finding.log",
    localrule: True
    params:
        caption=caption("finding"),
        networks=network_options(FINDING),
        record=lambda wildcards: record(FINDING),
    message:
        "Plotting the finding"
    shell:
        "exec python -m plot_finding {params.networks} --images {output.images:q} --numbers {output.numbers:q} --text {output.text:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule plot_figure:
    input:
        lambda wildcards: reads(shown(wildcards.figure)),
    output:
        images=images("{figure}"),
        numbers=f"{RESULTS}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/plot_{{figure}}.log",
    wildcard_constraints:
        figure=named("plot_figure"),
    localrule: True
    params:
        caption=caption(),
        networks=lambda wildcards: network_options(shown(wildcards.figure)),
        record=lambda wildcards: record(shown(wildcards.figure)),
    message:
        "Plotting {wildcards.figure}"
    shell:
        "exec python -m plot_figure --figure {wildcards.figure} {params.networks} --images {output.images:q}"
        " --numbers {output.numbers:q} --record {params.record:q} > {log:q} 2>&1"


rule plot_theory:
    input:
        lambda wildcards: reads(shown(wildcards.figure)),
    output:
        images=images("{figure}"),
        numbers=f"{RESULTS}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/plot_{{figure}}.log",
    wildcard_constraints:
        figure=named("plot_theory"),
    localrule: True
    params:
        caption=caption(),
        records=lambda wildcards: files_of(shown(wildcards.figure), ".json"),
        tables=lambda wildcards: files_of(shown(wildcards.figure), ".csv"),
        models=lambda wildcards: json.dumps(shown(wildcards.figure).identity.settings.get("models", [])),
        record=lambda wildcards: record(shown(wildcards.figure)),
    message:
        "Plotting {wildcards.figure}"
    shell:
        "exec python -m plot_theory --figure {wildcards.figure} --records {params.records:q}"
        " --tables {params.tables:q} --models {params.models:q} --images {output.images:q}"
        " --numbers {output.numbers:q} --record {params.record:q} > {log:q} 2>&1"


rule compare_curves:
    input:
        lambda wildcards: reads(table("curve_differences")),
    output:
        marked(f"{RESULTS}/curve_differences.csv", "curve_differences"),
    log:
        f"{RESULTS}/logs/compare_curves.log",
    localrule: True
    params:
        caption=caption("curve_differences"),
        numbers=options(**{name: f"{RESULTS}/{name}.csv" for name in COMPARED}),
        record=lambda wildcards: record(DIFFERENCES),
    message:
        "Comparing our curves with the paper's"
    shell:
        "exec python -m compare_curves {params.numbers}"
        " --output {output:q} --record {params.record:q} > {log:q} 2>&1"
