# Two commands do everything on a fresh machine: `make demo` and `make test`.
# The rest are the parts of them, and of the gate (.ci/run).

RUN := scripts/with-runner
# Tests wait for containers more than they compute, so two workers a core pay off.
PYTEST_WORKERS ?= 4

.PHONY: help setup demo test soak unit lint types imports check audit bench reference constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv, a Docker engine that answers, and the runner image
	@$(RUN) true

demo: ## Run a sample project's tests in a container, from nothing
	@$(RUN) scripts/demo

test: ## Run all tests (sets everything up first)
	@scripts/setup && scripts/ensure-promtool || true
	@scripts/ensure-oidc-provider || true
	@$(RUN) scripts/run-tests -n $(PYTEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

soak: ## Run the long tests, which `test` leaves out (minutes; SIMULATION_SEED=n repeats a simulation)
	@$(RUN) python -m pytest -m soak -s $(PYTEST_ARGS)

unit: ## Run the tests that need no engine
	@scripts/setup && .venv/bin/python -m pytest -n auto -m "not docker and not soak" tests/unit tests/contract \
		tests/simulation $(PYTEST_ARGS)

lint: ## Check style
	@scripts/setup && .venv/bin/ruff check . && .venv/bin/ruff format --check .

types: ## Check types
	@scripts/setup && .venv/bin/mypy

imports: ## Check who imports whom
	@scripts/setup && .venv/bin/lint-imports

check: lint types imports ## All static checks

bench: ## Measure everything and write docs/performance.md (25 minutes)
	@$(RUN) python -m bench $(BENCH_ARGS)

reference: ## Write examples/server.yaml and the list of settings in docs/configuration.md anew
	@.venv/bin/python -m ci_server.configuration_text

audit: ## Look for known holes in the pinned dependencies (asks PyPI's advisory database)
	@scripts/setup && .venv/bin/uv tool run --quiet pip-audit --strict --requirement constraints.txt --disable-pip

constraints: ## Write constraints.txt anew from pyproject.toml
	@.venv/bin/uv pip compile --quiet pyproject.toml --all-extras --universal --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade -o constraints.txt

clean: ## Remove what setup and tests made here (not the engine, not the image)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .deploy-tools build dist *.egg-info
