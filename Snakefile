# Understanding deep learning requires rethinking generalization (Zhang et al., ICLR 2017):
# download -> verify -> corrupt -> train one network per cell -> aggregate -> tables, figures, claims -> report.

import os
import sys

from snakemake.utils import min_version

min_version("9.27.1")  # the tested one, of requirements.txt: rules/run.smk reaches into its internals

if sys.platform != "linux":
    raise SystemExit(f"snakemake: this workflow needs Linux (on Windows WSL2), not {sys.platform}")

# Its paths, its lock and its view of what is stale are those of a whole run.
if str(workflow.current_basedir.get_path_or_uri(secret_free=True)) != os.path.abspath(workflow.basedir):
    raise SystemExit(
        "snakemake: this workflow cannot be a module of another, or included. Run it by itself (snakemake -s"
        f" {workflow.current_basedir.get_path_or_uri(secret_free=True)}/Snakefile) and take its results as input."
    )


CONFIG_FILE = f"{workflow.basedir}/config.yaml"


configfile: CONFIG_FILE


include: "rules/common.smk"
include: "rules/artefacts.smk"
include: "rules/lookup.smk"
include: "rules/data.smk"
include: "rules/corruption.smk"
include: "rules/training.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/capacity.smk"
include: "rules/complexity.smk"
include: "rules/expressivity.smk"
include: "rules/linear_models.smk"
include: "rules/claims.smk"
include: "rules/report.smk"
include: "rules/status.smk"
include: "rules/run.smk"


rule cifar10:
    input:
        [file for file in TABLE_FILES + FIGURE_FILES if file not in IMAGENET_FILES],


# Table 2 and figure 2a. Without a path to the data set result_cells says that it is missing.
rule imagenet:
    input:
        lambda wildcards: IMAGENET_FILES or result_cells("table2"),


# The data sets of networks and theory, downloaded or read, verified and prepared.
rule data:
    input:
        [PLAN.prepared(name).known for name in sorted({*DATASETS, *CONFIG.theory_datasets()})],


# What depends on the settings that the paper leaves open.
rule ablations:
    input:
        ABLATION_FILES,


rule claims:
    input:
        rules.check_claims.output,


rule capacity:
    input:
        CAPACITY_FILES,


rule complexity:
    input:
        COMPLEXITY_FILES,


rule all:
    default_target: True
    input:
        rules.cifar10.input,
        IMAGENET_FILES,
        rules.capacity.input,
        rules.complexity.input,
        rules.expressivity.input,
        rules.linear_models.input,
        rules.check_claims.output,
        rules.render_report.output,


check_targets()
