# Every verb makes the virtual environment first. Wanted: Python 3.11 to 3.13, make, and a package index.
#   make demo      a small model, made from scratch, learns to work a database, in about five minutes
#   make test      the whole test suite, in two processes; WORKERS=0: in one
#   make site      the documentation as a site, into build/site

VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

# For two cores. Tests start browsers and servers of their own, so that a third process only gets in their way.
WORKERS ?= 2
# A file's tests run in one process, so that a server or browser that they share is started once; tests/conftest.py says
# in which order.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test check types format bench bench-cmat bench-kg bench-learning bench-os bench-sb3 bench-web docs site dist dist-whole
.PHONY: links install clean

help:
	@echo "make demo | test | check | types | format | bench | bench-cmat | bench-kg | bench-learning | bench-os"
	@echo "     bench-sb3 | bench-web | docs | site | dist | dist-whole | links | install | clean"

install:
	@.ci/install $(VENV)

demo: install
	$(BIN)/cmat demo

test: install links
	$(PYTEST)

check: install links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

types: install links
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Speed, side by side with transformers and TRL, into docs/performance.md; the others have pages of their own.
bench: install
	$(BIN)/python -m benchmarks

bench-os: install
	$(BIN)/python -m benchmarks.os_sandbox

bench-web: install
	$(BIN)/python -m benchmarks.web

bench-learning: install
	$(BIN)/python benchmarks/learning.py

bench-cmat: install
	$(BIN)/python benchmarks/cmat.py

bench-sb3: install
	$(BIN)/python benchmarks/sb3.py

bench-kg: install
	$(BIN)/python -m benchmarks.kg

# The picture of the README, made by the commands that the README shows.
docs: install
	rm -rf runs/picture
	$(BIN)/cmat eval cmat/DB-v0 --set level=2 --user echo --assistant demonstrator --checker oracle --dry-run \
	    --episodes 26 --record runs/picture
	$(BIN)/cmat replay runs/picture --episode 26 --svg docs/replay.svg

site: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

dist: install
	rm -rf dist build
	$(BIN)/python -m build
	.ci/test-wheel $(BIN)/python dist/*.whl

# The whole suite against the wheel, in a fresh environment; .ci/run is content with a part of it.
dist-whole: install
	rm -rf dist build
	$(BIN)/python -m build
	.ci/test-wheel-whole $(BIN)/python dist/*.whl

# Type checkers cannot follow setuptools' package-dir; these links are git-ignored.
links:
	@for room in agents envs policies; do [ -e cmat_env/$$room ] || ln -s ../$$room cmat_env/$$room; done

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f cmat_env/agents cmat_env/envs cmat_env/policies
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
