# make quickstart   set up and train a small agent from nothing, score and film it   (CONFIG=config/doom_quickstart.yaml: Doom)
# make demo         set up and score the agent that ships, which has learned for longer
# make test         set up and run the test suite
# make benchmark    measure the speed table, about 20 minutes in which nothing else should run
# make lint         what the code has to look like

PYTHON ?= python3
CONFIG ?= config/quickstart.yaml
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: quickstart demo test benchmark lint clean

quickstart: $(VENV)/.installed
	@extra=$$($(VENV)/bin/python -m utils.which $(CONFIG) extra) && \
	if [ -n "$$extra" ]; then $(MAKE) --no-print-directory $(VENV)/.installed-$$extra; fi
	$(VENV)/bin/python 01_generate_data.py --config $(CONFIG)
	$(VENV)/bin/python 02_train_vae.py --config $(CONFIG)
	$(VENV)/bin/python 03_generate_rnn_data.py --config $(CONFIG)
	$(VENV)/bin/python 04_train_rnn.py --config $(CONFIG)
	$(VENV)/bin/python 05_train_controller.py --config $(CONFIG)
	@run=$$($(VENV)/bin/python -m utils.which $(CONFIG) run) && set -x && \
	$(VENV)/bin/python render_agent.py $$run --random --film $$run/videos/agent.webp --json $$run/score.json && \
	$(VENV)/bin/python -m utils.figures $$run --episodes 20 && \
	set +x && echo && \
	echo "film            $$run/videos/agent.webp" && \
	echo "scores          $$run/score.json" && \
	echo "all of it       $$run/report.html"

demo: $(VENV)/.installed
	$(VENV)/bin/python render_agent.py pretrained/carracing

test: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal

benchmark: $(VENV)/.installed
	$(PIP) '.[mpich,doom,benchmark]' \
	  || echo "EnvPool or ViZDoom has no wheel for this system: rows will be missing"
	$(VENV)/bin/python -m benchmarks.speed

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) '.[mpich]'
	touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) '.[mpich,$*]'
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) '.[mpich,doom,test]'
	touch $@

clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache
