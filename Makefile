# Everything a contributor needs: make run, make test, make lint, make bench, make docs.
# Needs make and Python 3.11 or newer; the rest is installed into .venv and .uv, here in this folder.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Many processes are started here, each in half the time when bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE

SEARCHED := python3 python3.13 python3.12 python3.11 python
PYTHON := $(or $(PYTHON),$(shell for python in $(SEARCHED); do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$python; break; fi; done))

HOST ?= 127.0.0.1
PORT ?= 8000
UV := UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never .uv/bin/uv
BIN := .venv/bin

.PHONY: help
help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: .venv/.runtime ## Install what the server needs
	@echo "Ready: $$($(BIN)/python --version) in .venv"

.PHONY: run
run: .venv/.runtime ## Serve with example data until Ctrl-C (HOST=…, PORT=…)
	@exec $(BIN)/python -m commandapi demo --host $(HOST) --port $(PORT)

.PHONY: test
test: .venv/.development programs ## Run all tests (ARGS=… goes to pytest)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: properties
properties: .venv/.development ## Draw 100 times the examples of each property test, by chance; values of columns alone are 150,000
	@BULKPORT_EXAMPLES_TIMES=$(or $(TIMES),100) $(BIN)/python -m pytest -n 2 --timeout 3600 -m hypothesis tests $(ARGS)

.PHONY: sizes
sizes: .venv/.development ## Run the cases of tables with 200,000 rows each (ROWS=…)
	@BULKPORT_MANY_ROWS=$(or $(ROWS),200000) $(BIN)/python -m pytest -n 2 --timeout 3600 -m sizes tests/integration/imports $(ARGS)

.PHONY: chaos
chaos: .venv/.development ## Break a running system for ten minutes and check what it kept (ARGS="--seconds 60 --seed 1")
	@$(BIN)/python -m chaos --seconds 600 --rows 200000 --clients 6 --pause 0.3 $(ARGS)

.PHONY: inputs
inputs: .venv/.development ## Send 20,000 requests made from the API's description, valid and not (ARGS="--requests 2000 --seed 1")
	@$(BIN)/python -m inputs $(ARGS)

.PHONY: fuzz
fuzz: .venv/.development ## Fuzz the readers of bodies for SECONDS=600, guided by coverage where atheris is installed
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),600) $(ARGS)

.PHONY: load
load: .venv/.bench ## Have 200 clients at once for ten minutes (ARGS="--seconds 60 --clients 50")
	@$(BIN)/python -m load $(ARGS)

.PHONY: hostile
hostile: .venv/.bench ## Attack as one user, and tell how long another's ten rows take (ARGS="--seconds 10 --only exports")
	@$(BIN)/python -m load.hostile $(ARGS)

.PHONY: lint
lint: .venv/.development ## Check style, types, the dependencies between packages and the workflows
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --offline --no-progress --min-severity medium .github

.PHONY: client
client: .venv/.development ## Write the synchronous client's handles anew from the asynchronous ones
	@$(BIN)/python packages/bulkport/scripts/sync_client.py

.PHONY: bench
bench: .venv/.bench ## Measure, and compare with psql \copy, an ORM, Celery and others (ARGS=…)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: docs
docs: .venv/.docs ## Build the documentation site into build/site and check its links; write the reference of the command line anew
	@mkdir -p docs/reference
	@$(BIN)/typer commandapi.cli.main utils docs --name commandapi --title "The command line" --output docs/reference/command-line.md
	@$(BIN)/typer bulkport.cli.commands.main utils docs --name bulkport --title "The command bulkport" --output docs/reference/bulkport-command.md
	@$(BIN)/python -m documentation

.PHONY: screenshots
screenshots: .venv/.development ## Take the pictures of the dashboard anew, in about three minutes (needs Chromium; smaller with pngquant)
	@$(BIN)/python -m screenshots docs/images

.PHONY: recording
recording: .venv/.development ## Record the terminal session of the documents anew, as a picture that moves and an asciicast
	@$(BIN)/python -m recording docs/images

# Programs that tests use: a browser, a pooler, a spreadsheet and JavaScript, all from Debian. What is missing is
# installed where it may be; else the tests that need it are skipped, and this says so. Chromium's headless shell only
# makes them quicker.
TEST_PROGRAMS := chromium:chromium chromium-headless-shell:chromium-headless-shell pgbouncer:pgbouncer soffice:libreoffice-calc-nogui node:nodejs npm:npm nginx:nginx curl:curl
.PHONY: programs
programs:
	@missing=""; for program in $(TEST_PROGRAMS); do \
		command -v "$${program%%:*}" >/dev/null || missing="$$missing $${program##*:}"; done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing$$missing for the tests …"; timeout 120 apt-get update -qq; \
		for package in $$missing; do \
			DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq -y --no-install-recommends "$$package" >/dev/null || true; \
		done; \
	fi; \
	for program in $(filter-out chromium-headless-shell:%,$(TEST_PROGRAMS)); do command -v "$${program%%:*}" >/dev/null || \
		echo "There is no $${program%%:*} (apt-get install $${program##*:}): the tests that need it are skipped."; done

.venv/.runtime: pyproject.toml packages/bulkport/pyproject.toml apps/commandapi/pyproject.toml uv.lock | .uv/bin/uv
	@echo "Installing what the server needs into .venv …"
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --python "$(PYTHON)"
	@touch $@

.venv/.development: pyproject.toml packages/bulkport/pyproject.toml apps/commandapi/pyproject.toml uv.lock | .uv/bin/uv
	@echo "Installing what development needs into .venv …"
	@$(UV) sync --quiet --frozen --inexact --python "$(PYTHON)"
	@touch $@ .venv/.runtime

.venv/.docs: pyproject.toml packages/bulkport/pyproject.toml apps/commandapi/pyproject.toml uv.lock | .uv/bin/uv
	@echo "Installing what the documentation needs into .venv …"
	@$(UV) sync --quiet --frozen --inexact --group docs --python "$(PYTHON)"
	@touch $@ .venv/.runtime .venv/.development

.venv/.bench: pyproject.toml packages/bulkport/pyproject.toml apps/commandapi/pyproject.toml uv.lock | .uv/bin/uv
	@echo "Installing what the benchmarks need into .venv …"
	@$(UV) sync --quiet --frozen --inexact --group bench --python "$(PYTHON)"
	@touch $@ .venv/.development .venv/.runtime

# uv lives beside the environment that it keeps, since it removes from that what the lock does not name.
.uv/bin/uv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed, and none of these is: $(SEARCHED)." >&2; \
		echo "Install one, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "$(PYTHON) is not Python 3.11 or newer." >&2; exit 1; fi
	@echo "Installing uv into .uv …"
	@if ! "$(PYTHON)" -m venv --clear .uv >.uv.log 2>&1; then \
		if [ -s .uv.log ]; then cat .uv.log >&2; fi; rm -rf .uv .uv.log; \
		echo "$(PYTHON) cannot make virtual environments (Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; fi
	@rm -f .uv.log
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

.PHONY: wheels
wheels: | .uv/bin/uv ## Build the wheels of the library and of the application into dist
	@$(UV) build --quiet --wheel --package bulkport --out-dir dist
	@$(UV) build --quiet --wheel --package commandapi --out-dir dist
	@ls dist/*.whl

LOWEST_TESTS := tests/unit/jobs tests/unit/database tests/unit/client/test_bodies.py tests/unit/imports \
	tests/integration/jobs/test_public_enqueueing.py tests/integration/jobs/test_testing_kit.py \
	tests/integration/jobs/test_sync_calls.py tests/integration/migrations/test_library_migrations.py \
	tests/integration/migrations/test_least_rights.py tests/integration/imports/test_tables_declared.py \
	tests/integration/imports/test_tables_modes.py examples

# Old releases of others warn of what they used then.
.PHONY: test-lowest
test-lowest: | .uv/bin/uv ## Run tests of the library with the lowest versions that it accepts
	@$(UV) venv --quiet --clear --python "$(PYTHON)" .lowest
	@$(UV) pip install --quiet --python .lowest/bin/python --resolution lowest-direct -r tests/lowest.in
	@$(UV) pip install --quiet --python .lowest/bin/python "pytest>=9.2" "pytest-asyncio>=1.5" "pytest-timeout>=2.4" \
		"pytest-xdist>=3.8" "hypothesis>=6.170" "uvicorn>=0.34" "standardwebhooks>=1.1"
	@.lowest/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning \
		$(LOWEST_TESTS) $(ARGS)

.PHONY: clean
clean: ## Remove what was installed here; data and settings stay
	@rm -rf .venv .uv .lowest dist
