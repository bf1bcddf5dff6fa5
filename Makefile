# Two commands set everything up on a fresh machine with python3 and make:
#   make demo    environment, install, the main job on examples/heights.csv
#   make test    environment, install, the whole test suite

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch first, by itself: a small CPU build is taken where the package index offers one
TORCH := torch==2.13.0

.PHONY: demo test check clean

demo: $(VENV)/.installed
	$(BIN)/sightline fit examples/heights.csv "weight ~ height" --figures every

test: $(VENV)/.installed-test
	scripts/test

check: $(VENV)/.installed-test
	scripts/check

$(VENV)/.torch:
	@echo "Setting up $(VENV): PyTorch and a few libraries, about a minute ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis runs
