# Each target does all of its own set-up: Linux, Python 3.11 or newer, nothing installed.
PYTHON ?= python3
VENV ?= .venv
# The pins are what CI tests, on Python 3.11; other versions of Python take what fits them.
PINS := $(shell $(PYTHON) -c "import sys; print('-c constraints.txt' if sys.version_info[:2] == (3, 11) else '')")

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(VENV)/bin/ssrecon run recipes/quickstart.py --out runs/quickstart --resume

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -q

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet $(PINS) -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet $(PINS) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
