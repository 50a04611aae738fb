# Everything lands in .venv and demo/, both ignored by git. Needs make and Python 3.11 or newer:
# another interpreter is chosen by `make PYTHON=python3.12 test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
EXTRAS := demo,report,studio,hires,export
# One thread for each of the two test processes: more would fight over the cores.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_FLAGS)
PYTEST_FLAGS ?=

.PHONY: demo test test-slow check bench docs golden clean

demo: .venv/demo.stamp  ## paint the bundled samples into demo/
	$(BIN)/impasto demo -o demo

test: .venv/test.stamp  ## all tests but the slow ones
	$(PYTEST) --dist worksteal -m "not slow"

test-slow: .venv/test.stamp  ## the slow ones; status 5 says that there is none
	$(PYTEST) --dist loadfile -m slow || [ $$? -eq 5 ]

check: .venv/test.stamp  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/test.stamp  ## the figures of the README; needs IMPASTO_WEIGHTS and an hour
	$(BIN)/python benchmarks/time_to_loss.py
	$(BIN)/python benchmarks/paper_table.py
	$(BIN)/python benchmarks/lite_gate.py

golden: .venv/test.stamp  ## record the outputs of 83 small runs, or compare with the record that exists
	if [ -e build/golden.json ]; then $(BIN)/python tools/golden.py check build/golden.json; \
	else $(BIN)/python tools/golden.py record build/golden.json; fi

docs: .venv/test.stamp  ## write the generated tables of docs/ again
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch comes first and pinned: a free choice may pull a newer one with gigabytes of GPU libraries.
.venv/demo.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("impasto needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

.venv/test.stamp: .venv/demo.stamp
	$(PIP) install -c constraints.txt -e '.[$(EXTRAS),dev]'
	touch $@
