# `make fit` trains the main example, `make test` runs every test; both install into .venv once.
# TORCH names another build of torch, e.g. make fit TORCH="torch==2.13.0 torchvision==0.28.0".

PYTHON ?= python3
TORCH ?=
CONFIG ?= configs/dcgan.yaml
BIN = .venv/bin

.PHONY: fit test lint clean help

help:
	@echo "make fit [CONFIG=configs/dcgan.yaml]   train; the run lies in runs/"
	@echo "make test                              run every test"
	@echo "make lint                              ruff and the order of the layers"
	@echo "make clean                             remove .venv and caches; runs/ stays"

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(if $(TORCH),$(BIN)/python -m pip install $(TORCH))
	$(BIN)/python -m pip install -e ".[test]"
	touch $@

fit: .venv/installed
	$(BIN)/lightning fit --config $(CONFIG)

test: .venv/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

clean:
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache build dist *.egg-info
