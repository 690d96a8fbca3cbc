# Section 5: exact fits of linear models (table 3), their norms, and where SGD converges.

LINEAR = CONFIG.linear_models
LINEAR_MODEL = {model.name: model for model in LINEAR.models}
MODEL_FOLDER = f"{RESULTS}/linear_models/{{model}}"
FITS, COMPARISONS, DESCENTS = (MEASURES_AND_FITS[name] for name in ("fit", "comparison", "descent"))
# Fits of random networks on one data set, to see the error fall with the number of filters.
FILTERED = [model for model in LINEAR.models if model.filters]
FILTERED = [model for model in FILTERED if model.dataset == FILTERED[0].dataset]
FILTER_FITS = [PLAN.fit(model.name, seed) for model in FILTERED for seed in CONFIG.linear_model_seeds(model.name)]
MODELS_SHOWN = [
    model.model_dump(include={"name", "dataset", "preprocessing", "kernel", "filters"}) for model in LINEAR.models
]
LINEAR_MODEL_FILES = []
if finished(FITS):
    LINEAR_MODEL_FILES += show_theory("table3", FITS) + show_theory("norms", [*FITS, *COMPARISONS])
    LINEAR_MODEL_FILES += show_theory("kernel_sensitivity", MEASURES_AND_FITS["validation"])
if len({model.filters for model in FILTERED}) > 1:
    LINEAR_MODEL_FILES += show_theory("filters", FILTER_FITS)
LINEAR_MODEL_FILES += show_theory("descent", DESCENTS)

# Resources are not part of what a result is made from. A fit has a GPU to itself.
GPU_ALONE = {
    "device": CONFIG.hardware.device,
    "cells_per_gpu": CONFIG.hardware.cells_per_gpu,
    "gpu": CONFIG.hardware.cells_per_gpu * expects_gpu(CONFIG.hardware.device),
}


rule validate_linear_model:
    input:
        lambda wildcards: reads(validation(wildcards)),
    output:
        f"{MODEL_FOLDER}/validation.csv",
    log:
        f"{RESULTS}/logs/linear_models/{{model}}/validation.log",
    benchmark:
        f"{RESULTS}/benchmarks/linear_models/{{model}}/validation.tsv"
    wildcard_constraints:
        model="|".join(LINEAR_MODEL) or "none",
    threads: CONFIG.hardware.threads
    resources:
        **GPU_ALONE,
    params:
        data=lambda wildcards: fit_data(validation(wildcards)),
        model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
        settings=LINEAR.validation.model_dump_json(),
        seed=CONFIG.seeds[0],
        record=lambda wildcards: record(validation(wildcards)),
    message:
        "Trying settings of {wildcards.model} on a part of the training set"
    shell:
        "exec python -m validate_linear_model --model {params.model:q} --validation {params.settings:q}"
        " {params.data} --seed {params.seed}"
        " --device {resources.device} --cells-per-gpu {resources.cells_per_gpu} --threads {threads}"
        " --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule fit_linear_model:
    input:
        lambda wildcards: reads(fit(wildcards)),
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
    resources:
        **GPU_ALONE,
    params:
        data=lambda wildcards: fit_data(fit(wildcards)),
        folder=subpath(output.summary, parent=True),
        model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
        solver=LINEAR.solver.model_dump_json(),
        # Not an output, because it must outlive a job that fails.
        scratch=f"{RESULTS}/scratch/linear_models/{{model}}/seed{{seed}}",
        record=lambda wildcards: record(fit(wildcards)),
    message:
        "Fitting {wildcards.model} exactly, seed {wildcards.seed}"
    shell:
        "exec python -m fit_linear_model --model {params.model:q} --solver {params.solver:q}"
        " {params.data} --seed {wildcards.seed} --scratch {params.scratch:q}"
        " --device {resources.device} --cells-per-gpu {resources.cells_per_gpu} --threads {threads}"
        " --output {params.folder:q} --record {params.record:q} > {log:q} 2>&1"


rule compare_fits:
    input:
        lambda wildcards: reads(comparison(wildcards)),
    output:
        f"{MODEL_FOLDER}/counterexamples_seed{{seed}}.json",
    log:
        f"{RESULTS}/logs/linear_models/{{model}}/counterexamples_seed{{seed}}.log",
    wildcard_constraints:
        model="|".join(LINEAR.counterexamples.models) or "none",
    threads: CONFIG.hardware.threads
    params:
        data=lambda wildcards: fit_data(comparison(wildcards)),
        model=lambda wildcards: LINEAR_MODEL[wildcards.model].model_dump_json(),
        settings=LINEAR.counterexamples.model_dump_json(),
        record=lambda wildcards: record(comparison(wildcards)),
    message:
        "Comparing exact fits of {wildcards.model}, seed {wildcards.seed}"
    shell:
        "exec python -m compare_fits --model {params.model:q} --settings {params.settings:q}"
        " {params.data} --seed {wildcards.seed} --threads {threads}"
        " --output {output:q} --record {params.record:q} > {log:q} 2>&1"


rule run_descent:
    input:
        lambda wildcards: reads(descent(wildcards)),
    output:
        summary=f"{RESULTS}/descent/seed{{seed}}/summary.json",
        curve=f"{RESULTS}/descent/seed{{seed}}/curve.csv",
    log:
        f"{RESULTS}/logs/descent/seed{{seed}}.log",
    threads: CONFIG.hardware.threads
    params:
        prepared=lambda wildcards: descent(wildcards).data[0].folder,
        settings=LINEAR.descent.model_dump_json(),
        record=lambda wildcards: record(descent(wildcards)),
    message:
        "Following SGD on a linear model, seed {wildcards.seed}"
    shell:
        "exec python -m run_descent --settings {params.settings:q} --prepared {params.prepared:q}"
        " --seed {wildcards.seed} --threads {threads} --curve {output.curve:q} --output {output.summary:q}"
        " --record {params.record:q} > {log:q} 2>&1"


rule linear_models:
    input:
        LINEAR_MODEL_FILES,
