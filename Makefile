# `make demo` and `make test` set up what they need in .venv on first use; PYTHON and TORCH can be chosen.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# Where pip finds the CPU build of PyTorch on Linux; elsewhere the ordinary one is the CPU build already.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin

.PHONY: demo test test-full lint types setup clean

demo: .venv/ready
	$(BIN)/tuckerseg demo

test: .venv/ready
	$(BIN)/python -m pytest -q -m "not slow"

test-full: .venv/ready
	$(BIN)/python -m pytest -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

setup: .venv/ready

.venv/ready: pyproject.toml Makefile Testing/tools/setup.sh
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" sh Testing/tools/setup.sh
	touch $@

clean:
	rm -rf .venv build dist demo-output
