# All files are written to .venv, build/ and demo/, which git ignores. Needs make and Python 3.11 or newer;
# `make PYTHON=python3.12 test` selects another interpreter. `make TORCH=cuda demo` installs the build of PyTorch for
# NVIDIA GPUs, TORCH=cpu that for the CPU; by default the machine decides (tools/install_torch.py).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
TORCH ?= auto
# One thread for each of the two test processes: more threads compete for the cores.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_FLAGS)
PYTEST_FLAGS ?=
.DEFAULT_GOAL := help

.PHONY: help demo studio test test-slow check bench docs site golden clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv/demo.stamp  ## stylize the bundled samples and write them to demo/
	$(BIN)/impasto demo -o demo

studio: .venv/studio.stamp  ## open the web page of impasto in the browser
	$(BIN)/impasto studio

test: .venv/test.stamp  ## run the tests that take less than 5 seconds each
	$(PYTEST) --dist worksteal -m "not slow"

test-slow: .venv/test.stamp  ## run the slow tests (status 5: there are none)
	$(PYTEST) --dist loadfile -m slow || [ $$? -eq 5 ]

check: .venv/test.stamp  ## check style, docstrings, spelling and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell impasto tests docs benchmarks examples tools .github *.md
	$(BIN)/mypy
	$(BIN)/mypy examples/*.py

bench: .venv/test.stamp  ## measure the figures of the README (an hour; needs IMPASTO_WEIGHTS)
	$(BIN)/python benchmarks/time_to_loss.py
	$(BIN)/python benchmarks/paper_table.py
	$(BIN)/python benchmarks/lite_quality.py

golden: .venv/test.stamp  ## record the outputs of 83 small runs, or compare with an existing record
	if [ -e build/golden.json ]; then $(BIN)/python tools/golden.py check build/golden.json; \
	else $(BIN)/python tools/golden.py record build/golden.json; fi

docs: .venv/test.stamp  ## generate the tables and help texts of docs/ and the diagram of ARCHITECTURE.md
	$(BIN)/python tools/docs/generate.py
	$(BIN)/python tools/docs/architecture.py

site: .venv/docs.stamp  ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## delete all generated files
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# PyTorch is installed first, so that the packages which need it do not choose its version and build.
.venv/demo.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("impasto needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python tools/install_torch.py $(TORCH)
	$(PIP) install -c constraints.txt -e '.[demo]'
	touch $@

.venv/studio.stamp: .venv/demo.stamp
	$(PIP) install -c constraints.txt -e '.[demo,report,hires,heic,studio]'
	touch $@

.venv/test.stamp: .venv/demo.stamp
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

.venv/docs.stamp: .venv/demo.stamp
	$(PIP) install -c constraints.txt -e '.[docs]'
	touch $@
