# Everything starts from a bare Python 3.11 or newer; see docs/local-runtime.md.
PYTHON ?= python3
BOOT = $(PYTHON) -S infra/local/bootstrap.py
BIN = .venv/bin

.PHONY: help run demo env test quick restart-test kill-test large-test property-test follow-test sdk-test
.PHONY: storm-test watch-test fairness-test fault-test mutator-test rtt-test bench
.PHONY: fix clean environment servers readers

help: ## what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the whole system on this machine; Ctrl-C stops it
	@$(BOOT)

demo: ## the same with a mailbox to look at and commands to try; needs Dovecot
	@$(BOOT) -m infra.demo

env: ## addresses and secrets of the system that runs, as variables of a shell
	@$(BIN)/python -m infra.local.shell

environment: ## the virtual environments of development, without starting anything
	@$(BOOT) --dev

servers: environment ## the mail servers of the tests: asks before it installs Dovecot, unpacks the others, starts nothing
	@$(BIN)/python -m infra.machine.system_packages dovecot
	@$(PYTHON) -m tests.servers.prepare

readers: environment ## a mail parser of Node for the tests, where npm is installed
	@[ -d .local/readers/node_modules/postal-mime ] || ! command -v npm >/dev/null || \
	  npm install --silent --no-audit --no-fund --prefix .local/readers postal-mime@4.0.0 || \
	  echo "npm cannot install postal-mime: what it would read is not tested, unless CI=true."

quick: environment ## format, lint, types, import contracts and unit tests, in a few minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 tests/unit

test: environment servers readers ## what CI runs: all of `quick` and everything against real servers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -rs

restart-test: environment servers ## twenty kills of the supervisor, at times of everything: one system, nothing lost
	POSTERN_RESTARTS=20 $(BIN)/pytest -q tests/e2e/test_restart.py

kill-test: environment servers ## twenty kills of the sync worker in a first sync of 2,000 messages
	POSTERN_KILL_MESSAGES=2000 POSTERN_KILLS=20 $(BIN)/pytest -q tests/e2e/test_kill.py

large-test: environment servers ## 20,000 messages: complete, each once, then silence; 20,000 random histories, 2,000 of windows
	POSTERN_LARGE_MESSAGES=20000 $(BIN)/pytest -q tests/e2e/test_large.py
	POSTERN_RANDOM=1 POSTERN_WINDOW_EXAMPLES=2000 $(BIN)/pytest -q tests/unit/test_window_machine.py
	POSTERN_RANDOM=1 POSTERN_SYNC_EXAMPLES=20000 $(BIN)/pytest -q tests/unit/test_sync_machine.py

property-test: environment ## 20,000 stories of the delta log (2,000 in `make test`)
	POSTERN_RANDOM=1 POSTERN_LOG_STORIES=20000 $(BIN)/pytest -q tests/integration/test_log_machine.py

follow-test: environment servers ## five minutes of changes followed by every kind of client
	POSTERN_FOLLOW_SECONDS=300 $(BIN)/pytest -q -s tests/e2e/test_followers.py

sdk-test: environment ## signatures verified by Node's official SDK too (needs npm)
	npm install --silent --no-audit --no-fund --prefix .local/sdk nylas@6.11.1
	$(BIN)/pytest -q -rs tests/unit/test_sdk_signatures.py

storm-test: environment ## 20,000 changes with one endpoint hanging and one dead
	POSTERN_STORM_CHANGES=20000 $(BIN)/pytest -q -s tests/e2e/test_storm.py

fairness-test: environment servers ## 300 accounts on one Dovecot, 20 large ones arriving: how soon the others' mail is told
	POSTERN_FAIR_ACCOUNTS=300 POSTERN_FAIR_LARGE=20 POSTERN_FAIR_MESSAGES=3000 POSTERN_FAIR_SAMPLES=12 \
	  $(BIN)/pytest -q -s tests/e2e/test_fairness.py

watch-test: environment servers ## 900 inboxes in IDLE: memory; 300 on a real server: how soon a delivery is told
	POSTERN_WATCHED_ACCOUNTS=300 $(BIN)/pytest -q -s tests/e2e/test_watched.py
	POSTERN_WATCH_CONNECTIONS=900 POSTERN_WATCH_MAILBOXES=300 $(BIN)/pytest -q -s \
	  tests/integration/test_watcher_load.py tests/integration/test_watcher_dovecot.py

SIZES = 2000 20000 100000
fault-test: environment servers ## 1,200 spoiled connections: cuts, silence, refusals, BYE; nothing lost, nothing twice
	POSTERN_FAULTS=100 $(BIN)/pytest -q -rs tests/integration/test_faults.py
	POSTERN_FAULTS=60 $(BIN)/pytest -q -rs tests/e2e/test_faults.py

mutator-test: environment servers ## ten minutes of a mailbox that never rests, followed by three accounts
	POSTERN_MUTATE_SECONDS=$${POSTERN_MUTATE_SECONDS:-600} $(BIN)/pytest -q -s tests/integration/test_mutator.py

rtt-test: environment servers ## what 40 and 100 ms more of round trip cost the first sync
	$(BIN)/python -m infra.bench.rtt

bench: environment servers ## the figures of the README; SIZES are the mailboxes compared with mbsync (isync), about ten minutes
	@$(BIN)/python -m infra.machine.system_packages mbsync
	$(BIN)/python -m infra.bench $(SIZES)

fix: environment ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## environments, caches and the local runtime's data; not while it runs
	@if [ -x $(BIN)/python ] && $(BIN)/python -m infra.local.shell >/dev/null 2>&1; then \
	  echo "Postern runs here; stop it first."; exit 1; fi
	rm -rf .venv .local build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
