# Everything sets itself up: a virtual environment in .venv, and Debian packages where a test or the demo needs them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# real programs that the demo and the tests run against
PACKAGES := redis-server:redis-server redis-cli:redis-tools curl:curl jq:jq kubectl:kubernetes-client \
  postgres:postgresql chromium:chromium chromedriver:chromium-driver \
  prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager

.PHONY: demo test coverage check dev lint-runbooks soak crash-matrix outage-table bench packages clean

dev: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

packages:
	@./scripts/packages $(PACKAGES)

demo: dev packages
	$(BIN)/oncall-agent demo

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/oncall-agent lint runbooks
	$(BIN)/oncall-agent test runbooks

# three at a time on two cores: half of the tests wait for real processes
test: dev packages
	$(BIN)/pytest -n 3 --dist loadfile

coverage: dev packages
	$(BIN)/pytest --cov --cov-report=term:skip-covered

soak: dev packages
	$(BIN)/pytest -m soak -s

crash-matrix: dev packages
	$(BIN)/python -m tests.acceptance.crash_matrix

# docs/outages.md, from the rows that the outage tests run
outage-table: dev
	$(BIN)/python -m tests.acceptance.outage_page

# figures, each as a ratio to a baseline of the same run (docs/performance.md); an hour or so on a quiet machine
bench: dev packages
	./scripts/bench-peers
	$(BIN)/python -m bench.accept
	$(BIN)/python -m bench.storm
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.size

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
