# Every target makes the virtual environment it needs; a stamp file in it says that it is current.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Small models on few cores: more threads than cores, or threads that spin while they wait, cost up to ten times the time.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_DISABLE_TELEMETRY ?= 1

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-all check audit docs site clean

help: ## name the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

quickstart: .venv/run.stamp ## install and run the whole method in the micro-world
	$(BIN)/selfreward run micro

test: check ## lint, types and tests
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-all: check .venv/extras.stamp ## the same, and what is slow or starts servers or worker processes
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto --dist loadfile -m 'not gpu and not network'

check: .venv/dev.stamp ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

audit: .venv-audit/stamp ## look for known weaknesses of the tested packages; build/sbom.json lists them
	mkdir -p build
	.venv-audit/bin/cyclonedx-py requirements constraints.txt --output-reproducible -o build/sbom.json
	.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || \
		{ echo "audit: a weakness is known, or nobody could be asked about a package: see above" >&2; exit 1; }

docs: .venv/dev.stamp ## write the documents that are made from code
	$(BIN)/selfreward recipes schema > docs/recipe.schema.json
	$(BIN)/python benchmarks/tables.py

site: .venv/dev.stamp ## build the documents as a site, build/site; to read it: python3 -m http.server -d build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean: ## remove the virtual environment and all caches, never a run
	rm -rf .venv .venv-audit build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

# torch first and alone: the constraint pins it, and an index with CPU builds then decides which build all others see.
.venv/run.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(PIP) -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(PIP) -e '.[dev]'
	@touch $@

.venv/extras.stamp: .venv/dev.stamp
	$(PIP) -e '.[serving,ray,tantivy,postgres]'
	@touch $@

.venv-audit/stamp:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3' 'cyclonedx-bom>=7.5,<8'
	@touch $@
