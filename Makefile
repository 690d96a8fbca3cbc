VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: help env demo test test-all test-slurm test-imagenet lint bench imagenet-cost gpu-check schema expanded clean

# What make can do
help:
	@awk '/^# /{text = text "\n    " substr($$0, 3)} /^[a-z-]+:/{if (text) print "make " $$1 text} !/^# /{text = ""}' $(MAKEFILE_LIST)

# Set up .venv/; PYTHON=python3.12 chooses the Python
env: $(VENV)/installed
ifeq ($(origin PYTHON),command line)
	@[ "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" ] || { echo "$(VENV) has $$($(BIN)/python -V), not $$($(PYTHON) -V); to set it up with that: rm -r $(VENV), then the same command"; exit 1; }
endif

# An interrupted set-up can have left another Python, which would stay. What was finished is kept, and so is what a link leads to.
$(VENV)/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux" and "this workflow needs Linux (on Windows WSL2), not %s" % sys.platform)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is Python %s; 3.11 or later is needed: make env PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(shell [ -e $@ ] || [ -L $(VENV) ] || echo --clear) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	# Snakemake looks for executors among the modules that Python finds.
	echo "$(CURDIR)/workflow_scripts" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rethinking.pth"
	touch $@

# The paper on scikit-learn's digits, into results/demo/
demo: env
	$(BIN)/snakemake --profile profiles/demo

# Three tests at a time, because some only wait, and the longest first; those of a file share what they prepare
PYTEST := $(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

# All but the slow tests, 6 to 10 minutes
test: env
	$(PYTEST) -m "not slow"

# Also kills and restarts, a SLURM cluster and a browser (Debian: apt-get install slurm-wlm munge chromium), 25 minutes
test-all: env
	$(PYTEST)

# The workflow on a real SLURM cluster that the tests start, about 10 minutes
test-slurm: env
	$(BIN)/pytest tests/slurm

# A small part of ImageNet's half on a CPU, from made-up images, a few minutes
test-imagenet: env
	$(BIN)/pytest tests/imagenet

# The style of code, and what linters see
lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python tests/lint.py

# How fast networks train here, against a common PyTorch loop, into results/bench/ (about 5 minutes on two cores);
# bench/bench_images.py FOLDER tells the same of decoding images, against torchvision's DataLoader
bench: env
	$(BIN)/python bench/bench_training.py

# What table 2 would cost on machines like this one, from a minute of training
imagenet-cost: env
	@$(BIN)/python bench/imagenet_cost.py

# Whether training on this machine's GPU gives the CPU's numbers, and how fast it is, into results/gpu_check/ (8 minutes)
gpu-check: env
	@$(BIN)/python bench/gpu_check.py

# Write the JSON schema of configurations, which editors use, from the typed models
schema: env
	$(BIN)/python -c "from rethinking.config.configuration import schema_json; print(schema_json())" > rules/config.schema.json.part
	mv rules/config.schema.json.part rules/config.schema.json

# Write down what the configurations here mean, for a test that shows what an edit changes of them
expanded: env
	$(BIN)/python -m tests.unit.test_expanded

# Delete the demo's results and what tools cached
clean:
	rm -rf results/demo .snakemake .pytest_cache .ruff_cache
