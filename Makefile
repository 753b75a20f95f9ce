# `make demo` and `make test` do everything from nothing, the virtual environment included.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
DEVICE ?= auto
REFERENCE_SUITES := fig2a fig2b accuracy table1
BIN := $(VENV)/bin
BENCH := $(BIN)/imaml-bench

.PHONY: demo test test-gpu lint reference clean

demo: $(VENV)/installed
	$(BENCH) run fig2a --out $(OUT)/fig2a
	$(BENCH) run fig2b --out $(OUT)/fig2b
	$(BENCH) report $(OUT)/fig2a $(OUT)/fig2b --out $(OUT)/report

test: $(VENV)/installed-dev lint
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report=term

# The published report of this machine: reports/DEVICE-NAME, its raw runs beside it.
reference: $(VENV)/installed
	set -e; report=reports/$$($(BIN)/python -m harness.machine $(DEVICE)); \
	for suite in $(REFERENCE_SUITES); do $(BENCH) run $$suite --device $(DEVICE) --out $$report/$$suite; done; \
	$(BENCH) report $(REFERENCE_SUITES:%=$$report/%) --out $$report

test-gpu: $(VENV)/installed-dev
	$(BIN)/pytest -m gpu tests/gpu

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) runs build dist
