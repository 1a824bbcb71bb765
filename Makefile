# Needs make and Python 3.11 or newer (python3, or PYTHON=…). The targets create and use the environment .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests start the program some hundred times: without byte code each start would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv

.PHONY: client web demo cluster serve test test-slow check schemathesis hostile lock bench gpu-check torture torture-cluster powercut soak \
  nano clean lint package release-files site image image-test pin-images

demo: $(VENV)/run.stamp
	$(BIN)/scrivano demo

# A whole cluster on this machine for a few minutes: PostgreSQL, S3, Ray, two nodes, of which one is killed.
cluster: $(VENV)/dev.stamp
	$(BIN)/scrivano cluster demo

serve: $(VENV)/run.stamp
	$(BIN)/scrivano serve

test: $(VENV)/dev.stamp
	$(PYTEST) -m "not slow"

# What takes minutes: hostile files, crashes and kills of a whole server, a browser.
test-slow: $(VENV)/dev.stamp
	$(PYTEST) -m slow

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(PYTEST)

# Packs the TypeScript client into clients/typescript; needs Node 20.19 or newer with npm.
client: $(VENV)/dev.stamp
	cd clients/typescript && npm ci && PYTHON="$(CURDIR)/$(BIN)/python" npm pack

# A wheel and a source archive in dist, and what the package index would say to them.
package: $(VENV)/release.stamp
	rm -rf dist
	$(BIN)/python tools/release/version.py
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 315532800) $(BIN)/python -m hatchling build
	$(BIN)/twine check --strict dist/*

# What a release has in dist, but the images: the package, the TypeScript client, the Helm chart, and the bill of materials of the
# package. Needs Node and GNU tar.
release-files: package client
	mv clients/typescript/*.tgz dist/
	tar --create --gzip --sort=name --owner=0 --group=0 --mtime="@$$(git log -1 --format=%ct 2>/dev/null || echo 315532800)" \
	  --file "dist/scrivano-chart-$$($(BIN)/python tools/release/version.py).tgz" --directory deploy/helm scrivano
	$(BIN)/python tools/release/sbom.py --lock requirements/run.txt > dist/scrivano.cdx.json

# The documentation as a site in build/site; a broken link is an error.
site: .venv-site/stamp
	.venv-site/bin/mkdocs build --strict --quiet --site-dir build/site

# IMAGE=cuda for the image with CUDA; ray-cpu and ray-cuda for those with Ray. ENGINE: docker, podman or `buildah bud`.
IMAGE ?= cpu
ENGINE ?= docker build

image:
	$(ENGINE) --target $(IMAGE:ray-%=%) $(if $(filter ray-%,$(IMAGE)),--build-arg PACKAGES=requirements/image-ray.txt) \
	  --tag scrivano:$(IMAGE) .

# The image's file system, started as process 1, and the TypeScript client with it.
image-test: $(VENV)/dev.stamp
	SCRIVANO_IMAGE=scrivano:$(IMAGE) $(BIN)/python -m pytest tests/e2e/test_image.py

pin-images:
	bash tools/release/pin_images.sh

# The page: needs Node 20 or newer. What is built is committed, so that users need none.
web:
	cd web && npm ci && npm run build

# More of what the tests do: EXAMPLES for each route and kind of data; every hostile file, truncated at many places.
EXAMPLES ?= 60

schemathesis: $(VENV)/dev.stamp
	SCHEMATHESIS_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s --timeout 7200 tests/e2e/test_openapi.py

hostile: $(VENV)/dev.stamp
	HOSTILE=all $(BIN)/python -m pytest -s --timeout 7200 tests/e2e/test_hostile_input.py

# BENCH=--large for the long recordings, or names of workloads: BENCH="w2 w3". With real weights and real speech:
# make bench BENCH_MODEL=FOLDER BENCH_AUDIO=FOLDER
export BENCH_MODEL BENCH_AUDIO
bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.run $(BENCH)

# Check and measure a GPU (docs/performance.md). GPU="--out FOLDER", or names of stages: GPU="server w1".
gpu-check: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.gpu $(GPU)

# The checks of docs/reliability.md: N kills of a server under load; power cuts (needs strace); a long run.
N ?= 120
STOP_SECS ?= 30
CUTS ?= 300
MINUTES ?= 30

torture: $(VENV)/dev.stamp
	$(BIN)/python -m torture.kills --kills $(N) --stop-secs $(STOP_SECS)

# The same for the parts of a cluster with Ray, of docs/scale.md: N rounds; needs PostgreSQL's programs.
torture-cluster: $(VENV)/dev.stamp
	$(BIN)/python -m torture.cluster --runs $(N)

powercut: $(VENV)/dev.stamp
	$(BIN)/python -m torture.powercut --cuts $(CUTS)

soak: $(VENV)/dev.stamp
	$(BIN)/python -m torture.soak --minutes $(MINUTES)

# dev.txt contains run.txt with the same versions, so that both can be installed in one environment. Only the packages of
# the lock files are installed; the package itself is then installed without its dependencies.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes --requirement $<
	$(PIP) --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes --requirement $<
	$(PIP) --no-build-isolation --no-deps --editable .
	touch $(VENV)/run.stamp $@

# Neither contains the other: both may be in one environment.
$(VENV)/release.stamp: requirements/release.txt $(VENV)/dev.stamp
	$(PIP) --require-hashes --requirement $<
	touch $@

.venv-site/stamp: requirements/site.txt
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# An incomplete environment is removed; otherwise the next run would use it.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Scrivano needs Python 3.11 or newer, and there is no $(PYTHON): install it, or give its path:" >&2; \
	  echo "  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Scrivano needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Give the path of another one:" >&2; \
	  echo "  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# uv is not installed here: pip install uv. dev.txt gets the same versions as run.txt.
UV ?= uv
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11

# Adds what is new; UPGRADE=--upgrade takes the newest of everything.
lock:
	$(COMPILE) $(UPGRADE) pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(COMPILE) --extra dev --constraint requirements/run.txt pyproject.toml requirements/build.in --output-file requirements/dev.txt
	$(COMPILE) --extra whispercpp --extra wyoming --extra telemetry --extra postgres --extra s3 --constraint requirements/dev.txt \
	  pyproject.toml requirements/build.in --output-file requirements/image.txt
	$(COMPILE) --extra whispercpp --extra wyoming --extra telemetry --extra postgres --extra s3 --extra ray \
	  --constraint requirements/image.txt --constraint requirements/dev.txt \
	  pyproject.toml requirements/build.in --output-file requirements/image-ray.txt
	$(COMPILE) $(UPGRADE) --no-deps requirements/cuda.in --output-file requirements/cuda.txt
	$(COMPILE) $(UPGRADE) requirements/site.in --output-file requirements/site.txt
	$(COMPILE) $(UPGRADE) requirements/release.in --constraint requirements/dev.txt --output-file requirements/release.txt

# Trains the bundled model (src/scrivano/nano) again, from synthetic speech; takes hours and needs espeak-ng. MINUTES1 and
# MINUTES2: training on short windows and on long windows.
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
	rm -rf $(VENV) .venv-nano .venv-site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests tools benchmarks torture -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
