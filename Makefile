# Two commands set everything up: `make demo` and `make test`. They need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint test-lowest test-bayes test-nuts browser bench bench-compare clean

help:
	@echo "make demo         write the month's TER reports of a synthetic network"
	@echo "make test         style, types, layers and tests"
	@echo "make test-lowest  the tests on the lowest versions of the libraries that are allowed"
	@echo "make test-bayes   the tests of engine nuts, with PyMC"
	@echo "make test-nuts    engine fast against engine nuts on whole networks (some ten minutes)"
	@echo "make browser      what the tests of the pages in a browser need (npm; Chromium apart)"
	@echo "make bench        the benchmarks"
	@echo "make bench-compare  the benchmarks against the saved ratios"
	@echo "make clean        remove the environments and what the demo wrote"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ter needs Python 3.11 or newer; set PYTHON=/path/to/one."; exit 1; }
	@echo "Making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing ter and the libraries it stands on"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing ter with what its tests need"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/ter demo

lint: $(VENV)/.installed-dev
	@echo "Style (ruff), types (mypy), layers (import-linter)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: lint
	@echo "Tests (pytest)"
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

# The lower bounds of pyproject.toml, as exact versions.
test-lowest: $(VENV)/.installed-dev
	@$(BIN)/python tests/lowest.py > $(VENV)/lowest.txt
	@$(PYTHON) -m venv $(VENV)-lowest
	@$(VENV)-lowest/bin/python -m pip install --quiet --editable '.[dev]' --constraint $(VENV)/lowest.txt
	@$(VENV)-lowest/bin/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

# An environment of its own: PyTensor admits no numba as new as the one that everything else is tested with.
test-bayes:
	@echo "Tests of engine nuts (PyMC, nutpie, ArviZ)"
	@$(PYTHON) -m venv $(VENV)-bayes
	@$(VENV)-bayes/bin/python -m pip install --quiet --editable '.[bayes]' 'pytest>=8.3' 'hypothesis>=6.112'
	@$(VENV)-bayes/bin/python -m pytest -q tests/models/test_bayes.py

# Whole networks sampled for minutes each: engine fast against engine nuts, with and without slopes.
test-nuts: test-bayes
	@$(VENV)-bayes/bin/python -m pytest -q tests/models/test_against_nuts.py tests/models/test_bayes_slope.py

# axe-core and playwright-core; the browser itself is the system's Chromium.
browser: $(VENV)/browser/.installed

$(VENV)/browser/.installed: tests/reports/browser/package.json tests/reports/browser/package-lock.json | $(BIN)/python
	@mkdir -p $(VENV)/browser
	@cp tests/reports/browser/package.json tests/reports/browser/package-lock.json $(VENV)/browser/
	@npm ci --prefix $(VENV)/browser --ignore-scripts --no-audit --no-fund --silent
	@touch $@

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest benchmarks -q --benchmark-only --benchmark-columns=median,iqr,rounds

bench-compare: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.compare

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-bayes demo .mypy_cache .ruff_cache .pytest_cache
