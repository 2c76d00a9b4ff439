# Every target bootstraps what it needs from a plain Python 3.11: uv is installed into .tools/ when it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.tools/bin/uv)
SYNC := $(UV) sync --frozen --quiet

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(CURDIR)/.tools/bin/uv:
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet uv==$(UV_VERSION)

.PHONY: setup
setup: $(UV) ## Install the locked environment into .venv
	@$(SYNC)

.PHONY: serve
serve: setup ## Serve on port 9090 (BACKEND_PORT) with the embedded models
	@$(UV) run --frozen --no-sync rtmlib-backend serve

# Each has a server of its own. A file stays in one of them, since its tests share servers.
JOBS ?= 2
TESTS ?= --ignore=tests/e2e

.PHONY: test
test: setup ## Run all tests but those in a browser (make e2e) and the bounds on time (JOBS=…, TESTS=…)
	@$(UV) run --frozen --no-sync pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder \
	  --durations=10 $(TESTS)

.PHONY: timing
timing: setup ## Check the bounds on time, on a machine that does nothing else (minutes)
	@$(UV) run --frozen --no-sync pytest -m timing --durations=10 || { \
	  echo "Once more what failed: a noisy neighbour breaks a bound once, a fault breaks it again."; \
	  $(UV) run --frozen --no-sync pytest -m timing --last-failed --last-failed-no-failures=none; }

.PHONY: fuzz
fuzz: setup ## Send a server what schemathesis makes of its OpenAPI document (FUZZ_EXAMPLES=…, FUZZ_SEED=…; minutes)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-2000} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} \
	  $(UV) run --frozen --no-sync pytest tests/service/test_fuzz.py

ATHERIS := atheris==3.0.0
FUZZ_SECONDS ?= 120

.PHONY: fuzz-files
fuzz-files: setup ## Fuzz the readers of pictures, clips, label configs and contexts with coverage (FUZZ_SECONDS=… each)
	@for reader in picture clip label_config context; do \
	  $(UV) run --frozen --no-sync --with $(ATHERIS) python -m tests.fuzz.files $$reader \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -max_len=20000 -print_final_stats=1 || exit 1; \
	done

.PHONY: hostile-files
hostile-files: setup ## Send a server every file that is made to cost much, one by one and eight at once (six minutes)
	@HOSTILE_FILES=all $(UV) run --frozen --no-sync pytest -m timing -q -s tests/service/test_hostile_files.py

.PHONY: lint
lint: setup ## Check format, style and types of all files
	@PATH="$(dir $(UV)):$$PATH" $(UV) run --frozen --no-sync prek run --all-files

.PHONY: hooks
hooks: setup ## Let git run the same checks before every commit
	@$(UV) run --frozen --no-sync prek install

.PHONY: format
format: setup ## Format the code and apply safe fixes
	@$(UV) run --frozen --no-sync ruff check --fix --quiet .
	@$(UV) run --frozen --no-sync ruff format .

.PHONY: docs
docs: setup ## Make the generated pages of the manual
	@$(UV) run --frozen --no-sync python -m adapters.settings_table > docs/configuration.md

.PHONY: manual
manual: $(UV) ## Build the manual into build/manual; a dangling link stops it
	@NO_MKDOCS_2_WARNING=1 $(UV) run --frozen --isolated --only-group docs mkdocs build --strict --site-dir build/manual

PHOTOS ?= ../shared/photos
STAND_INS ?= $(wildcard ../shared/bench)

.PHONY: bench
bench: $(UV) ## Measure the service beside a plain peer, rtmlib and the networks alone (PHOTOS=folder, STAND_INS=folder)
	@$(UV) run --frozen --inexact --group bench python -m benchmarks.comparison --photos "$(PHOTOS)" \
	  $(if $(STAND_INS),--stand-ins "$(STAND_INS)")

.PHONY: bench-memory
bench-memory: setup ## Measure the service's memory over 2,000 pictures (PHOTOS=folder, STAND_INS=folder; half an hour)
	@$(UV) run --frozen --no-sync python -m benchmarks.memory --photos "$(PHOTOS)" \
	  $(if $(STAND_INS),--stand-ins "$(STAND_INS)")

CLIP ?= $(firstword $(wildcard $(PHOTOS)/*.mp4))

.PHONY: bench-clips
bench-clips: setup ## Compare a clip with its frames one by one, and measure memory over ten minutes of film (CLIP=video; minutes)
	@$(UV) run --frozen --no-sync python -m benchmarks.clips --memory --clip "$(CLIP)"

.PHONY: precision
precision: setup ## Compare what each engine and precision finds on photographs, and its speed (PHOTOS=folder, CLIP=video)
	@$(UV) run --frozen --no-sync python -m benchmarks.precision --photos "$(PHOTOS)" $(if $(CLIP),--video "$(CLIP)")

.PHONY: chaos
chaos: setup ## Send 10,000 bad, dropped, slow and failing requests (CHAOS_REQUESTS=…; a quarter of an hour)
	@CHAOS_REQUESTS=$${CHAOS_REQUESTS:-10000} $(UV) run --frozen --no-sync pytest -q -s tests/service/test_chaos.py

.PHONY: soak
soak: setup ## Watch memory and open files for half an hour at capacity (SOAK_SECONDS=…)
	@SOAK_SECONDS=$${SOAK_SECONDS:-1800} $(UV) run --frozen --no-sync pytest -q -s tests/service/test_soak.py

# --- delivery ---
# MODELS=fetch: networks are fetched at the first start into MODEL_CACHE_DIR. MODELS=baked: they come in the Bento.
MODELS ?= fetch
VARIANT ?= cpu
BUILDER ?= $(firstword $(foreach tool,docker podman buildah,$(if $(shell command -v $(tool)),$(tool))))
IMAGE ?= rtmlib-ml-backend:$(VARIANT)

.PHONY: bento
bento: setup ## Build the Bentos into build/bento (MODELS=fetch|baked, BENTO_VERSION=…)
	@.ci/image/bento "$(MODELS)" "$(BENTO_VERSION)"

.PHONY: image
image: bento ## Build the image with docker, podman or buildah (VARIANT=cpu|gpu, MODELS=…, BUILDER=…, IMAGE=…)
	@.ci/image/build "$(VARIANT)" "$(BUILDER)" "$(IMAGE)"

.PHONY: image-check
image-check: setup ## Build the image on a base made here, and run it as Kubernetes does (Debian, root; minutes)
	@.ci/image/check

.PHONY: k8s-check
k8s-check: ## Install and run the delivery checks: manifests, Traefik, deploy.sh, workflows
	@.ci/delivery

.PHONY: push-bento
push-bento: bento ## Push the CPU Bento to BENTO_CLOUD_API_ENDPOINT with BENTO_CLOUD_API_KEY
	@.ci/image/push

.PHONY: e2e
e2e: ## Install Label Studio and Chromium, and run the service with both (Debian, root; minutes)
	@.ci/e2e

.PHONY: e2e-long
e2e-long: ## Retrieve 500 tasks with slow pictures at once, at full length (ten minutes)
	@E2E_LONG=1 .ci/e2e -k "too_large_for_one_answer" --durations=5
