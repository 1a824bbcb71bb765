# Needs python3 ≥ 3.11 (or PYTHON=…) and make. `make demo`, `make test`, `make serve` and `make check` do the rest in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv

.PHONY: demo serve test check schemathesis hostile lock bench torture powercut soak nano clean

demo: $(VENV)/run.stamp
	$(BIN)/scrivano demo

serve: $(VENV)/run.stamp
	$(BIN)/scrivano serve

test: $(VENV)/dev.stamp
	$(PYTEST)

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

# What the suite tries a little of: EXAMPLES of each route and kind of data; every hostile file, cut off at many places.
EXAMPLES ?= 60

schemathesis: $(VENV)/dev.stamp
	SCHEMATHESIS_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s --timeout 7200 tests/e2e/test_openapi.py

hostile: $(VENV)/dev.stamp
	HOSTILE=all $(BIN)/python -m pytest -s --timeout 7200 tests/e2e/test_hostile_input.py

# BENCH=--large for the whole hour, or names: BENCH="w2 w3".
bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.run $(BENCH)

# What docs/reliability.md tells: N blows at a server under load; power cuts of the store (takes strace); a long run.
N ?= 120
STOP_SECS ?= 30
CUTS ?= 300
MINUTES ?= 30

torture: $(VENV)/dev.stamp
	$(BIN)/python -m torture.kills --kills $(N) --stop-secs $(STOP_SECS)

powercut: $(VENV)/dev.stamp
	$(BIN)/python -m torture.powercut --cuts $(CUTS)

soak: $(VENV)/dev.stamp
	$(BIN)/python -m torture.soak --minutes $(MINUTES)

# dev.txt has all of run.txt at the same versions, so both live in one environment, and neither takes the other's
# packages out. Only what the locks name is installed: the package itself with what is installed already.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes --requirement $<
	$(PIP) --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes --requirement $<
	$(PIP) --no-build-isolation --no-deps --editable .
	touch $(VENV)/run.stamp $@

# An environment that could not be completed is removed, or the next run would take it for a good one.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Scrivano needs Python 3.11 or newer, and there is no $(PYTHON): install it, or name one, as below." >&2; \
	  echo "  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Scrivano needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one:" >&2; \
	  echo "  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The resolver is no part of the project: pip install uv. dev.txt follows run.txt's versions.
UV ?= uv
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11

lock:
	$(COMPILE) --upgrade pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(COMPILE) --extra dev --constraint requirements/run.txt pyproject.toml requirements/build.in --output-file requirements/dev.txt

# Makes the bundled model again, from synthetic speech to what stands in src/scrivano/nano; hours of work. Speaking
# takes espeak-ng. MINUTES1 and MINUTES2: of training on short windows and on long ones.
SEED ?= 1
MINUTES1 ?= 45
MINUTES2 ?= 30
OUT ?= build/nano

nano: .venv-nano/stamp
	PYTHON="$(CURDIR)/.venv-nano/bin/python" sh tools/nano-whisper/run_all.sh $(SEED) $(MINUTES1) $(MINUTES2) "$(abspath $(OUT))"

.venv-nano/stamp: tools/nano-whisper/requirements.txt
	$(PYTHON) -m venv .venv-nano
	.venv-nano/bin/python -m pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf $(VENV) .venv-nano build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests tools benchmarks torture -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
