# `make run` and `make test` are all the set-up a fresh machine needs: Python 3.11 or newer, and make.
VENV ?= .venv
PYTHON ?= python3
# The versions that were tested together. pyproject.toml has the ranges for users; `make versions` remakes both files.
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS)
EDITABLE := $(INSTALL) --build-constraint $(CONSTRAINTS) --editable
RESOLVE := printf 'pip>=25.3\nsetuptools>=77' | $(BIN)/uv pip compile pyproject.toml - --quiet --upgrade --universal \
	--python-version 3.11 --no-annotate --custom-compile-command 'make versions'
# Public implementations that ours are compared with: the extra `peers`. What they depend on is not needed for that, and
# in part not to be had any more; where they cannot be installed, those tests are
# skipped, with the reason. So it is with Ray, and with what makes the documents' site.
PEERS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])

.PHONY: run test test-slow test-oldest lint format notebook site versions clean

run: $(VENV)/.installed
	$(BIN)/seesaw run quick

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m "not slow" -n logical --dist loadfile

test-slow: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m slow -n logical --dist loadfile

# The oldest versions that pyproject.toml allows, on the oldest Python: readers, tracking, and a run from its raw files to
# a served model.
test-oldest: PYTHON = python3.11
test-oldest:
	$(MAKE) PYTHON=$(PYTHON) VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt .venv-oldest/.installed-test
	.venv-oldest/bin/python -m pytest -n logical --dist loadfile tests/app/cli/test_flow.py tests/data/readers tests/app/tracking

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/prose.py

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# docs/notebook.ipynb, in a browser.
notebook: $(VENV)/.installed-notebook
	$(BIN)/jupyter lab docs/notebook.ipynb

# The documents as a site, in build/site.
site: $(VENV)/.installed-docs
	$(BIN)/python docs/site.py
	$(BIN)/python -m mkdocs build --strict

# New versions, all at once; tool.uv in pyproject.toml holds some back. Then run .ci/run.
versions: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(RESOLVE) --extra dev --extra docs --extra ray --extra notebook --output-file constraints.txt
	$(RESOLVE) --extra test --resolution lowest-direct --output-file constraints-oldest.txt

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"expected Python 3.11 or newer, found {sys.version.split()[0]}; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip setuptools

$(VENV)/.installed: pyproject.toml setup.py $(CONSTRAINTS) | $(BIN)/python
	$(EDITABLE) .
	touch $@

$(VENV)/.installed-%: pyproject.toml setup.py $(CONSTRAINTS) | $(BIN)/python
	$(EDITABLE) '.[$*]'
	touch $@

$(VENV)/.installed-all: $(VENV)/.installed-test
	-$(EDITABLE) '.[ray]'
	-$(EDITABLE) '.[docs]'
	-$(INSTALL) --no-deps $$($(BIN)/python -c '$(PEERS)')
	touch $@

# Linters and all types. Nothing here runs on a GPU, so the 2 GB of CUDA that torch brings on Linux are left out.
$(VENV)/.installed-lint: $(CONSTRAINTS) | $(BIN)/python
	grep -vE '^(cuda|nvidia|ray|triton)' $(CONSTRAINTS) > $(VENV)/lint.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --requirement $(VENV)/lint.txt
	touch $@
