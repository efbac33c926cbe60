# Every target sets up .venv first; nothing else is needed but Python >= 3.11.4, git and make.
PYTHON ?= python3
PROFILE ?= profiles/local
BIN := $(CURDIR)/.venv/bin
SNAKEMAKE = PATH="$(BIN):$$PATH" snakemake --profile $(PROFILE)
PYTEST = PATH="$(BIN):$$PATH" pytest -q
ITEM ?=
DATASET ?=

.PHONY: help book test baselines data full paper item rerun check-book pdf lock clean clear-cache

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: data  ## runs the demo (and, where real images are, the sample) and builds the book
	@$(SNAKEMAKE) book

test: data  ## ruff, pyright and the tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright --pythonpath $(BIN)/python
	@$(PYTEST) --durations=10

baselines: data  ## installs the extra with anomalib, and runs the tests that wait for it
	@$(BIN)/pip install -q -e ".[baselines]"
	@$(PYTEST) tests/test_winclip.py tests/test_library.py tests/test_contract.py

data: .venv/installed  ## makes `textures`; arranges the originals in $ANOMLIB_SOURCE, where it is set
	@$(SNAKEMAKE) data

full: data  ## the runs on real data at hand, hours; subsets: ITEM=ssdnet/gallery DATASET=mtd
	@$(SNAKEMAKE) runs --config profile=full items=$(ITEM) dataset=$(DATASET)

paper: data  ## everything at the papers' settings, on GPUs; subsets as above
	@$(SNAKEMAKE) runs --config profile=paper items=$(ITEM) dataset=$(DATASET)

item: data  ## executes one page again, with the runs it lacks: ITEM=ssdnet/gallery
	@$(SNAKEMAKE) items --forcerun item --config items=$(ITEM)

rerun: data  ## reruns one number and prints both values: RUN=<run id>
	@$(BIN)/python notebooks/rerun.py $(RUN)

check-book: book  ## loads every page in Chromium, with no network
	@$(BIN)/python book/check.py

pdf: book  ## the book as one PDF, by Chromium
	@PATH="$(BIN):$$PATH" python book/check.py --pdf

lock: .venv/installed  ## pins again what pyproject.toml asks for
	@$(BIN)/pip install -q uv && $(BIN)/uv pip compile --universal --python-version 3.11.4 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra book --extra dev --upgrade -q pyproject.toml -o requirements.lock

clean:  ## removes what can be made again: pages, demo and sample results, not data, not .venv
	rm -rf book/_build book/executed results/demo results/sample results/rerun

clear-cache: .venv/installed  ## removes the features kept in <root>/.cache and says how many
	@$(BIN)/python -c 'from anomlib.features import clear_cache; print(clear_cache())'

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and "anomlib needs Python 3.11.4 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@
