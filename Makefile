# Two commands matter: `make demo` shows the lesson, `make test` tests everything.
PYTHON ?= python3
BIN := .venv/bin
KILLS ?= 500
COVERED := $(addprefix tests/,core store wire service http postgres rules engine histories openapi telemetry webhooks \
	bus/test_made.py bus/test_local_events.py cli/test_backup.py cli/test_doctor.py cli/test_migrate.py)

.PHONY: demo test test-clients test-pythons test-attacks coverage chaos check bench bench-quick bench-large bench-check bench-cluster bench-peers \
	setup lock build clean

demo: .venv/ready  ## the lesson, end to end: server, store, model, tools, history
	@$(BIN)/clew demo

test: .venv/ready  ## every test that is quick, a process for each core
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not foreign and not long" $(ARGS)

test-clients: .venv/ready  ## other people's frameworks, unmodified, each in an environment of its own; the image
	$(BIN)/python -m pytest -m foreign tests/clients tests/blobs tests/deploy tests/docs $(ARGS)

test-pythons: .venv/ready  ## the suite on every Python from 3.11 up that is here; ARGS=tests/core runs part of it
	$(BIN)/python -m tests.pythons $(ARGS)

coverage: .venv/ready  ## what the tests reach of core, service, store and wire: fails below the gate in pyproject.toml
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile --no-loadscope-reorder $(COVERED) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

chaos: .venv/ready  ## a crash at every commit, with files and on PostgreSQL; loops of kills: KILLS=500 on SQLite, then on PostgreSQL and NATS
	$(BIN)/python -m pytest -m long tests/durability
	$(BIN)/python -m tests.durability.kills --kills $(KILLS)
	$(BIN)/python -m tests.durability.kills --kills $(KILLS) --many

test-attacks: .venv/ready  ## attacks on a running server and on what reads files, each with its bound, in about two minutes
	$(BIN)/python -m tests.attacks.run $(ARGS)
	$(BIN)/python -m tests.reading.hostile
	$(BIN)/python -m pytest tests/sandbox

check: .venv/ready  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready  ## the whole table of speeds, about 5 minutes; ARGS="--json FILE" keeps it
	$(BIN)/python -m bench $(ARGS)

bench-quick: .venv/ready  ## the same in a minute, less exactly
	$(BIN)/python -m bench --quick $(ARGS)

bench-large: .venv/ready  ## searches among a million windows: some minutes, 4 GB of memory
	$(BIN)/python -m bench.vectors --windows 1000000 --queries 30 $(ARGS)

bench-check: .venv/ready  ## what a turn costs, counted: fails where it has grown; ARGS=--record accepts it
	$(BIN)/python -m bench.costs $(ARGS)

bench-cluster: .venv/ready  ## take-over times, and turns a second with 1, 2 and 4 workers
	$(BIN)/python -m bench.cluster $(ARGS)

bench-peers: .venv/ready  ## other servers beside Clew, each installed from the package index
	$(BIN)/python -m bench.peers $(ARGS)

setup: .venv/ready  ## .venv with everything that developers need

.venv/ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Clew needs Python 3.11 or newer; say which: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing what Clew needs into .venv (about a minute the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --quiet $(ARGS)

lock:  ## refresh the locks (needs uv; ARGS=--upgrade takes the newest versions)
	$(LOCK) pyproject.toml -o requirements/run.lock
	$(LOCK) pyproject.toml --extra local -o requirements/local.lock
	$(LOCK) --group build -o requirements/build.lock
	$(LOCK) requirements/code.in -o src/clew/sandbox/packages.lock
	$(LOCK) pyproject.toml --extra examples --group dev -o requirements/dev.lock
	$(LOCK) requirements/clients.in --overrides requirements/clients.overrides -o requirements/clients.lock
	@for each in requirements/frameworks/*.in; do name=$${each%.in}; \
		overrides=$$(test -f $$name.overrides && echo --overrides $$name.overrides); \
		echo "$$each"; $(LOCK) $$each $$overrides -o $$name.lock || exit 1; done

build: .venv/ready  ## the wheel, in dist/
	$(BIN)/python -m hatchling build -t wheel

clean:
	rm -rf .venv .venv-clients .venv-pythons .coverage* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
