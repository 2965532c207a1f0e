# Each target is one command over scripts/; `make help` lists them.
PYTHON ?= python3

RUN := .venv/bin/python -m scripts.run
# Not the steps in constructs_lib: they run behind a shared beginning, and a unit test checks them so joined.
SHELL_SCRIPTS = $(shell git ls-files '*.sh' ':!constructs_lib') scripts/edge-gpu scripts/diff-in-workflow

.PHONY: help setup setup-checks deploy preflight diff destroy edge-images report test faults check checkov unit lint types \
	test-cdktn snapshots lab-up lab-down bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: ## Install what the commands need: Debian packages (as root), .venv, Node.js 22 with cdktf, .env
	@$(PYTHON) -m scripts.setup

setup-checks:
	@$(PYTHON) -m scripts.setup --checks

deploy: setup ## Bring the fleet up (the embedded lab by default), check its GPUs, print the table
	@$(RUN) python -m scripts.edge_gpu deploy

preflight: setup ## Look at the fleet's nodes, and change nothing: a table, and build/preflight.json
	@$(RUN) python -m scripts.preflight

diff: setup ## Show what a deploy would change: exit code 0 nothing, else make's; ARGUMENTS="--no-refresh ..."
	@$(RUN) python -m scripts.edge_gpu diff $(ARGUMENTS)

destroy: setup ## Take K3s off the fleet's nodes
	@$(RUN) python -m scripts.edge_gpu destroy

edge-images: setup ## Build the fleet file's container images, push them, hand them to its nodes (docs/images.md)
	@$(RUN) cdktf deploy edge-images --auto-approve

report: setup ## Print the table of the last deploy again
	@$(RUN) python -m scripts.report

test: lint types ## All checks: lint, types, unit, synth and lab tests, and the fault suite on a lab of its own
	@$(RUN) pytest tests/unit tests/synth tests/reuse tests/lab --ignore=tests/lab/faults
	@$(RUN) python -m lab down
	@$(RUN) python -m scripts.faults

check: lint types unit checkov ## What needs no credentials, no fleet and no lab, as .github/workflows/check.yml runs it

checkov: setup-checks ## checkov on the example fleet's synthesized stacks
	@$(RUN) python -m scripts.checkov

faults: setup ## The fault suite alone, on a lab of its own: build/faults.json and a table
	@$(RUN) python -m scripts.faults

unit: setup-checks ## The tests that need no lab
	@$(RUN) pytest tests/unit tests/synth tests/reuse

snapshots: setup-checks ## Write the snapshots of example fleets and the generated pages anew
	@$(RUN) python -m tests.snapshots.snapshot
	@$(RUN) python -m scripts.reference

test-cdktn: setup-checks ## Unit, synth and reuse tests on CDK Terrain (cdktn) in place of CDKTF
	@$(RUN) python -m scripts.cdktn

lint: setup-checks ## ruff and shellcheck
	@$(RUN) ruff check .
	@$(RUN) shellcheck $(SHELL_SCRIPTS)

types: setup-checks ## mypy --strict
	@$(RUN) mypy

lab-up: setup ## Start the embedded lab: three nodes and a site mirror
	@$(RUN) python -m lab up

lab-down: setup ## Remove the embedded lab
	@$(RUN) python -m lab down

bench: setup ## Measure set-up, synth, deploy, second deploy and destroy: build/bench.json and a table
	@$(RUN) python -m scripts.bench

lock: setup ## Resolve the dependencies anew: Pipfile.lock, package-lock.json, scripts/pipenv-requirements.txt
	@$(PYTHON) -m scripts.lock

clean: ## Remove what make made in this checkout; not .edge (secrets and state), nor the cache outside of it
	rm -rf .venv .venv-cdktn node_modules .env cdktf.out cdktf.log build .mypy_cache .ruff_cache .pytest_cache
