# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(TIDEGATE_CACHE),$(HOME)/.cache/tidegate)
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv),$(CACHE)/uv-$(UV_VERSION)/bin/uv)
RUN := $(UV) run --frozen
CLUSTER := PYTHONPATH=e2e $(RUN) python -m cluster

export PYTHONDONTWRITEBYTECODE = 1

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(CACHE)/uv-$(UV_VERSION)/bin/uv:
	python3 -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install -q uv==$(UV_VERSION)

setup: $(UV) ## install what the lock file pins into .venv
	@$(UV) sync --frozen -q

demo: setup ## cluster, chart, examples; drift is injected; watch the gate trip, ramp and recover
	PYTHONPATH=e2e:operator $(RUN) python e2e/demo.py

test: check unit e2e down ## everything: lint, types, unit and e2e on a real cluster

check: setup ## lint, types, layers, generated files
	$(RUN) ruff check operator e2e tests
	$(RUN) ruff format --check operator e2e tests
	$(RUN) mypy
	PYTHONPATH=operator $(RUN) lint-imports --no-cache
	$(RUN) tidegate crds $(CACHE)/crds-check >/dev/null
	diff -r crds $(CACHE)/crds-check
	diff -r crds charts/tidegate/files/crds

crds: setup ## write crds/ and the chart's copy from the models
	$(RUN) tidegate crds crds
	$(RUN) tidegate crds charts/tidegate/files/crds

unit: setup up ## unit tests; those of the API run against the cluster's real apiserver
	TIDEGATE_REQUIRE_CLUSTER=1 $(RUN) pytest tests

e2e: setup ## end-to-end tests on the real cluster, with a real Prometheus
	PYTHONPATH=e2e:operator $(RUN) pytest e2e/tests -o testpaths= --timeout=600

bench: setup ## measure response and recovery on the cluster; writes docs/benchmarks.md
	PYTHONPATH=e2e:operator $(RUN) python e2e/bench.py

up: setup ## the cluster
	$(CLUSTER) up

down: setup ## end the cluster; fails if anything is left of it
	$(CLUSTER) down

.PHONY: help setup demo test check crds unit e2e bench up down
