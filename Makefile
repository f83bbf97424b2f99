# `make serve` and `make test` need Python 3.11 or 3.12 and make, nothing else.
PYTHON ?= $(shell command -v python3.11 >/dev/null 2>&1 && python3.11 -c '' 2>/dev/null && echo python3.11 \
	|| (command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' 2>/dev/null && echo python3.12) || echo python3)
VENV ?= .venv
EXPORT_VENV ?= .venv-export
HOST ?= 127.0.0.1
PORT ?= 8090
BIN := $(VENV)/bin
COMMA := ,
INSTALL := install --quiet --disable-pip-version-check --no-deps

# Nobody is told that this was run.
export BENTOML_DO_NOT_TRACK := true
export DO_NOT_TRACK := 1
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help serve replay test check bench bench-quick lint types bundle image image-buildah export-env train-demo lock clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/runtime: requirements/runtime.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else "Python 3.11 or 3.12 is needed, this is %d.%d: make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip $(INSTALL) --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip $(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/test: $(VENV)/runtime requirements/test.txt
	$(BIN)/python -m pip $(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

serve: export MLOPS_ENVIRONMENT ?= development
serve: export MLOPS__DRAIN_SECONDS ?= 0
serve: $(VENV)/runtime ## Serve on http://127.0.0.1:8090 in development, on an embedded store
	$(BIN)/bentoml serve . --host $(HOST) --port $(PORT)

replay: OUT ?= var/replay/$(shell date +%Y%m%dT%H%M%S)
replay: $(VENV)/runtime ## Replay history through the live code: BARS=file MACRO=file [OUT=folder]
	@test -n "$(BARS)" || { echo "say which bars: make replay BARS=bars.csv MACRO=macro.csv"; exit 2; }
	$(BIN)/usdcop replay "$(BARS)" $(if $(MACRO),--macro "$(MACRO)",--allow-missing-macro) --out "$(OUT)" $(REPLAY)

test: $(VENV)/test ## Run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/test
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .

types: $(VENV)/test
	$(BIN)/mypy

check: lint types test ## Lint, types, tests

bench: $(VENV)/test ## Print the figures of serving, features, vetoes, replay (the last three on your own with BARS=file MACRO=file)
	$(BIN)/python -m benchmarks.serving --json var/bench/serving.json --page var/bench/serving.html
	$(BIN)/python -m pytest benchmarks/stages.py --benchmark-columns=min,median,iqr,rounds --benchmark-sort=fullname
	$(BIN)/python -m benchmarks.features $(if $(BARS),--bars "$(BARS)") $(if $(MACRO),--macro "$(MACRO)")
	$(BIN)/python -m benchmarks.vetoes $(if $(BARS),--bars "$(BARS)") $(if $(MACRO),--macro "$(MACRO)") $(VETOES)
	$(BIN)/python -m benchmarks.replay --rounds 2 $(if $(MACRO),--bars "$(BARS)" --macro "$(MACRO)")

bench-quick: $(VENV)/test ## Print the figures of serving in under a minute, roughly
	$(BIN)/python -m benchmarks.serving --quick

bundle: $(VENV)/runtime ## Build a Bento with the live versions of the models pinned in it
	$(BIN)/usdcop bundle

# BentoML reads the template of a Dockerfile only below the working directory, and copies it to TMPDIR.
image: bundle ## Build a container image of the newest Bento (needs Docker; PIP_CONFIG=pip.conf for another index)
	cd "$${TMPDIR:-/tmp}" && bentoml=$(abspath $(BIN))/bentoml && \
		version=$$(basename "$$($$bentoml get usdcop:latest --output path)") && \
		$$bentoml containerize usdcop:latest --image-tag usdcop:$$version --image-tag usdcop:latest \
			$(if $(PIP_CONFIG),--opt secret=id=pip$(COMMA)src=$(abspath $(PIP_CONFIG)))

image-buildah: bundle ## The same without Docker (needs Debian 12, root, buildah, debootstrap)
	deploy/buildah.sh

export-env: $(EXPORT_VENV)/export ## torch and stable-baselines3, for `usdcop export` and training

$(EXPORT_VENV)/export: requirements/test.txt requirements/export.txt pyproject.toml
	$(PYTHON) -m venv $(EXPORT_VENV)
	$(EXPORT_VENV)/bin/python -m pip $(INSTALL) --require-hashes -r requirements/test.txt
	$(EXPORT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/export.txt
	$(EXPORT_VENV)/bin/python -m pip $(INSTALL) --no-build-isolation --editable .
	@touch $@

train-demo: $(EXPORT_VENV)/export ## Simulate, train and export the three demonstration models again
	$(EXPORT_VENV)/bin/python examples/train.py

lock: ## Lock requirements again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links -q requirements/runtime.in -o requirements/runtime.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links -q requirements/test.in -o requirements/test.txt

clean: ## Remove what was made; not the ledger in var/
	rm -rf $(VENV) $(EXPORT_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
