# Everything that people and CI do here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PEERS_VENV ?= .venv-peers
PEERS ?= $(wildcard $(PEERS_VENV)/bin/python)
PIP := -m pip install -qq --disable-pip-version-check
# What a lock names, by digest; nothing is built but reuse, which comes as source, with the locked build tools.
LOCKED := $(PIP) --require-hashes --no-build-isolation --only-binary :all: --no-binary reuse
COMPILE = $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate --no-header --quiet

.PHONY: help cluster demo test test-fast test-slow test-hostile test-faults fuzz test-peers check lint types docs-check docs docs-site lock lock-torch sbom audit bench-all bench-quick bench-scoring bench-many bench-overhead bench-pools bench-feeding bench-demo bench-site bench-statistics models-smoke fidelity tiny-proof curation-classifier clean

help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

$(VENV)/run.stamp: requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "groundbench needs Python 3.11 or later; set PYTHON=..." >&2; exit 3; }
	@echo "installing groundbench into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip uninstall -qq --yes setuptools
	@$(BIN)/python $(LOCKED) -r requirements.lock -r requirements-build.lock
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "installing what development needs into $(VENV)"
	@$(BIN)/python $(LOCKED) -r requirements-dev.lock
	@touch $@

cluster: $(VENV)/run.stamp ## Add what `bench run --cluster` and `bench worker` need for Dask
	@$(BIN)/python $(LOCKED) -r requirements-cluster.lock

demo: $(VENV)/run.stamp ## Phantom, baseline, scores, leaderboard page: the whole way (containers where an engine answers)
	@$(BIN)/bench demo

# Several processes share the tests, a module at a time (tests/conftest.py); more than a few would wait for one.
SHARED = -n auto --maxprocesses 4 --dist loadscope

test: $(VENV)/dev.stamp ## Every test but the slow ones; container tests where an engine answers
	$(BIN)/python -m pytest -m "not slow" $(SHARED) $(PYTEST_ARGS)

test-fast: $(VENV)/dev.stamp ## The tests that start no command, container or browser: under a minute
	$(BIN)/python -m pytest -m "not costly and not docker and not slow" $(SHARED) $(PYTEST_ARGS)

test-slow: $(VENV)/dev.stamp ## The tests that take minutes
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-hostile: $(VENV)/dev.stamp ## Hostile plugins: a table of attacks and their outcomes
	$(BIN)/python -m pytest tests/hostile $(PYTEST_ARGS)

test-faults: $(VENV)/dev.stamp ## Kills, full disks, lost engines: a table of faults and their outcomes
	$(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)

FUZZ_TARGETS ?= headers events text reports index record table zip tar database segmentation plugin card names
FUZZ_SECONDS ?= 300

fuzz: $(VENV)/dev.stamp ## Hand readers of strangers' files what a fuzzer finds (FUZZ_TARGETS, FUZZ_SECONDS each)
	@$(BIN)/python $(LOCKED) -r requirements-fuzz.lock
	$(BIN)/python tests/fuzz/run.py $(FUZZ_TARGETS) --seconds $(FUZZ_SECONDS)

$(PEERS_VENV)/stamp: requirements-dev.lock requirements-build.lock requirements-peers.lock pyproject.toml
	@echo "installing MONAI, surface-distance and torch into $(PEERS_VENV)"
	@$(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python $(LOCKED) -r requirements-build.lock
	@$(PEERS_VENV)/bin/python $(LOCKED) -r requirements-dev.lock -r requirements-peers.lock
	@$(PEERS_VENV)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

test-peers: $(PEERS_VENV)/stamp ## The scorer beside MONAI and surface-distance, none of it skipped
	$(PEERS_VENV)/bin/python -c 'import monai, surface_distance, torch'
	$(PEERS_VENV)/bin/python -m pytest tests/harness/scoring/test_peers.py $(PYTEST_ARGS)

check: lint types docs-check ## Linters, licences of files, types, generated documentation

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/reuse lint --lines

types: $(VENV)/dev.stamp
	$(BIN)/mypy

$(VENV)/docs.stamp: requirements-docs.lock $(VENV)/dev.stamp
	@echo "installing Sphinx into $(VENV)"
	@$(BIN)/python $(LOCKED) -r requirements-docs.lock
	@touch $@

docs-site: $(VENV)/docs.stamp ## The documentation as a site that opens from disk; any warning stops it
	@$(BIN)/python -m sphinx -q -W --keep-going -n -c docs -d docs/_site/.doctrees -b html . docs/_site
	@echo "the documentation is at docs/_site/docs/index.html"

docs: $(VENV)/dev.stamp ## Write the generated parts of the documentation
	$(BIN)/python docs/generate.py

docs-check: $(VENV)/dev.stamp
	$(BIN)/python docs/generate.py --check

lock: $(VENV)/dev.stamp ## Renew the locks of the run-time, of the SDK, of clusters, of what builds, and of the development environment
	$(COMPILE) --upgrade --universal pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --universal pyproject.toml --extra cluster -o requirements-cluster.lock
	$(COMPILE) --upgrade --universal pyproject.toml --extra cluster --group build --group dev -o requirements-dev.lock
	$(COMPILE) --upgrade --universal --group pyproject.toml:build -c requirements-dev.lock -o requirements-build.lock
	$(COMPILE) --upgrade --universal --group pyproject.toml:docs -c requirements-dev.lock -o requirements-docs.lock
	$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_36 --group pyproject.toml:fuzz -c requirements-dev.lock -o requirements-fuzz.lock
	$(COMPILE) --universal -c requirements.lock containers/base/sdk.in -o containers/base/sdk.lock
	$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_36 --group pyproject.toml:peers -c requirements-dev.lock -c containers/base/torch.lock -o requirements-peers.lock

lock-torch: $(VENV)/dev.stamp ## Renew the lock of the torch layer; every image with torch is built anew after it
	$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_36 containers/base/torch.in -o containers/base/torch.lock

SBOM ?= sbom
sbom: $(VENV)/dev.stamp ## List what harness, vendored scripts and images are made of, as CycloneDX documents in SBOM=FOLDER
	$(BIN)/python .ci/sbom.py $(SBOM)

audit: $(VENV)/dev.stamp ## Compare all locks with ADVISORIES=FILE, a snapshot of OSV's records; says where nobody could look
	$(BIN)/python .ci/audit.py $(ADVISORIES)

bench-all: $(VENV)/dev.stamp ## Every figure of docs/benchmarks.md as a ratio beside its limit, peers and the last one kept (BENCH_ARGS=--keep keeps them)
	$(BIN)/python tests/bench/bench_all.py --peers "$(PEERS)" $(BENCH_ARGS)

bench-quick: $(VENV)/dev.stamp ## The scorer beside its limit on small masks; fails on a ratio twice as bad
	$(BIN)/python tests/bench/bench_all.py --quick

bench-scoring: $(VENV)/dev.stamp ## Time the scorer beside well-known libraries, in one run
	$(BIN)/python tests/bench/bench_scoring.py --peers "$(PEERS)"

bench-many: $(VENV)/dev.stamp ## Time 20 submissions scored together beside one by one
	$(BIN)/python tests/bench/bench_many.py

bench-overhead: $(VENV)/dev.stamp ## Time the harness beside a bare docker run
	$(BIN)/python tests/bench/bench_overhead.py

bench-pools: $(VENV)/dev.stamp ## Time a run on this host beside a Dask worker and a Slurm job (root, Slurm, munge, Docker)
	$(BIN)/python -m tests.bench.bench_pools

bench-feeding: $(VENV)/dev.stamp ## Time how a model is fed: CTs read ahead, masks written behind, the loaders of a training
	$(BIN)/python tests/bench/bench_feeding.py

bench-demo: $(VENV)/dev.stamp ## Time the demo beside that of the commit before shards ran in pools
	$(BIN)/python -m tests.bench.bench_demo

bench-site: $(VENV)/dev.stamp ## Build and open the board of 1,000 runs
	$(BIN)/python tests/bench/bench_site.py --out docs/benchmarks/site.md

bench-statistics: $(VENV)/dev.stamp ## Simulated boards: false claims, power and coverage, the table of docs/scoring.md
	$(BIN)/python tests/bench/bench_statistics.py $(BENCH_ARGS)

models-smoke: $(VENV)/dev.stamp ## Each model whose sources are here: image, container, random weights, two real CTs; a table
	$(BIN)/python tests/smoke/smoke_models.py $(SMOKE_ARGS)

fidelity: $(VENV)/dev.stamp ## The same numbers through upstream's functions and ours, with what is here (FIDELITY_PYTHON=FILE, FIDELITY_UPSTREAM=FOLDER); fetches nothing
	$(BIN)/python tests/fidelity/fidelity.py $(FIDELITY_ARGS)

TINY_ARGS ?=
tiny-proof: $(VENV)/dev.stamp ## Tiny learns: untrained, trained and killed on the way, texts exchanged (TINY_ARGS="--wheels FOLDER" builds it)
	$(BIN)/python tests/bench/tiny_proof.py $(TINY_ARGS)

curation-classifier: $(VENV)/dev.stamp ## Fit the offline classifier of curation; with PROMPTS=FILE, cross-validate it on labelled findings
	$(BIN)/python -m curation.classifier.train $(PROMPTS)

clean: ## Remove what make made here (not the results in .bench)
	rm -rf $(VENV) $(PEERS_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov
