# make demo and make test each do all the set-up they need; make setup does just that.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test bench sim mutants state-tests clean
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/'

setup: $(STAMP) ## make .venv and install everything from the registries

$(STAMP): pyproject.toml setup.py constraints/build.txt constraints/runtime.txt constraints/test.txt sm_crypto/_multibuffer.c
	"$(PYTHON)" -c 'import sys; sys.exit("govnode: Python 3.11 or later is needed, found %d.%d (set PYTHON=...)" % sys.version_info[:2]) if sys.version_info < (3, 11) else None'
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --require-hashes --requirement constraints/build.txt
	"$(BIN)/python" -m pip install --quiet --require-hashes --requirement constraints/test.txt
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch "$(STAMP)"

demo: $(STAMP) ## run the demonstration network; ONCE=1 ends after it
	"$(BIN)/govnode" demo $(if $(ONCE),--once)

test: $(STAMP) ## format, lint, types, import contracts, tests
	"$(BIN)/ruff" format --check .
	"$(BIN)/ruff" check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/python" -m pytest -n 3

bench: $(STAMP) ## four validators under a pre-signed load, then killed in several ways; results in bench/results
	"$(BIN)/govnode" bench chain --save bench/results
	"$(BIN)/govnode" bench recovery --save bench/results

SEEDS ?= 0-99
sim: $(STAMP) ## simulate the seeds SEEDS=0-9999 of validators under faults and check every invariant
	"$(BIN)/python" -m tests.simulator.run --seeds "$(SEEDS)"

mutants: $(STAMP) ## plant a bug in each decisive rule and say which seed and which test caught it
	"$(BIN)/python" -m tests.simulator.mutants

state-tests: $(STAMP) ## run Ethereum's state tests found below GOVNODE_STATE_TESTS against the EVM
	"$(BIN)/python" -m tests.state_tests.runner --reference

clean: ## remove the environment and what tools leave behind
	rm -rf "$(VENV)" build demo-network .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
