# A target for each task of a user: `make help`. Each target installs what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Waiting threads sleep instead of spinning. On two busy cores an export then takes 32 instead of 84 s
# of processor time (November 2026).
export OMP_WAIT_POLICY ?= PASSIVE

PYTHON  ?= python3.11
RUN     ?= runs/demo
MODEL   ?=
VERSION ?= 1.0
REPLACE ?=
WORKERS ?=
IMAGE   ?=
TEXT    ?=
SAMPLE  ?=
TESTS   ?=
OUT     ?= build/faults
DEMO_ARGS ?=
BENCH   ?= full
BENCH_ARGS ?=
PORT    ?= 7860
TABLE   ?=
SHEET   ?=
REPORT  ?=
SIGN    ?=
ENGINE  ?= cpu
BASE    ?=
TAG     ?= product-classifier:$(ENGINE)
IMAGE_TOOL ?= $(firstword $(foreach tool,podman buildah docker,$(if $(shell command -v $(tool)),$(tool))))
IMAGE_ARGS ?=

# Values with blanks, quotes or dollar signs reach the shell as they are.
export GIVEN_RUN     := $(value RUN)
export GIVEN_VERSION := $(value VERSION)
export GIVEN_WORKERS := $(value WORKERS)
export GIVEN_IMAGE   := $(value IMAGE)
export GIVEN_TEXT    := $(value TEXT)
export GIVEN_SAMPLE  := $(value SAMPLE)
export GIVEN_OUT     := $(value OUT)
export GIVEN_TABLE   := $(value TABLE)
export GIVEN_SHEET   := $(value SHEET)
export GIVEN_REPORT  := $(value REPORT)
export GIVEN_SIGN    := $(value SIGN)

BIN       := .venv/bin
INSTALLED := .venv/.installed
PEERS     := build/bench/.installed
TRITON    := build/triton/.installed
PAGE      := .venv/.page
BROWSER   := .venv/.browser
CATALOGUE := runs/sample-catalogue

.PHONY: help setup demo test test-docs test-faults test-fuzz test-image test-long bench check format lock lock-bench lock-page archive image serve stop predict switch ui \
  setup-browser setup-peers setup-triton docs-images clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Use --------------------------------------------------------------------------------------------------------------

setup: $(INSTALLED) ## install everything into .venv (about 6 GB); a repeat installs only changes

# One shell runs all steps, so that the server is stopped after any failure.
demo: $(INSTALLED) ## train, compare, export, verify, archive, serve and ask, on a drawn catalogue (DEMO_ARGS="--per-class 20" MODEL=)
	@test ! -e .torchserve/server.json || { echo "error: a server of this folder is running; \`make stop\` stops it" >&2; exit 1; }
	@echo "Demo: draws a catalogue, trains six models, compares them, exports, verifies and archives them, serves one and asks it. About 5 minutes on 2 cores."
	@step() { printf '\n== %s (after %d:%02d)\n' "$$1" $$((SECONDS / 60)) $$((SECONDS % 60)); }; \
	  step 'The catalogue'; \
	  $(BIN)/python -m training sample --out $(CATALOGUE) $(DEMO_ARGS); \
	  step 'Six models'; \
	  $(BIN)/python -m training train --data $(CATALOGUE) --out runs/demo --image-epochs 0 --text-epochs 2 --text-rate 1e-4; \
	  step 'Side by side'; \
	  $(BIN)/python -m training report runs/demo; \
	  step 'Archives'; \
	  $(BIN)/python -m export --run runs/demo $(addprefix --model ,$(MODEL)); \
	  step 'The server'; \
	  trap '$(BIN)/python -m client stop' EXIT; \
	  $(BIN)/python -m client serve; \
	  line=$$(awk -F, '$$3 == "test" { print $$1; exit }' runs/demo/split.csv); \
	  IFS=, read -r image title label < <(sed -n "$${line}p" $(CATALOGUE)/products.csv); \
	  step "A product that no model was trained on: $$image, \"$$title\", in truth $$label"; \
	  $(BIN)/python -m client predict --image "$(CATALOGUE)/$$image" --text "$$title"
	@printf '%s\n' '' 'Where everything lies:' \
	  '  $(CATALOGUE)/products.csv      the catalogue: yours has the same columns' \
	  '  runs/demo/report.html               the comparison, with figures; report.md beside it' \
	  '  model_store/*.mar                   the verified archives' \
	  'What to try next:' \
	  '  make serve                          start TorchServe' \
	  '  make predict TEXT="Red Canvas Shoe" ask it; IMAGE=shoe.jpg goes with it or alone' \
	  '  make stop                           stop it' \
	  '  .venv/bin/python -m training train --help    train on your own products'

archive: $(INSTALLED) ## export, verify and pack the models of a run (RUN=runs/demo MODEL= VERSION=1.0 WORKERS=2 CACHE_MIB= CASCADE= SIGN=key.pem REPLACE=)
	@$(BIN)/python -m export --run "$$GIVEN_RUN" --version "$$GIVEN_VERSION" $(addprefix --model ,$(MODEL)) \
	  $${GIVEN_WORKERS:+--workers "$$GIVEN_WORKERS"} $(if $(CACHE_MIB),--cache-mib $(CACHE_MIB)) $(if $(CASCADE),--cascade) $${GIVEN_SIGN:+--sign "$$GIVEN_SIGN"} $(if $(REPLACE),--replace)

serve: $(INSTALLED) ## start TorchServe with the intermediate model and wait until it answers
	@$(BIN)/python -m client serve

predict: $(INSTALLED) ## ask the server: make predict IMAGE=shoe.jpg TEXT="Running shoe" [MODEL=late]
	@$(BIN)/python -m client predict $${GIVEN_IMAGE:+--image "$$GIVEN_IMAGE"} $${GIVEN_TEXT:+--text "$$GIVEN_TEXT"} $(if $(MODEL),--model "$(MODEL)")

switch: $(INSTALLED) ## make a version the default, if it answers as expected: make switch VERSION=2.0 [MODEL=late] [SAMPLE=products.csv] [ALLOW_CLASSES=1]
	@$(BIN)/python -m client switch "$(or $(MODEL),intermediate)" "$$GIVEN_VERSION" $${GIVEN_SAMPLE:+--sample "$$GIVEN_SAMPLE"} $(if $(ALLOW_CLASSES),--allow-classes)

# The wheels are fetched with the settings of this machine's pip, so that the build itself needs no network.
image: $(INSTALLED) ## build a container image of the server (ENGINE=cpu|cuda BASE=image TAG=name IMAGE_TOOL=podman IMAGE_ARGS=)
	@test -n "$(IMAGE_TOOL)" || { echo "error: none of podman, buildah and docker is installed; install one, such as \`apt install podman\`" >&2; exit 1; }
	@test -f "deploy/image/$(ENGINE).lock" || { echo "error: ENGINE=$(ENGINE): choose cpu or cuda" >&2; exit 1; }
	@echo "Building $(TAG) with $(IMAGE_TOOL): fetches the packages of deploy/image/$(ENGINE).lock, then copies them and the server."
	@mkdir -p build/image/wheels
	@$(BIN)/python -m pip download --quiet --no-deps --require-hashes -r deploy/image/$(ENGINE).lock -d build/image/wheels
	@$(BIN)/python -m export.bom deploy/image/$(ENGINE).lock build/image/sbom.cdx.json
	@$(IMAGE_TOOL) $(if $(filter buildah,$(IMAGE_TOOL)),bud,build) $(if $(filter docker,$(IMAGE_TOOL)),,--format docker) \
	  --build-arg ENGINE=$(ENGINE) $(if $(BASE),--build-arg BASE="$(BASE)") --build-arg REVISION="$$(git rev-parse HEAD 2> /dev/null || echo unknown)" \
	  $(IMAGE_ARGS) --tag "$(TAG)" --file deploy/Containerfile .
	@echo "Built $(TAG). Next: docs/how-to/run-as-a-service.md, \"In a container\""

stop: $(INSTALLED) ## stop what `make serve` started
	@$(BIN)/python -m client stop

ui: $(PAGE) ## open a web page that asks the running server (PORT=7860)
	@$(BIN)/python -m client page --port $(PORT)

# --- Develop ----------------------------------------------------------------------------------------------------------

test: $(INSTALLED) ## run the tests, including those with a live TorchServe (TESTS=tests/client)
	@$(BIN)/python -m pytest $(TESTS)

test-docs: $(INSTALLED) ## run the commands of README, tutorial and how-to pages, about 20 minutes
	@$(BIN)/python -m pytest tests/docs -m 'docs or not docs'

test-long: $(INSTALLED) ## run the tests that take minutes: the closed loop, several servers, a Ray cluster
	@$(BIN)/python -m pytest -m long

test-faults: $(INSTALLED) ## cause every known fault in a live server, about an hour (OUT=folder FAULTS_ARCHIVE=file)
	@FAULTS=full FAULTS_OUT="$$GIVEN_OUT" $(BIN)/python -m pytest tests/faults -m faults

test-image: $(INSTALLED) ## build the image and run it in every way, as root, about 5 minutes (BASE=image)
	@IMAGE_BASE="$(BASE)" $(BIN)/python -m pytest tests/image -m container

test-fuzz: $(INSTALLED) ## read 20,000 generated catalogues, about 20 minutes
	@$(BIN)/python -m pytest tests/training/catalog/test_catalog_fuzz.py -m fuzz

check: $(INSTALLED) ## check format, lint (ruff) and types (mypy)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the code and sort the imports
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

bench: $(INSTALLED) $(PEERS) $(TRITON) ## compare the server with other servers, half an hour (BENCH=quick BENCH_ARGS=)
	@env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks.server --plan $(BENCH) $(BENCH_ARGS)

setup-browser: $(BROWSER) ## install what the page's tests need, except Chromium: apt install chromium

setup-peers: $(PEERS) ## install FastAPI, LitServe, mosec, BentoML and Ray Serve, for the examples' tests

setup-triton: $(TRITON) ## install NVIDIA Triton from its wheel, for the tests of --target triton

docs-images: $(BROWSER) ## draw docs/images anew with the running server (TABLE=products.zip SHEET=audit.html REPORT=report.html)
	@$(BIN)/python -m client.page.screenshots $${GIVEN_TABLE:+--table "$$GIVEN_TABLE"} $${GIVEN_SHEET:+--sheet "$$GIVEN_SHEET"} $${GIVEN_REPORT:+--report "$$GIVEN_REPORT"} --out docs/images

clean: ## remove the files of demo, archives and tests; .venv and other runs stay
	rm -rf build logs runs/demo $(CATALOGUE) model_store/*.mar model_store/switches.jsonl .hypothesis .*_cache

# --- Environments: each is made once, and updated when its lock changes -----------------------------------------------

$(INSTALLED): requirements.lock
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "error: the lock file is made for Linux on x86-64, this is $$(uname -sm)" >&2; exit 1; }
	@command -v "$(PYTHON)" > /dev/null || { echo "error: $(PYTHON) is not installed; install Python 3.11, or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11, which the lock file is made for; name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' || { echo "error: $(PYTHON) comes without venv; install the package python3.11-venv" >&2; exit 1; }
	@echo "Installing the pinned dependencies into .venv: about 6 GB, a few minutes."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@touch $@

# The page's packages, on top of the main lock, whose versions stay.
$(PAGE): client/page/requirements.lock $(INSTALLED)
	@echo "Installing what the page needs: about 100 MB."
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

$(BROWSER): client/page/browser.lock $(PAGE)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

# The peers' environment uses the packages of .venv, since the peers serve the same engine. `make setup` does not
# install the peers. The report names a package that could not be installed.
$(PEERS): benchmarks/server/peers/requirements.lock $(INSTALLED)
	@echo "Installing the servers to compare with into build/bench."
	@"$(PYTHON)" -m venv build/bench
	@realpath $(BIN)/../lib/python3.11/site-packages > build/bench/lib/python3.11/site-packages/main.pth
	@build/bench/bin/pip install --quiet --no-deps --require-hashes -r $< \
	  || sed -e ':a' -e '/\\$$/N; s/\\\n//; ta' $< | while read -r package; do \
	    build/bench/bin/pip install --quiet --no-deps --require-hashes -r <(echo "$$package") \
	      || echo "not installed: $${package%% *}" >&2; \
	  done
	@touch $@

# Triton's Python backend needs NumPy 1, so it has its own environment.
$(TRITON): benchmarks/server/peers/triton.lock $(INSTALLED)
	@echo "Installing Triton into build/triton."
	@"$(PYTHON)" -m venv build/triton
	@build/triton/bin/pip install --quiet --no-deps --require-hashes -r $< || echo "not installed: nvidia-pytriton" >&2
	@touch $@

# --- Locks: pinned versions with hashes -------------------------------------------------------------------------------

# openvino-telemetry would send data on each use to its makers; OpenVINO works without it.
lock: $(INSTALLED) ## renew requirements.lock from pyproject.toml
	@"$(PYTHON)" -m venv build/uv && build/uv/bin/pip install --quiet uv
	@build/uv/bin/uv pip compile pyproject.toml --quiet --upgrade --extra dev --extra ray --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --no-emit-package sentence-transformers --no-emit-package openvino-telemetry -o requirements.lock
	@$(MAKE) --no-print-directory lock-page
	@for engine in cpu cuda; do build/uv/bin/uv pip compile --quiet --group serve-$$engine --constraint requirements.lock \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --no-emit-package openvino-telemetry -o deploy/image/$$engine.lock; done

# Only the page's locks, on top of the current main lock.
lock-page: $(INSTALLED)
	@test -x build/uv/bin/uv || { "$(PYTHON)" -m venv build/uv && build/uv/bin/pip install --quiet uv; }
	@for group in page:requirements browser:browser; do build/uv/bin/uv pip compile --quiet --group $${group%:*} \
	  --constraint requirements.lock --override client/page/overrides.txt --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  -o client/page/$${group#*:}.lock; done

lock-bench: $(INSTALLED) ## renew the locks of the other servers in the benchmark
	@"$(PYTHON)" -m venv build/uv && build/uv/bin/pip install --quiet uv
	@grep -oE '^[^ ;]+==[^ ;]+' requirements.lock > build/main.txt
	@build/uv/bin/uv pip compile benchmarks/server/peers/requirements.in --quiet --upgrade --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --constraint build/main.txt --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate $$(sed 's/[=[].*//; s/^/--no-emit-package /' build/main.txt) \
	  -o benchmarks/server/peers/requirements.lock
	@build/uv/bin/uv pip compile benchmarks/server/peers/triton.in --quiet --upgrade --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_35 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  -o benchmarks/server/peers/triton.lock
