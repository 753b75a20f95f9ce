# `make demo` and `make test` do everything from nothing, the virtual environment included.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/demo
DEVICE ?= auto
REPORTS ?= reports
RUNS ?= runs/reference
REFERENCE_SUITES ?= fig2a fig2b meta_batch capacity accuracy table1
RUN_fig2b := --repeat 3
NUMERIC_TESTS := $(addprefix tests/,linear_solvers inner problems test_objective.py test_references.py)
CAPABILITY ?= default
THREADS ?= 1
SEED ?= 1
INPUTS ?= 100000
KILLS ?= 300
# On a GPU the first cell that does not fit is tried, to hold its forecast against; on a CPU that would take the machine.
SKIP = $(if $(filter cuda%,$(DEVICE)),--skip oom)
RUN_meta_batch = $(SKIP)
RUN_capacity = $(SKIP)
BIN := $(VENV)/bin
BENCH := $(BIN)/imaml-bench

.PHONY: demo test test-variant fuzz kills coverage test-gpu lint reference clean

demo: $(VENV)/installed
	$(BENCH) run fig2a --out $(OUT)/fig2a
	$(BENCH) run fig2b --steps 1,2,4,8 --out $(OUT)/fig2b
	$(BENCH) report $(OUT)/fig2a $(OUT)/fig2b --out $(OUT)/report

# Without a GPU, if there is one: several processes of tests would disturb each other on it; `make test-gpu` has its tests.
test: $(VENV)/installed-dev lint
	CUDA_VISIBLE_DEVICES= $(BIN)/pytest -n auto

# Numeric tests as another processor would run them, in a random order.
test-variant: $(VENV)/installed-dev
	CUDA_VISIBLE_DEVICES= ATEN_CPU_CAPABILITY=$(CAPABILITY) DNNL_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	OMP_NUM_THREADS=$(THREADS) PYTHONHASHSEED=$(SEED) $(BIN)/pytest --shuffle $(SEED) $(NUMERIC_TESTS)

# Suites, run directories and labels that nobody would write, guided by the branches they take; hours.
fuzz: $(VENV)/installed-dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.guided $(INPUTS)

# Runs killed at random moments and continued, published.
kills: $(VENV)/installed-dev
	$(BIN)/python -m tests.kills.kills $(KILLS) $(REPORTS)/kills

coverage: $(VENV)/installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

# The published report of this machine: reports/DEVICE-NAME, its raw runs beside it. Cells that fail (3) and claims that
# do not hold (1) are results, and shown in it. Measured elsewhere first, so that every run sees a clean checkout.
reference: $(VENV)/installed
	set -e; name=$$($(BIN)/python -m harness.machine $(DEVICE)); runs=$(RUNS)/$$name; \
	measure() { $(BENCH) run "$$@" --device $(DEVICE) --out $$runs/$$1 || case $$? in 1|3) ;; *) exit 1 ;; esac; }; \
	$(foreach suite,$(REFERENCE_SUITES),measure $(suite) $(RUN_$(suite));) \
	rm -rf $(REPORTS)/$$name; mkdir -p $(REPORTS); cp -R $$runs $(REPORTS)/$$name; cd $(REPORTS)/$$name; \
	$(abspath $(BENCH)) report $(REFERENCE_SUITES) --out .

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
