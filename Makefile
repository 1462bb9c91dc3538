# Two commands: `make demo` runs the main job, `make test` passes the tests. Each does its own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OUT ?= $(if $(DATA),demo-output-own,demo-output)
PY = $(VENV)/bin/python
PIP = $(PY) -m pip install --quiet --no-deps --no-compile --disable-pip-version-check

.PHONY: setup demo gallery test test-slow check format lock clean

# Set-up is done again only when a lock file changed. --no-deps: the lock is complete, and nothing else may come.
$(VENV)/ready: requirements.lock pyproject.toml
	@echo "emohead: setting up $(VENV) (about 2 minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit("emohead needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@date +%s > .setup-started
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || ($(PYTHON) -m pip install --quiet virtualenv && $(PYTHON) -m virtualenv $(VENV))
	@$(PIP) -r requirements.lock
	@$(PIP) --no-build-isolation --editable .
	@echo $$(( $$(date +%s) - $$(cat .setup-started) )) > $(VENV)/setup-seconds; rm -f .setup-started
	@touch $@

# The tests prove every extra, too: encoders and video diffusion on small models in the real formats.
EXTRAS = $(wildcard requirements-*.lock)
$(VENV)/ready-dev: $(VENV)/ready $(EXTRAS)
	@$(PIP) $(foreach extra,$(EXTRAS),-r $(extra))
	@touch $@

setup: $(VENV)/ready

# make demo                 the sample clips emohead makes itself
# make demo DATA=folder     your own videos
demo: $(VENV)/ready
	@seconds=$$(cat $(VENV)/setup-seconds 2>/dev/null || true); rm -f $(VENV)/setup-seconds; \
	EMOHEAD_SETUP_SECONDS=$$seconds $(VENV)/bin/emohead demo --out "$(OUT)" $(if $(DATA),--data "$(DATA)") $(ARGS)

# Every emotion of the demo's head at a glance: demo-output/gallery/
gallery: $(VENV)/ready
	$(VENV)/bin/emohead gallery --out "$(OUT)" --identity $(or $(IDENTITY),iris) $(ARGS)

test: $(VENV)/ready-dev
	$(PY) -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder -q

test-slow: $(VENV)/ready-dev
	$(PY) -m pytest -m slow -q

check: $(VENV)/ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/pyright

format: $(VENV)/ready-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(VENV)/ready-dev
	$(PY) .ci/lock.py

clean:
	rm -rf demo-output demo-output-own build *.egg-info
