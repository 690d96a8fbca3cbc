# Section 5: exact fits of linear models (table 3), their norms, and where SGD ends.

import json

from rethinking.run.scripts import options

LINEAR = CONFIG.linear_models
LINEAR_MODEL = {model.name: model for model in LINEAR.models}
MODEL_FOLDER = f"{RESULTS}/linear_models/{{model}}"
FITS = [
    f"{RESULTS}/linear_models/{name}/seed{seed}/summary.json"
    for name in LINEAR_MODEL
    for seed in CONFIG.linear_model_seeds(name)
]
COUNTEREXAMPLES = [
    f"{RESULTS}/linear_models/{name}/counterexamples_seed{seed}.json"
    for name in LINEAR.counterexamples.models
    for seed in CONFIG.seeds
]
# Fits of random networks on one data set, to see the error fall with the number of filters.
FILTERED = [model for model in LINEAR.models if model.filters]
FILTERED = [model for model in FILTERED if model.dataset == FILTERED[0].dataset]
FILTER_FITS = [
    f"{RESULTS}/linear_models/{model.name}/seed{seed}/summary.json"
    for model in FILTERED
    for seed in CONFIG.linear_model_seeds(model.name)
    if len({each.filters for each in FILTERED}) > 1
]
DESCENTS = [f"{RESULTS}/descent/seed{seed}" for seed in CONFIG.seeds if LINEAR.descent.dataset]
LINEAR_MODEL_FILES = []
if available(FITS):
    LINEAR_MODEL_FILES += [
        f"{RESULTS}/{name}.{ending}" for name in ("table3", "norms") for ending in ("csv", "md", "tex")
    ]
    LINEAR_MODEL_FILES += multiext(f"{RESULTS}/kernel_sensitivity", ".svg", ".png", ".pdf", ".csv")
if available(FILTER_FITS):
    LINEAR_MODEL_FILES += multiext(f"{RESULTS}/filters", ".svg", ".png", ".pdf", ".csv")
if available(f"{folder}/summary.json" for folder in DESCENTS):
    LINEAR_MODEL_FILES += multiext(f"{RESULTS}/descent", ".svg", ".png", ".pdf", ".csv")


localrules:
    tabulate_linear_models,
    plot_sensitivity,
    plot_filters,
    plot_descent,


if not CONFIG.finished_only:

    rule validate_linear_model:
        input:
            linear_model_data,
        output:
            f"{MODEL_FOLDER}/validation.csv",
        log:
            f"{RESULTS}/logs/linear_models/{{model}}/validation.log",
        benchmark:
            f"{RESULTS}/benchmarks/linear_models/{{model}}/validation.tsv"
        wildcard_constraints:
            model="|".join(LINEAR_MODEL) or "none",
        threads: CONFIG.hardware.threads
        params:
            prepared=prepared_folder,
            model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
            settings=LINEAR.validation.model_dump_json(),
            seed=CONFIG.seeds[0],
            code=fingerprint("rethinking.theory.linear_models", "rethinking.theory.features"),
        message:
            "Trying settings of {wildcards.model} on a part of the training set"
        shell:
            "exec python -m validate_linear_model --model {params.model:q} --validation {params.settings:q}"
            " --prepared {params.prepared:q} --seed {params.seed} --threads {threads} --output {output:q} > {log:q} 2>&1"

    rule fit_linear_model:
        input:
            data=linear_model_data,
            validation=validation_file,
        output:
            summary=f"{MODEL_FOLDER}/seed{{seed}}/summary.json",
            outputs=f"{MODEL_FOLDER}/seed{{seed}}/outputs.npz",
        log:
            f"{RESULTS}/logs/linear_models/{{model}}/seed{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/linear_models/{{model}}/seed{{seed}}.tsv"
        wildcard_constraints:
            model="|".join(LINEAR_MODEL) or "none",
        threads: CONFIG.hardware.threads
        # As resources, so that a change of them makes no fit stale. A fit has a GPU for itself.
        resources:
            device=CONFIG.hardware.device,
            cells_per_gpu=CONFIG.hardware.cells_per_gpu,
            gpu=CONFIG.hardware.cells_per_gpu * expects_gpu(CONFIG.hardware.device),
        params:
            prepared=prepared_folder,
            folder=subpath(output.summary, parent=True),
            model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
            solver=LINEAR.solver.model_dump_json(),
            validation=lambda wildcards, input: options(validation=input.get("validation") or None),
            # Not declared as output: it has to outlive a job that fails.
            scratch=f"{RESULTS}/scratch/linear_models/{{model}}/seed{{seed}}",
            code=fingerprint("rethinking.theory.linear_models", "rethinking.theory.features"),
        message:
            "Fitting {wildcards.model} exactly, seed {wildcards.seed}"
        shell:
            "exec python -m fit_linear_model --model {params.model:q} --solver {params.solver:q}"
            " --prepared {params.prepared:q} {params.validation} --seed {wildcards.seed} --scratch {params.scratch:q}"
            " --device {resources.device} --cells-per-gpu {resources.cells_per_gpu} --threads {threads}"
            " --output {params.folder:q} > {log:q} 2>&1"

    rule compare_fits:
        input:
            data=linear_model_data,
            validation=validation_file,
        output:
            f"{MODEL_FOLDER}/counterexamples_seed{{seed}}.json",
        log:
            f"{RESULTS}/logs/linear_models/{{model}}/counterexamples_seed{{seed}}.log",
        wildcard_constraints:
            model="|".join(LINEAR.counterexamples.models) or "none",
        threads: CONFIG.hardware.threads
        params:
            prepared=prepared_folder,
            model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
            settings=LINEAR.counterexamples.model_dump_json(),
            validation=lambda wildcards, input: options(validation=input.get("validation") or None),
            code=fingerprint("rethinking.theory.counterexamples", "rethinking.theory.features"),
        message:
            "Comparing exact fits of {wildcards.model}, seed {wildcards.seed}"
        shell:
            "exec python -m compare_fits --model {params.model:q} --settings {params.settings:q}"
            " --prepared {params.prepared:q} {params.validation} --seed {wildcards.seed} --threads {threads}"
            " --output {output:q} > {log:q} 2>&1"

    if DESCENTS:

        rule run_descent:
            input:
                manifest=f"{DATA_DIR}/prepared/{LINEAR.descent.dataset}/manifest.json",
                arrays=multiext(f"{DATA_DIR}/prepared/{LINEAR.descent.dataset}/", *ARRAYS),
            output:
                curve=f"{RESULTS}/descent/seed{{seed}}/curve.csv",
                summary=f"{RESULTS}/descent/seed{{seed}}/summary.json",
            log:
                f"{RESULTS}/logs/descent/seed{{seed}}.log",
            threads: CONFIG.hardware.threads
            params:
                prepared=subpath(input.manifest, parent=True),
                settings=LINEAR.descent.model_dump_json(),
                code=fingerprint("rethinking.theory.descent", "rethinking.training.preprocessing"),
            message:
                "Following SGD on a linear model, seed {wildcards.seed}"
            shell:
                "exec python -m run_descent --settings {params.settings:q} --prepared {params.prepared:q}"
                " --seed {wildcards.seed} --threads {threads} --curve {output.curve:q} --output {output.summary:q}"
                " > {log:q} 2>&1"


rule tabulate_linear_models:
    input:
        fits=available(FITS),
        counterexamples=lambda wildcards: available(COUNTEREXAMPLES) if wildcards.table == "norms" else [],
    output:
        f"{RESULTS}/{{table}}.csv",
    log:
        f"{RESULTS}/logs/tabulate_{{table}}.log",
    wildcard_constraints:
        table="table3|norms",
    params:
        code=fingerprint("rethinking.analysis.theory_results", "rethinking.paper"),
    message:
        "Tabulating {wildcards.table}"
    shell:
        "exec python -m tabulate_theory --table {wildcards.table} --records {input:q} --output {output:q} > {log:q} 2>&1"


rule plot_sensitivity:
    input:
        available(f"{RESULTS}/linear_models/{name}/validation.csv" for name in LINEAR_MODEL),
    output:
        images=multiext(f"{RESULTS}/kernel_sensitivity", ".svg", ".png", ".pdf"),
        numbers=f"{RESULTS}/kernel_sensitivity.csv",
    log:
        f"{RESULTS}/logs/plot_sensitivity.log",
    params:
        models=json.dumps(
            [
                model.model_dump(include={"name", "dataset", "preprocessing", "kernel", "filters"})
                for model in LINEAR.models
            ]
        ),
        code=fingerprint("rethinking.figures.theory"),
    message:
        "Plotting errors over gamma and penalty"
    shell:
        "exec python -m plot_theory --figure sensitivity --tables {input:q} --models {params.models:q}"
        " --images {output.images:q} --numbers {output.numbers:q} > {log:q} 2>&1"


rule plot_filters:
    input:
        available(FILTER_FITS),
    output:
        images=multiext(f"{RESULTS}/filters", ".svg", ".png", ".pdf"),
        numbers=f"{RESULTS}/filters.csv",
    log:
        f"{RESULTS}/logs/plot_filters.log",
    params:
        code=fingerprint("rethinking.figures.theory"),
    message:
        "Plotting errors over the number of random filters"
    shell:
        "exec python -m plot_theory --figure filters --records {input:q} --images {output.images:q}"
        " --numbers {output.numbers:q} > {log:q} 2>&1"


rule plot_descent:
    input:
        curves=available(f"{folder}/curve.csv" for folder in DESCENTS),
        records=available(f"{folder}/summary.json" for folder in DESCENTS),
    output:
        images=multiext(f"{RESULTS}/descent", ".svg", ".png", ".pdf"),
        numbers=f"{RESULTS}/descent.csv",
    log:
        f"{RESULTS}/logs/plot_descent.log",
    params:
        code=fingerprint("rethinking.figures.theory"),
    message:
        "Plotting where SGD ends"
    shell:
        "exec python -m plot_theory --figure descent --tables {input.curves:q} --records {input.records:q}"
        " --images {output.images:q} --numbers {output.numbers:q} > {log:q} 2>&1"


rule linear_models:
    input:
        LINEAR_MODEL_FILES,
