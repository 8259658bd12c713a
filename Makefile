# make demo: the whole way on sample videos.  make test: the tests.  make docs: docs/commands.md and docs/systems.md
# from the commands' help.  All set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: demo test test-slow coverage docs lint format clean

demo: $(STAMP)
	$(BIN)/twostream demo --out demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m slow

coverage: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" --cov --cov-report=term

docs: $(STAMP)
	$(BIN)/python -m scripts.docs.commands docs/commands.md
	$(BIN)/python -m scripts.docs.systems docs/systems.md

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): pyproject.toml constraints.txt
	PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
