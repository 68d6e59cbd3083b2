# Everything starts from a bare Python 3.11 or newer; see docs/local-runtime.md.
PYTHON ?= python3
BOOT = $(PYTHON) infra/local/bootstrap.py
BIN = .venv/bin

.PHONY: run test kill-test large-test watch-test demo bench fix clean environment servers

run: ## the whole system on this machine
	@$(BOOT)

demo: ## the same with a mailbox to look at
	@$(BOOT) -m infra.demo

environment:
	@$(BOOT) --only

servers: ## Dovecot for the tests, where we may install it
	@command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ] || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dovecot-imapd >/dev/null; \
	  else echo "Dovecot is not installed (package dovecot-imapd): tests against a real server are skipped."; fi

test: environment servers ## what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -rs

kill-test: environment servers ## twenty kills of the sync worker in a first sync of 2,000 messages
	POSTERN_KILL_MESSAGES=2000 POSTERN_KILLS=20 $(BIN)/pytest -q tests/e2e/test_kill.py

large-test: environment servers ## 20,000 messages: complete, each once, then silence; and 20,000 random histories
	POSTERN_LARGE_MESSAGES=20000 $(BIN)/pytest -q tests/e2e/test_large.py
	POSTERN_SYNC_EXAMPLES=20000 $(BIN)/pytest -q tests/unit/test_sync_machine.py

watch-test: environment servers ## 900 inboxes in IDLE: memory; 300 on a real server: how soon a delivery is told
	POSTERN_WATCH_CONNECTIONS=900 POSTERN_WATCH_MAILBOXES=300 $(BIN)/pytest -q -s \
	  tests/integration/test_watcher_load.py tests/integration/test_watcher_dovecot.py

bench: environment servers ## the figures of the README
	$(BIN)/python -m infra.bench

fix: environment
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## environments, caches and the local runtime's data
	rm -rf .venv .local build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
