# Every target sets up .venv first, once. A newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
# glibc gives large blocks back to the system after every step and pays for it in page faults.
TRAIN := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=34359738368 $(BIN)/faceedit train --resume
DEMO := demo-out/rosy-cheeks.png
SHEET := demo-out/rosy-cheeks-sheet.png

.PHONY: demo test lint mini clean

demo: $(READY)
	@mkdir -p demo-out
	@$(BIN)/faceedit edit examples/portrait.png "rosy cheeks" -o $(DEMO) --compare $(SHEET) --force
	@echo "The edited portrait is $(DEMO); $(SHEET) shows input, mask and result side by side."

test: $(READY)
	@$(BIN)/python -m pytest

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# Trains every part of the bundled models again; what is finished or half done in runs/ is gone on with.
mini: $(READY)
	$(TRAIN) tokenizer
	$(TRAIN) judge
	$(TRAIN) vae
	$(TRAIN) clip
	$(TRAIN) unet
	$(TRAIN) ca2
	$(TRAIN) flux
	$(BIN)/python -m faceedit.models.pack runs
	$(BIN)/python -m faceedit.models.pack runs --family flux

clean:
	rm -rf $(VENV) build dist demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "faceedit needs Python 3.10 or newer: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) with the versions of constraints.txt (a few minutes the first time)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e ".[dev]"
	@touch $@
