# Everything starts from a bare Python 3.11 or newer; see docs/local-runtime.md.
PYTHON ?= python3
BOOT = $(PYTHON) infra/local/bootstrap.py
BIN = .venv/bin

.PHONY: run test demo bench fix clean environment

run: ## the whole system on this machine
	@$(BOOT)

demo: ## the same with a mailbox to look at
	@$(BOOT) -m infra.demo

environment:
	@$(BOOT) --only

test: environment ## what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -rs

bench: environment ## the figures of the README
	$(BIN)/python -m infra.bench

fix: environment
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## environments, caches and the local runtime's data
	rm -rf .venv .local build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
