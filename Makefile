# `make run` and `make test` are all the set-up a fresh machine needs: Python 3.11 or newer, and make.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# Public implementations that ours are compared with: the extra `peers`. What they depend on is not needed for that, and
# in part not to be had any more; where they cannot be installed, those tests are
# skipped, with the reason. So it is with Ray, and with what makes the documents' site.
PEERS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])

.PHONY: run test test-slow lint format notebook site clean

run: $(VENV)/.installed
	$(BIN)/seesaw run quick

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow" -n logical --dist loadfile

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow -n logical --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/prose.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# docs/notebook.ipynb, in a browser.
notebook: $(VENV)/.installed-notebook
	$(BIN)/jupyter lab docs/notebook.ipynb

# The documents as a site, in build/site.
site: $(VENV)/.installed-docs
	$(BIN)/python docs/site.py
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"expected Python 3.11 or newer, found {sys.version.split()[0]}; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools

$(VENV)/.installed: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	-$(BIN)/python -m pip install --quiet --editable '.[ray]'
	-$(BIN)/python -m pip install --quiet --editable '.[docs]'
	-$(BIN)/python -m pip install --quiet --no-deps $$($(BIN)/python -c '$(PEERS)')
	touch $@

$(VENV)/.installed-notebook: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[notebook]'
	touch $@

$(VENV)/.installed-docs: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
