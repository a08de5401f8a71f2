# Everything runs from .venv, which `make setup` makes from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE := protos/milvus_backup.binpb
# What is there of the places with Python code.
SOURCES := $(wildcard server client tests example protos/generate.py)

# Each of the hundred processes that the tests start would compile everything anew without.
export PYTHONDONTWRITEBYTECODE :=

PIP_QUIET := --quiet --disable-pip-version-check
LINT_IMPORTS := $(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

.DEFAULT_GOAL := help
.PHONY: help setup lock protos protos-image protos-check fmt lint type check test torture demo bench build clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.project ## make .venv with everything locked, and this project editable in it

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Python 3.11 or later is needed, $(PYTHON) is %d.%d: make setup PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.locked: requirements.lock $(VENV)/.python
	$(BIN)/python -m pip install $(PIP_QUIET) --use-pep517 --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.locked
	$(BIN)/python -m pip install $(PIP_QUIET) --no-deps --no-build-isolation -e .
	@touch $@

lock: setup ## renew requirements.lock: every package at its newest allowed version
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
		--all-extras --group dev --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --output-file requirements.lock

protos: setup ## generate the Python code of the contract into client/milvus_backup
	$(BIN)/python protos/generate.py

protos-image: setup ## accept the contract as it is: later breaking changes are measured against it
	$(BIN)/python protos/generate.py --image $(IMAGE)

protos-check: setup ## lint the contract, refuse breaking changes and stale generated code
	@mkdir -p build
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/generate.py --image build/contract.binpb --comments
	$(BIN)/buf lint build/contract.binpb --config protos/buf.yaml
	$(BIN)/buf breaking build/contract.binpb --config protos/buf.yaml \
		--against $(IMAGE) --against-config protos/buf.yaml

fmt: setup ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lint: setup ## ruff, and the direction of imports
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(LINT_IMPORTS)

type: setup ## mypy
	$(BIN)/mypy $(SOURCES)

check: lint type protos-check ## all that must be green beside the tests

test: setup ## all tests, in three processes: those with a real Milvus wait most of the time
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not torture" tests

torture: setup ## the tests that are too long for `make test`
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m torture tests

demo: setup ## start a Milvus, an object store and the service, and show a backup and a restore
	$(BIN)/python -m tests.support.demo

bench: setup ## measure backups and restores beside s5cmd and aiobotocore, watchers, a long list (docs/performance.md)
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.watchers
	$(BIN)/python -m tests.bench.operations

build: setup ## build the wheel and the source distribution into dist
	$(BIN)/python -m build --no-isolation

clean: ## remove what was made here, .venv included
	rm -rf $(VENV) .cache .hypothesis build dist
	find client server tests protos -name __pycache__ -prune -exec rm -rf {} +
