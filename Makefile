# make demo   the app on a sample scan (with a display), or the same session by itself (without)
# make test   every test, in a virtual screen
# Each sets up what it needs; the second time that takes seconds.

VENV ?= .venv
EXTRAS ?= pyqt5,test
TORCH ?= $(shell grep '^torch==' constraints.txt)
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

comma := ,
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

export OMP_WAIT_POLICY ?= PASSIVE
export QT_API ?= pyqt5
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DELETE_ON_ERROR:
.PHONY: demo test setup lint types contracts packages docs constraints clean

demo: setup
	$(BIN)/python scripts/demo.py

# Each worker has a virtual screen of its own, even where there is a real one: nothing pops up, no
# window takes another's focus, and pixels are the same everywhere.
test: setup
	PYTEST_QT_API=$(QT_API) $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "napari-medseg needs Python 3.11 or newer; found: \
	$$(python3 --version 2>&1). Install it, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; fi
	scripts/system_packages.sh $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25"
	$(BIN)/python -m pip install -q "$(TORCH)"  # first: a later package must not choose another
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

packages: setup
	scripts/check_packages.sh $(VENV)

docs: setup
	$(BIN)/python scripts/write_cli_reference.py docs/reference/cli.md

# the versions that are installed now, without torch's build tag and without this project
constraints:
	@{ echo "# Exact versions that work together; made from a fresh environment by 'make constraints'."; \
	$(BIN)/python -m pip freeze --exclude-editable --exclude napari-medseg | sed 's/+cpu//' | LC_ALL=C sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .venv-ci build dist demo_output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
