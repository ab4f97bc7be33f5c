# Everything a person types here. `make test` and `make demo` set up what they need on a machine that has
# git, make and Python 3.11 or newer; nothing outside this folder is touched, except that `make test`
# installs missing Debian packages (see .ci/programs); others it fetches into this folder (see .ci/judges).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
JUDGES := .judges
# Twice as many as two cores: half of a test's time is waiting for a registry, a process or a silence.
WORKERS ?= 4
# `make check ONLY=tests/unit/model` narrows the tests; the format, lint and type gates always run on everything.
ONLY ?=
BENCH ?= quick

PROGRAMS := buildah docker-registry fish groff jq openssl podman skopeo umoci zsh
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadfile
COVERAGE := --cov --cov-report=term $(if $(ONLY),,--cov-fail-under=95)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup programs judges lint check test format words features man demo docs sweep bench pyz release clean

help:
	@echo 'make check    format, lint, types and the fast tests'
	@echo 'make test     all of that, plus tests against real registries and programs, with coverage'
	@echo 'make format   put the code into shape'
	@echo 'make words    write the table that completion reads, after a change of commands or options'
	@echo 'make features write docs/features.md, after a change of docs/features.yaml'
	@echo 'make man      write the manual page to build/oci-push.1'
	@echo 'make demo     run a pipeline against a registry in one process'
	@echo 'make docs     write the documentation as a site into build/docs'
	@echo 'make sweep    break every request of a push in every way, large images too (an hour)'
	@echo 'make bench    measure beside every rival on PATH (5 minutes; BENCH=full: 12)'
	@echo 'make pyz      write the program as one file into dist/, for this Python and platform'
	@echo 'make release  write all that a release consists of into dist/; publishes nothing'
	@echo 'make clean    remove what the targets above have made'

setup: $(READY)

# The stamp is older than pyproject.toml after every change of dependencies, so the install is done again.
$(READY): pyproject.toml .ci/virtualenv
	@.ci/virtualenv $(VENV)
	@echo 'installing oci-push and its tools into $(VENV)'
	@$(PY) -m pip install -qq --editable '.[dev]'
	@touch $@

programs:
	@.ci/programs $(PROGRAMS)

judges: $(READY)
	@.ci/judges $(JUDGES) $(PY)

lint: $(READY)
	@echo '── format'; $(PY) -m ruff format --check --quiet . || { echo 'run `make format`' >&2; exit 1; }
	@echo '── lint';   $(PY) -m ruff check --quiet .
	@echo '── types';  $(PY) -m mypy

check: lint
	@echo '── fast tests'; $(PYTEST) $(or $(ONLY),tests --ignore=tests/integration)

test: programs judges lint
	@echo '── all tests'; $(PYTEST) $(COVERAGE) $(or $(ONLY),tests)

format: $(READY)
	@$(PY) -m ruff check --fix-only --exit-zero --quiet .
	@$(PY) -m ruff format --quiet .

words: $(READY)
	@$(PY) -c 'from oci_push.cli.completion import source_of_table; print(source_of_table(), end="")' >$(VENV)/words.py
	@mv $(VENV)/words.py oci_push/cli/complete_words.py

features: $(READY)
	@$(PY) docs/site/features.py

man: $(READY)
	@mkdir -p build
	@$(VENV)/bin/oci-push man >build/oci-push.1

demo: $(READY)
	@$(VENV)/bin/oci-push run fixtures/demo/pipeline.yml --sandbox

docs: $(READY)
	@$(PY) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo 'build/docs/index.html'

sweep: $(READY) programs
	@$(PYTEST) --timeout 3600 --sweep all tests/sweep tests/integration/test_sweep_docker_registry.py

# `make bench BENCH=full`; also `BENCH='quick --row many'`: see bench/README.md.
bench: $(READY) programs
	@$(PY) -m bench $(BENCH)

pyz: $(READY)
	@rm -rf build
	@$(PY) -m hatchling build --target wheel --directory build
	@$(PY) release/tree.py build/*.whl build/tree
	@$(PY) release/onefile.py build/tree dist

# From a commit alone: its time is that of all files, so that everybody who builds it gets the same bytes.
release: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
release: $(READY)
	@test -z "$$(git status --porcelain)" || { echo 'commit or remove what `git status` shows' >&2; exit 1; }
	@rm -rf build dist
	@$(PY) -m hatchling build --directory dist
	@$(PY) release/tree.py dist/*.whl build/tree
	@$(PY) release/onefile.py build/tree dist
	@$(PY) release/sbom.py build/tree dist
	@$(PY) release/sums.py dist

clean:
	rm -rf $(VENV) $(JUDGES) .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
