# Every target installs what it needs, says what it does, and may be run again at any time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTEST ?= .venv/bin/pytest
WORKERS ?= 2

help: ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: ## the command, at .venv/bin/darsena, with the packages that builds need
	@scripts/system-packages run
	@scripts/python-env --no-dev

install-dev: ## the same, and what tests and checks need
	@scripts/system-packages run test
	@scripts/python-env
	@scripts/stock-az

demo: install ## start Dársena, build an image, store, list, run and pull it
	@.venv/bin/python demo/demo.py

lint: install-dev ## style, types, import law
	@scripts/step "style (ruff)" .venv/bin/ruff check .
	@scripts/step "format (ruff)" .venv/bin/ruff format --check .
	@scripts/step "types (pyright, strict on src)" .venv/bin/pyright
	@scripts/step "import law (import-linter)" .venv/bin/lint-imports

test: lint test-rooms test-e2e ## everything that CI checks; with -k also what comes after a failure

test-rooms: install-dev ## rooms, edges, databases
	@scripts/step "tests: rooms, edges, databases ($(WORKERS) at a time)" $(PYTEST) -q -n $(WORKERS) --dist loadscope --ignore tests/e2e tests

test-e2e: install-dev ## a real server, real clients
	@scripts/step "tests: real server, real clients ($(WORKERS) at a time)" $(PYTEST) -q -n $(WORKERS) --dist loadscope tests/e2e

torture: install-dev ## kill -9 for longer, domain and server: at least ROUNDS= or SECONDS=; SEED= repeats an order of work
	@PYTHONPATH=tests .venv/bin/python -m faults.torture \
		$(if $(ROUNDS)$(SECONDS),--rounds $(or $(ROUNDS),1)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

bench: install-dev ## speed beside Debian's docker-registry, as ratios; BENCH=row[,row] chooses rows
	@.venv/bin/python bench/bench.py

.NOTPARALLEL:
.PHONY: help install install-dev demo lint test test-rooms test-e2e torture bench
