# `make demo` and `make test` need Python >= 3.11, cargo and a C compiler, and nothing else.
# Everything Python lives in .venv; a second run rebuilds only what changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.venv
# As recipes say it, from here: the folder's own path may have spaces.
PY := .venv/bin/python
export PATH := $(VENV)/bin:$(PATH):$(HOME)/.cargo/bin
export VIRTUAL_ENV := $(VENV)
# The same interpreter for every cargo command, so that none rebuilds what another has built.
export PYO3_PYTHON := $(VENV)/bin/python
unexport PYTHONPATH PYTHONHOME

WORKERS ?= 2
PYTEST_ARGS ?=
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust \( -name '*.rs' -o -name Cargo.toml \) -not -path '*/target/*')
# What was cleaned away from under its stamp is built again.
ifeq ($(wildcard python/packhouse/_engine*.so),)
$(shell rm -f .venv/.engine)
endif

.PHONY: help venv build test test-rust test-python lint lint-rust lint-python demo bench scorecard fuzz torture mutants \
	wheel docs format clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# --- the environment ---------------------------------------------------------------------------------------------

.venv/.python:
	@python=$$(PATH="$${PATH#$(VENV)/bin:}" sh scripts/find-python.sh); \
	echo "making .venv with $$($$python --version)"; \
	$$python -m venv --clear .venv
	@$(PY) -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.deps: .venv/.python pyproject.toml
	@echo "installing the tools of the dev group"
	@$(PY) -m pip install --quiet --group dev
	@touch $@

.venv/.engine: .venv/.deps $(RUST_SOURCES)
	@sh scripts/need-rust.sh
	@echo "building the extension: minutes the first time, seconds when nothing changed"
	@PIP_QUIET=1 maturin develop --release --extras all --quiet
	@touch $@

.venv/.group-%: .venv/.deps pyproject.toml
	@echo "installing the $* group"
	@$(PY) -m pip install --quiet --group $*
	@touch $@

METAFLOW_SOURCES := $(shell find packhouse-metaflow -name '*.py') packhouse-metaflow/pyproject.toml
OLDEST_METAFLOW := $(shell cat tests/metaflow/oldest.txt)

.venv/.metaflow: .venv/.group-metaflow .venv/.engine $(METAFLOW_SOURCES) tests/metaflow/oldest.txt
	@echo "installing packhouse-metaflow, and two environments beside it: stock Metaflow alone, and the oldest with ours"
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation ./packhouse-metaflow
	@PY=$(PY) sh scripts/metaflow-worlds.sh $(OLDEST_METAFLOW)
	@rm -rf packhouse-metaflow/build packhouse-metaflow/*.egg-info
	@touch $@

need-rust:
	@sh scripts/need-rust.sh

venv: .venv/.deps ## Make .venv with every tool, without the package
build: need-rust .venv/.engine ## Build the extension (release) and install the package, editable

# --- checks ------------------------------------------------------------------------------------------------------

test: ## Everything that must pass: format, lints, types, Rust tests, Python tests
	@sh scripts/need-rust.sh fmt clippy
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-rust
	@$(MAKE) --no-print-directory test-python

lint: lint-rust lint-python ## Format and lint checks, types, the extension's stub

# A later toolchain warns of more: that fails the hosted build, and no untouched checkout.
lint-rust: .venv/.deps
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked $(if $(CI),-- -D warnings)

lint-python: build .venv/.group-metaflow
	ruff check
	ruff format --check
	mypy
	python -m mypy.stubtest packhouse._engine

test-rust: .venv/.deps ## Rust tests
	cargo test --workspace --locked

test-python: build .venv/.metaflow .venv/.servers $(if $(CI),.venv/.ceph) ## Python tests (PYTEST_ARGS=… WORKERS=…)
	python -m pytest -n $(WORKERS) --dist worksteal --durations 15 -m 'not torture' $(PYTEST_ARGS)

SERVERS := $(shell find tests/servers -name '*.txt' -o -name 'package*.json')

.venv/.servers: .venv/.engine $(SERVERS)
	@echo "fetching the object stores for the tests"
	@$(PY) -m tests.servers.fetch
	@touch $@

# A second server for buckets, 70 MB, of Debian's packages. Where CI is set it must be there.
.venv/.ceph: .venv/.engine
	@echo "fetching Ceph's gateway for the tests"
	@$(PY) -m tests.servers.radosgw
	@touch $@

format: .venv/.deps ## Format all sources
	cargo fmt --all
	ruff check --fix-only --quiet
	ruff format

# --- what it does ------------------------------------------------------------------------------------------------

demo: build ## The main job on real data: save, save again, edit, load, compare
	python -m examples.demo $(DEMO_ARGS)

# Without BENCH_ARGS everything is measured, and the figures go where they are quoted.
bench: build .venv/.group-bench .venv/.metaflow .venv/.servers ## Measure against peers and the machine's limits
	python -m benches $(or $(BENCH_ARGS),--publish)

scorecard: build .venv/.servers ## Print the reliability rows and write them into README.md (FULL=1 for full counts)
	python -m tests.scorecard --write $(if $(FULL),--full)

torture: build .venv/.metaflow .venv/.servers ## The long rounds: kills, power loss, faults
	python -m pytest -m torture --timeout 0 $(PYTEST_ARGS)

mutants: build .venv/.metaflow .venv/.servers ## Planted bugs, each of which a test must catch
	python -m tests.mutants

fuzz: .venv/.deps ## Feed the parsers damaged bytes (SECONDS_EACH=60)
	sh scripts/fuzz.sh $(or $(SECONDS_EACH),60)

# --- what goes out -----------------------------------------------------------------------------------------------

wheel: build .venv/.group-wheel ## An abi3 wheel in dist/ (manylinux on Linux)
	rm -rf dist
	python -m scripts.third_party
	maturin build --release --locked --strip --out dist $(if $(filter Linux,$(shell uname -s)),--zig --compatibility manylinux_2_28)
	python -m pytest -q tests/test_wheel.py
	@ls -l dist

docs: build .venv/.group-docs ## The documentation site in site/
	python -m scripts.errors_table
	zensical build --strict --clean
	@echo "site/index.html"

clean: ## Remove everything that was built; .venv too
	rm -rf .venv .venv-metaflow dist site build target python/packhouse/_engine*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
