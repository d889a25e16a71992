# make faces: environment, install, faces from noise by the shipped model, a short training and its report.
# make test:  environment, install, every test but the long ones.
# make test-long: the long ones: the notebooks, the rehearsal of a GPU's program, two hosts, whole commands of minutes.
# make kernel: the WebAssembly of the page, from its C (needs clang and lld).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: faces test test-long lint kernel clean

faces: $(VENV)/installed
	$(BIN)/facegan demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

test-long: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m long

lint: $(VENV)/installed-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[report]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

kernel:
	sh src/facegan/web/engine/build_kernel.sh

clean:
	rm -rf $(VENV)
