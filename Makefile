# Everything a fresh machine needs is Python >= 3.11, git and make; the first target that needs it
# makes .venv from the lock files (exact versions, checked by hash).

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The slow files come first in the tree: as they are ordered, no worker is left with one at the end.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: run test test-long acceptance schemathesis chaos check lock bench bench-peers bench-peers-lock bench-instructions bench-speech bench-workers loadtest clean
.DEFAULT_GOAL := run

run: .venv/.run ## serve on http://localhost:8000 (PORT=... to change)
	@exec $(BIN)/python -m server

test: .venv/.dev ## run the tests
	@$(PYTEST) -m "not long"

test-long: .venv/.dev ## run those that take minutes: further journeys of pages, crashes and restarts (TESTS=tests/...)
	@$(PYTEST) -m long $(TESTS)

acceptance: .venv/.dev ## the seeded tests and the runs of faults at full length: hours, and the figures in docs/
	@$(PYTEST) --runs 10000 -k "whatever_happens"
	@$(PYTEST) --runs 6000 tests/e2e/test_schemathesis.py
	@$(BIN)/python -m tests.benchmarks.sentences
	@$(BIN)/python -m tests.rollout_simulation
	@$(BIN)/python -m tests.chaos.kills --kills 200 --seed 1
	@FRONT=nginx $(PYTEST) tests/e2e
	@$(PYTEST) --runs 301 tests/deploy/test_nginx_bounds.py -k take_nothing
	@$(BIN)/python -m tests.fresh_machine || [ $$? -eq 77 ]
	@for seed in $$(seq 1 20); do $(BIN)/python -m tests.chaos --seed $$seed --minutes 3 || exit 1; done

schemathesis: .venv/.dev ## send the whole API generated requests, 100 of each kind an operation
	@$(PYTEST) --runs 6000 tests/e2e/test_schemathesis.py

chaos: .venv/.dev ## break workers, Redis, MongoDB and links under guests, and judge what they saw (SEED=... MINUTES=...)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),1) --workers $(or $(WORKERS),2)

check: .venv/.dev ## format, lint, types, imports, dead code, dependencies
	@scripts/check

bench: .venv/.dev ## what a token costs beside other servers, in one run (ARGS="--quick", "--publish"); 25 minutes
	@$(BIN)/python -m loadtests.bench $(ARGS)

bench-peers: .bench-peers/litellm/.ready .bench-peers/node/.ready ## install the others that `make bench` measures, apart from ours

bench-peers-lock: .venv/.dev ## resolve the newest versions of the others
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --upgrade loadtests/bench/peers/litellm.in --output-file loadtests/bench/peers/litellm.lock
	@cd loadtests/bench/peers/node && npm update --package-lock-only --no-audit --no-fund --loglevel=error

bench-instructions: .venv/.dev ## what the server executes for a token, counted and not timed
	@$(BIN)/python -m loadtests.bench.instructions

bench-speech: .venv/.dev ## how soon answers sound, with how many gaps, at what cost
	@$(BIN)/python -m loadtests.bench.speech

bench-workers: .venv/.dev ## reconnect storm, rolling restart, a Redis that stalls, the cost of the log in Redis
	@$(BIN)/python -m loadtests.bench.workers

loadtest: .venv/.dev .venv-loadtests/.ready ## people who ask and read, judged (PROFILE=... HOST=... WORKERS=... I_OWN_THIS_HOST=1)
	@$(BIN)/python -m loadtests.people $(or $(PROFILE),smoke) --workers $(or $(WORKERS),0) \
		$(if $(HOST),--host $(HOST)) $(if $(I_OWN_THIS_HOST),--i-own-this-host)

lock: .venv/.dev ## resolve the newest versions within pyproject.toml's ranges
	@scripts/lock

clean: ## remove what was made here, but never DATA_DIR
	@rm -rf .venv .venv-loadtests .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .bench-peers
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Chatstream needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up .venv with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv

# The extra (eSpeak NG, GPL, a program of its own) is tried once; without it only speech is missing.
.venv/.run: requirements.lock requirements-espeak.lock | .venv/bin/python
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --retries 1 --timeout 10 --require-hashes -r requirements-espeak.lock >/dev/null 2>&1 \
		|| echo "eSpeak NG could not be installed: answers are spoken by Google only, if set up. To try again: $(PIP) install -r requirements-espeak.lock"
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.run

# Locust replaces the standard library's sockets as it is imported, as a plugin also in pytest: it lives apart.
.venv-loadtests/.ready: requirements-loadtests.lock | .venv/bin/python
	@.venv/bin/python -m venv .venv-loadtests
	@.venv-loadtests/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-loadtests.lock
	@touch $@

# The benchmark's peers, each in an environment of its own: nothing of them is ever in ours.
.bench-peers/litellm/.ready: loadtests/bench/peers/litellm.lock | .venv/bin/python
	@.venv/bin/python -m venv .bench-peers/litellm
	@.bench-peers/litellm/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r loadtests/bench/peers/litellm.lock
	@touch $@

.bench-peers/node/.ready: loadtests/bench/peers/node/package-lock.json
	@mkdir -p .bench-peers/node
	@cp loadtests/bench/peers/node/package.json loadtests/bench/peers/node/package-lock.json .bench-peers/node
	@npm ci --prefix .bench-peers/node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
