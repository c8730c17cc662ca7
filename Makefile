# `make demo`, `make app` and `make test` set up what they need in .venv on first use; PYTHON and TORCH can be chosen.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# Where pip finds the CPU build of PyTorch on Linux; elsewhere the ordinary one is the CPU build already.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
# Files of tests at a time, as many as there are cores, four at most; proofs that take minutes run alone.
TOGETHER := -n auto --maxprocesses 4 --dist loadfile

.PHONY: app demo test test-full lint types docs gallery wheel sbom setup clean

demo: .venv/ready
	$(BIN)/tuckerseg demo

app: .venv/ready
	$(BIN)/tuckerseg app

test: .venv/ready
	$(BIN)/python -m pytest -q -m "not slow" $(TOGETHER)

test-full: .venv/ready
	$(BIN)/python -m pytest -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

gallery: .venv/ready
	$(BIN)/python Testing/website/gallery.py

wheel: .venv/ready
	rm -f dist/tuckerseg-*
	$(BIN)/python -m build --no-isolation

sbom: .venv/ready
	test -f dist/tuckerseg-*.whl || $(MAKE) wheel
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" sh packaging/sbom.sh

setup: .venv/ready

.venv/ready: pyproject.toml Makefile Testing/tools/setup.sh
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" sh Testing/tools/setup.sh
	touch $@

clean:
	rm -rf .venv build dist site demo-output
