# `make run` is the main job, `make test` the tests; each sets everything up on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test check bench campaign crash-campaign wheels vagrant-box vagrant-test lock clean
.DELETE_ON_ERROR:

setup: .venv/run.stamp

run: setup
	$(BIN)/harness run

# One process more than the two cores that it is meant for: tests of real nodes wait most of their time.
test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 3 --dist worksteal

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.stamp
	$(BIN)/python -m benchmarks

# Many simulated runs, each with its own seed, at the levels that must hold and at one that must not.
SEEDS ?= 100
campaign: .venv/dev.stamp
	$(BIN)/python -m tests.campaign --seeds $(SEEDS)

# Real nodes, killed again and again under load.
CYCLES ?= 200
crash-campaign: .venv/dev.stamp
	$(BIN)/python -m tests.crash_campaign --cycles $(CYCLES)

# Whole machines as hosts; vagrant/README.md. The box is built when there is none, or after `rm` of it.
VAGRANT_BOX := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stormcellar/vagrant/debian12.box
wheels: .venv/run.stamp
	vagrant/wheels.sh $(BIN)/python

vagrant-box: $(VAGRANT_BOX)
$(VAGRANT_BOX):
	vagrant/box/build.sh $@

vagrant-test: wheels $(VAGRANT_BOX)
	vagrant/lab.sh vagrant/test.sh

# The lock files carry versions and hashes only; the dev lock is a superset of the other.
.venv/run.stamp: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
