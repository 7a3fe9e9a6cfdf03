# With Python 3.11 or newer and make alone: `make demo` shows what this does, `make test` that it works.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --constraint constraints.txt
TORCH = $(shell grep '^torch==' constraints.txt)
COVERAGE =  # `make test COVERAGE=--cov` measures it, half as slow again, and fails below the bound in pyproject.toml
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1  # a process; two test processes share the cores
LABEL_PIP = .venv-label/bin/python -m pip install --quiet --constraint constraints-label.txt

.PHONY: demo test slow test-label lint bundles docs audit hooks clean

demo: .venv/installed
	.venv/bin/python -m mednoisy demo --output demo

test: .venv/ready-for-tests
	$(ONE_THREAD) .venv/bin/python -m pytest -n 2 -m "not slow" $(COVERAGE)

slow: .venv/ready-for-tests
	$(ONE_THREAD) .venv/bin/python -m pytest -n 2 -m slow

test-label: .venv-label/ready  # MONAI Label's real server and client, in an environment of their own
	$(ONE_THREAD) .venv-label/bin/python -m pytest tests/label

lint: .venv/ready-for-tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bundles: .venv/installed  # after a change of bundles' parts
	.venv/bin/mednoisy render $(dir $(wildcard bundles/*/dataset.yaml))

docs: .venv/ready-for-docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict  # into site/

audit: .venv/installed  # licences of what is needed, then known vulnerabilities, which takes a network
	.venv/bin/python benchmarks/licenses.py
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

hooks: .venv/ready-for-tests
	$(PIP) --editable '.[dev]'
	.venv/bin/pre-commit install

clean:
	rm -rf .venv .venv-label build demo site *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.* htmlcov

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) $(TORCH)  # first and alone, so that nothing else decides on its build
	$(PIP) --editable .
	touch $@

.venv/ready-for-tests: .venv/installed
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps dynamic-network-architectures  # nnU-Net's networks; they use nothing of what comes with it
	touch $@

.venv/ready-for-docs: .venv/installed
	$(PIP) --editable '.[docs]'
	touch $@

# MONAI Label needs numpy 1 and Python 3.11 (it imports what 3.12 has no more), and a torchvision beside a torch for CPUs.
.venv-label/ready: setup.cfg pyproject.toml constraints-label.txt tests/label/_torchvision_operators.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 is needed: make PYTHON=..." if sys.version_info[:2] != (3, 11) else 0)'
	$(PYTHON) -m venv .venv-label
	$(LABEL_PIP) $(TORCH)
	$(LABEL_PIP) monailabel torchvision pytest pytest-timeout --editable .
	cp tests/label/_torchvision_operators.py $$(.venv-label/bin/python -c 'import site; print(site.getsitepackages()[0])')
	echo 'import _torchvision_operators' > $$(.venv-label/bin/python -c 'import site; print(site.getsitepackages()[0])')/_torchvision_operators.pth
	touch $@
