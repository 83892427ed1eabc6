# make quickstart   set up and train a small agent from nothing, score and film it   (CONFIG=config/doom_quickstart.yaml: Doom)
# make demo         set up, score and film the agent that ships, which learned for longer   (AGENT=pretrained/doom: Doom)
# make pages        docs/dream/: pages on which to act in the dreams of the agents that ship
# make install      set up alone, for what you run yourself: source .venv/bin/activate   (TENSORFLOW=gpu: for NVIDIA)
# make test         set up and run the test suite
# make benchmark    measure the speed table, about 25 minutes in which nothing else should run
# make lint         what the code has to look like
# make clean        delete what is made again in a minute, and say what else may go

PYTHON ?= python3
CONFIG ?= config/quickstart.yaml
AGENT ?= pretrained/carracing
TENSORFLOW ?= cpu
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
# Of 10,000 files, on all cores; pip takes one, for a minute. Images that set PYTHONDONTWRITEBYTECODE need it done here.
COMPILE := $(VENV)/bin/python -W ignore -m compileall -qq -j 0 $(CURDIR)/$(VENV)/lib
TELL := echo "packages go into $(VENV): about 0.8 GB to download and 2.5 GB on disk, in a minute or two"
VERSION := import sys; print("%d.%d" % sys.version_info[:2])

# All that runs here is .venv's: these would have Python or pip look, or install, elsewhere.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONUSERBASE PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT

.PHONY: quickstart demo pages install test benchmark lint clean FORCE

quickstart: $(VENV)/.installed
	@extra=$$($(VENV)/bin/python -m utils.run.cli '$(CONFIG)' extra) && \
	if [ -n "$$extra" ]; then $(MAKE) --no-print-directory $(VENV)/.installed-$$extra; fi
	$(VENV)/bin/python 01_generate_data.py --config '$(CONFIG)' --brief
	$(VENV)/bin/python 02_train_vae.py --config '$(CONFIG)' --brief
	$(VENV)/bin/python 03_generate_rnn_data.py --config '$(CONFIG)' --brief
	$(VENV)/bin/python 04_train_rnn.py --config '$(CONFIG)' --brief
	$(VENV)/bin/python 05_train_controller.py --config '$(CONFIG)' --brief
	@run=$$($(VENV)/bin/python -m utils.run.cli '$(CONFIG)' run) && \
	echo "its score, and its film" && \
	$(VENV)/bin/python render_agent.py "$$run" --random --film "$$run/videos/agent.webp" --json "$$run/score.json" && \
	echo && echo "all figures" && \
	$(VENV)/bin/python -m utils.figures "$$run" --episodes 20 && \
	echo && \
	echo "film            $$run/videos/agent.webp" && \
	echo "scores          $$run/score.json" && \
	echo "all of it       $$run/report.html" && \
	echo "act in a dream  $$run/dream.html"

demo: $(VENV)/.installed
	@extra=$$($(VENV)/bin/python -m utils.run.cli '$(AGENT)/config.yaml' extra) && \
	if [ -n "$$extra" ]; then $(MAKE) --no-print-directory $(VENV)/.installed-$$extra; fi
	@mkdir -p runs
	$(VENV)/bin/python render_agent.py '$(AGENT)' --film 'runs/$(notdir $(AGENT)).webp'
	@echo && \
	echo "its film        runs/$(notdir $(AGENT)).webp: open it in a browser" && \
	echo "live            .venv/bin/python render_agent.py $(AGENT) --window" && \
	echo "in its dream    .venv/bin/python render_agent.py $(AGENT) --dream --window: press m to act yourself" && \
	echo "in a browser    make pages, then open docs/dream/index.html"

pages: $(VENV)/.installed
	@mkdir -p docs/dream && echo '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Dreams</title>' > docs/dream/index.html
	@for agent in pretrained/*; do name=$$(basename "$$agent") && \
	  $(VENV)/bin/python -m utils.figures "$$agent" dream_page && \
	  mv "$$agent/dream.html" "docs/dream/$$name.html" && \
	  echo "<p><a href=\"$$name.html\">$$name</a></p>" >> docs/dream/index.html || exit; \
	done
	@echo "all of them     docs/dream/index.html"

install: $(VENV)/.installed

test: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal

benchmark: $(VENV)/.installed
	$(PIP) -e '.[$(TENSORFLOW),mpich,doom,benchmark]' \
	  || echo "EnvPool or ViZDoom has no wheel for this system: rows will be missing"
	$(VENV)/bin/python -m benchmarks.speed

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Looked at each time. One whose Python is gone, as after an upgrade, is made anew; one without pip, as after Ctrl-C,
# gets it, and keeps what else is in it.
$(VENV)/pyvenv.cfg: FORCE
	@has=$$($(VENV)/bin/python -I -c '$(VERSION)' 2>/dev/null); \
	wanted=$$($(PYTHON) -I -c '$(VERSION)'); \
	case "$$wanted" in \
	  3.11|3.12|3.13) ;; \
	  *) if [ -z "$$has" ]; then \
	    echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is $${wanted:-not there}: make PYTHON=python3.12" >&2; exit 2; \
	  fi;; \
	esac; \
	case "$$has" in \
	  "") echo "$(PYTHON) -m venv --clear $(VENV)"; $(PYTHON) -m venv --clear $(VENV);; \
	  3.11|3.12|3.13) \
	    if [ "$(origin PYTHON)" != file ] && [ "$$has" != "$$wanted" ]; then \
	      echo "$(VENV) has Python $$has, $(PYTHON) is $${wanted:-not there}: rm -r $(VENV) first, or leave PYTHON= out" >&2; exit 2; \
	    fi; \
	    if ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1; then \
	      $(VENV)/bin/python -m ensurepip --upgrade >/dev/null && $(VENV)/bin/python -m pip --version >/dev/null && \
	        touch $(VENV)/pyvenv.cfg || \
	        { echo "$(VENV) has no pip: rm -r $(VENV) first, then run this again" >&2; exit 2; }; \
	    fi;; \
	  *) echo "$(VENV) has Python $$has; 3.11, 3.12 or 3.13 is needed: rm -r $(VENV), then make PYTHON=python3.12" >&2; exit 2;; \
	esac

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	@$(TELL)
	$(PIP) -e '.[$(TENSORFLOW),mpich]'
	$(COMPILE)
	touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) -e '.[$(TENSORFLOW),mpich,$*]'
	$(COMPILE)
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	@$(TELL)
	$(PIP) -e '.[$(TENSORFLOW),mpich,doom,test]'
	$(COMPILE)
	touch $(VENV)/.installed $@

# What takes a minute to make again. The rest is shown with its size, and is yours to delete.
clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache .mypy_cache docs/dream
	@echo && echo "also safe to delete:" && \
	if [ -d $(VENV) ]; then echo "  $$(du -sh $(VENV) | cut -f1)  $(VENV): make installs it again"; fi && \
	for run in runs/*/; do if [ -d "$$run" ]; then \
	  echo "  $$(du -sh "$$run" | cut -f1)  $$run: what a run learned, if no other run goes on from it; its rollouts/ and series/ alone if it shall only act"; \
	fi; done
