# Two commands for a newcomer: `make train` and `make test`. Both set everything up first.
#   make train                      the main job on a synthetic genome: FASTA to report in a few minutes
#   make train GENOME=path.fa.gz    the same on your own genome, with a recipe chosen for six minutes of training here
#   make train GENOME=... HOURS=2   or for two hours
#   make test                       all tests, including style and types
#   make test-fast                  tests without Ray, ranks, servers or many examples, for use while editing
#   make check                      style, types, floors
#   make coverage                   all tests with line coverage; fails below the minimum in pyproject.toml
#   make fuzz                       a thousand damaged stores, shard sets, checkpoints and texts of each kind, and a table
#   make fuzz-guided SECONDS=60     texts that reach new code, for so long at each door; Python 3.11 to 3.13
#   make chaos TIMES=20             faults of processes, disks, buckets, nodes, networks and clocks, each so many times,
#                                   and a table (hours; two nodes: as root, with `ip netns`)
#   make gpu                        the first hour on a GPU: right, in memory, fast? JSON in bench/results
#   make bench                      side-by-side measurements (see bench/)
#   make export-check               an exported model opened by transformers, in an environment without hdna
#   make notebook                   docs/notebooks executed anew, with their outputs, in place (minutes)
#   make docs                       the documentation as a site, in site/; fails on a broken link
#   make clean                      remove the environment and the output of `make train` and `make docs`

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DOCS_READY := $(VENV)/docs-ready
FUZZ_READY := $(VENV)/fuzz-ready
OTHER_VENV := work/without-hdna
OTHER_READY := $(OTHER_VENV)/ready
EXPORTED := work/export-check

empty :=
space := $(empty) $(empty)
HOURS := 0.1

ifdef GENOME
  # A file's name may have spaces: escaped as a prerequisite, quoted for a shell, underscores in names made of it.
  GENOME_FILE := $(subst $(space),\ ,$(GENOME))
  QUOTED := '$(subst ','\'',$(GENOME))'
  NAME := $(shell basename $(QUOTED) .gz | sed -E 's/\.[^.]*$$//; s/[^A-Za-z0-9._-]+/_/g; s/^[._-]+|[._-]+$$//g')
  RECIPE := work/$(NAME)/recipe.yaml
else
  NAME := quickstart
  RECIPE := quickstart
endif
WORK := work/$(NAME)
RUN := runs/$(NAME)

SYNTH_BASES := 4000000
# Windows of 64 kb, so that even a genome of a few Mb gives each split a dozen or so.
WINDOW := 65536

DOORS := fasta fasta.gz genome bed recipe override metrics report
SECONDS := 60
TIMES := 20

.DELETE_ON_ERROR:
.PHONY: train test test-fast check style types coverage fuzz fuzz-guided chaos gpu bench export-check notebook docs clean

# At the end some evidence about the checkpoint, a minute's, and the report of it. A genome too small to give it is
# no failure: the report says what is missing.
train: $(WORK)/shards/manifest.json
	$(BIN)/hdna train '$(RECIPE)' data.shards='$(WORK)/shards' run.url='$(RUN)'
	@$(BIN)/hdna report '$(RUN)'
	-$(BIN)/hdna eval context '$(RUN)' --out '$(RUN)/benefits/context' --max-bases 20000
	-$(BIN)/hdna eval needle '$(RUN)' --out '$(RUN)/benefits/needle' --copies 16
	@$(BIN)/hdna eval report '$(RUN)' --out '$(RUN)/benefits'

ifdef GENOME
$(WORK)/store.zarr/manifest.json: $(GENOME_FILE) | $(READY)
	@rm -rf $(WORK)/store.zarr
	$(BIN)/hdna prep genome $(QUOTED) --out $(WORK)/store.zarr --assembly $(NAME)

$(RECIPE): $(WORK)/store.zarr/manifest.json
	@rm -f $@
	$(BIN)/hdna init $(WORK)/store.zarr --out $@ --hours $(HOURS)

# The recipe's own command, which has the window and the splits that it was chosen with.
$(WORK)/shards/manifest.json: $(RECIPE)
	@rm -rf $(WORK)/shards
	PATH="$(CURDIR)/$(BIN):$$PATH" sh -ec "$$(sed -n 's/^#   \(hdna prep shards .*\)/\1/p' $<)"
else
$(WORK)/shards/manifest.json: $(WORK)/store.zarr/manifest.json
	@rm -rf $(WORK)/shards
	$(BIN)/hdna prep shards $(WORK)/store.zarr --out $(WORK)/shards --window $(WINDOW)

$(WORK)/store.zarr/manifest.json: $(WORK)/genome.fa.gz | $(READY)
	@rm -rf $(WORK)/store.zarr
	$(BIN)/hdna prep genome $< --out $(WORK)/store.zarr --assembly synthetic

$(WORK)/genome.fa.gz: | $(READY)
	$(BIN)/hdna prep synth --out $@ --bases $(SYNTH_BASES) --contigs 4 --seed 2222
endif

# At most four processes: ranks and Ray's workers come on top.
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup --no-loadscope-reorder --durations=20

# The tests include the floors (tests/laws/test_door.py).
test: style types
	$(PYTEST) -m 'not chaos'

test-fast: $(READY)
	$(PYTEST) -m 'not (ray or ranks or browser or server or lengthy)'

check: style types
	$(BIN)/lint-imports

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

coverage: $(READY)
	$(PYTEST) -m 'not chaos' --cov --cov-report=term

fuzz: $(READY)
	HDNA_FUZZ_TRIALS=1000 $(BIN)/python -m pytest -q -s tests/fuzz

fuzz-guided: $(FUZZ_READY)
	for door in $(DOORS); do $(BIN)/python tests/fuzz/guided.py $$door -max_total_time=$(SECONDS) || exit; done

chaos: $(READY)
	HDNA_CHAOS_TIMES=$(TIMES) $(BIN)/python -m pytest -q -s -p no:logging -m 'fault or chaos' tests/chaos tests/cluster

gpu: $(READY)
	$(BIN)/python bench/gpu/run.py

bench: $(READY)
	$(BIN)/python bench/model_step.py $(if $(REFERENCE),--reference $(REFERENCE))
	$(BIN)/python bench/data.py

# The same script as in `make test`, where an import hook keeps hdna away; here it is not installed at all.
export-check: $(READY) $(OTHER_READY)
	@rm -rf $(EXPORTED)
	PYTHONPATH=tests $(BIN)/python tests/support/exported.py tests/golden/order2_d32.safetensors $(EXPORTED)
	$(OTHER_VENV)/bin/python -I tests/interop/without_hdna.py $(EXPORTED)

notebook: $(READY)
	PYTHONPATH=tests:$$PYTHONPATH $(BIN)/python tests/support/notebooks.py docs/notebooks/*.ipynb

docs: $(DOCS_READY)
	$(BIN)/mkdocs build --strict

# The constraints file pins every version, including torch: an unpinned torch may pull in gigabytes of CUDA packages.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else f"hdna needs Python 3.11 to 3.14, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(OTHER_READY): constraints.txt | $(READY)
	$(PYTHON) -m venv $(OTHER_VENV)
	$(OTHER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch transformers
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(FUZZ_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) work runs site
