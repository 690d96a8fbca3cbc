# Understanding deep learning requires rethinking generalization (Zhang et al., ICLR 2017):
# download -> verify -> corrupt -> train one network per cell -> aggregate -> tables and figures.

from snakemake.utils import min_version

min_version("9.0")


CONFIG_FILE = f"{workflow.basedir}/config.yaml"


configfile: CONFIG_FILE


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/corruption.smk"


if not CONFIG.finished_only:

    include: "rules/training.smk"


include: "rules/tables.smk"
include: "rules/figures.smk"


rule cifar10:
    input:
        multiext(f"{RESULTS}/table1", ".csv", ".md", ".tex"),
        multiext(f"{RESULTS}/fig1a", ".svg", ".png", ".pdf"),


rule all:
    default_target: True
    input:
        rules.cifar10.input,
