# Every target that needs Python sets up $(VENV) first, and again whenever pyproject.toml changes.
# Another place or interpreter: make test VENV=/somewhere/else PYTHON=python3.13

VENV   ?= .venv
PYTHON ?= python3
ARGS   ?=

PY    := $(VENV)/bin/python
STAMP := $(VENV)/.complete
PDFS  := $(patsubst generated/%.tex,build/%.pdf,$(wildcard generated/*.tex))

.PHONY: help setup generate test sweep accuracy mutate bench lint format check pdf clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## set up the virtual environment (the other targets do so by themselves)
	@:

generate: $(STAMP) ## derive every network of specs/ into generated/
	@$(PY) -m derive generate specs/*.toml --out generated/

test: $(STAMP) ## run the tests (a part: make test ARGS="-k softmax")
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

sweep: $(STAMP) ## run the random tests with thousands of formulas (half an hour)
	@OMP_NUM_THREADS=1 DERIVE_RANDOM_FORMULAS=2000 DERIVE_RANDOM_NETWORKS=200 $(PY) -m pytest -q -n 2 -k random $(ARGS)

accuracy: $(STAMP) ## measure each layer and loss of the library (some: make accuracy ARGS="lstm gru")
	@OMP_NUM_THREADS=1 $(PY) tests/library_configurations.py $(ARGS)

mutate: $(STAMP) ## break the backward passes of layers and count what the checks notice
	@OMP_NUM_THREADS=1 $(PY) tests/test_layer_mutations.py $(ARGS)

# Without these the allocator would give large temporaries back to the system after every step, and
# the peers would pay for fresh pages; what is generated allocates none.
bench: $(STAMP) ## compare with PyTorch, JAX and others (a part: make bench ARGS="steps lstm --quick")
	@MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 MALLOC_TOP_PAD_=268435456 \
	  $(PY) -m benchmarks $(ARGS)

lint: $(STAMP) ## check style and types
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet || { echo "make format would reformat these files:" >&2; \
	  $(PY) -m ruff format --check; exit 1; }
	@$(PY) -m mypy --no-error-summary

format: $(STAMP) ## put the sources into the house style
	@$(PY) -m ruff check --quiet --fix-only
	@$(PY) -m ruff format --quiet

check: lint test ## all that must pass before a change is committed

pdf: $(PDFS) ## typeset the derivations of generated/ into build/ (needs pdflatex)

clean: ## remove what can be built again, the virtual environment aside
	@rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# LaTeX runs twice: the second run resolves the references to equations.
build/%.pdf: generated/%.tex
	@command -v pdflatex >/dev/null || { \
	  echo "pdflatex is missing (Debian, Ubuntu: sudo apt install texlive-latex-base)" >&2; exit 1; }
	@mkdir -p build
	@for run in 1 2; do pdflatex -interaction=nonstopmode -halt-on-error -output-directory=build $< >build/$*.out.txt \
	  || { tail -n 20 build/$*.out.txt >&2; rm -f $@; exit 1; }; done
	@echo $@

# A virtual environment whose interpreter has since been removed is no longer complete.
ifneq ($(shell test -x $(PY) && echo runs),runs)
.PHONY: $(STAMP)
endif

# The stamp is written last, so that a setup cut short is taken up again by the next target.
# Only what is already a virtual environment is ever cleared.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "Name another one: make PYTHON=python3.13" >&2; exit 1; }
	@command -v uv >/dev/null || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments (Debian, Ubuntu: sudo apt install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, up to a minute)"
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --seed --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
	  uv pip install --quiet --python $(PY) --editable '.[dev,viz]'; \
	else \
	  { $(PY) -m pip --version >/dev/null 2>&1 || \
	    $(PYTHON) -m venv $$(test ! -f $(VENV)/pyvenv.cfg || echo --clear) $(VENV); } && \
	  $(PY) -m pip install -qq --disable-pip-version-check --no-compile --editable '.[dev,viz]'; \
	fi
	@touch $@
