# make demo      install into .venv, animate with the bundled networks, say where the results lie
# make test      every test but the slow ones        make test-all  the slow ones too
# make lint      ruff                                make clean     remove .venv and caches
#
# Tests inside ComfyUI run where COMFYUI_DIR (default ~/ComfyUI) holds one; what it needs is
# installed into .venv first, all but torchaudio, whose builds lag behind those of torch.
#
# TESTS_AT_ONCE=1 runs the tests one after the other.
#
# PYTHON=python3.12 picks the interpreter; PIP_ARGS is handed to pip, for example
# PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" for a small torch without CUDA.

PYTHON ?= python3
PIP_ARGS ?=
OUT ?= outputs/demo
COMFYUI_DIR ?= $(HOME)/ComfyUI
TESTS_AT_ONCE ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
PYTEST = $(RUN) -m pytest -q -n $(TESTS_AT_ONCE) --dist loadfile
STAMP := $(VENV)/.installed
COMFYUI := $(wildcard $(COMFYUI_DIR)/requirements.txt)
COMFYUI_STAMP := $(if $(COMFYUI),$(VENV)/.comfyui)

.PHONY: demo install test test-all lint clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	@$(RUN) -m lgfa demo --out $(OUT)

install: $(STAMP)

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): requirements.txt requirements-standalone.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python 3.10 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -r requirements-dev.txt
	@touch $(STAMP)

$(VENV)/.comfyui: $(STAMP) $(COMFYUI)
	grep -v '^torchaudio' $(COMFYUI) > $(VENV)/comfyui.txt
	$(RUN) -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) \
		-r $(VENV)/comfyui.txt requests
	@touch $@

test: $(STAMP) $(COMFYUI_STAMP)
	COMFYUI_DIR=$(COMFYUI_DIR) $(PYTEST) -m "not slow"

test-all: $(STAMP) $(COMFYUI_STAMP)
	COMFYUI_DIR=$(COMFYUI_DIR) $(PYTEST)

lint: $(STAMP)
	$(RUN) -m ruff check .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache outputs/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
