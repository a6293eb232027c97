# Everything a developer or a newcomer runs. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo test check unit proof planted docs fix bench contract lock clean
VENV := .venv
BIN := $(VENV)/bin

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(VENV)/.server ## a whole fleet on this machine, with a board; Ctrl-C ends it all
	@$(BIN)/andon demo

test: $(VENV)/.test ## every check at a tenth of its count or less; what lands
	@tests/run test

check: $(VENV)/.test ## the static checks only
	@tests/run check

unit: $(VENV)/.test ## the tests only
	@tests/run unit

proof: $(VENV)/.test ## every check at its full count; resumable, ends with a table
	@$(BIN)/python -m tests.proof

planted: $(VENV)/.test ## plants known bugs in a copy and looks whether the tests find them; resumable
	@$(BIN)/python -m tests.planted

docs: $(VENV)/.test ## writes the generated parts of docs/ again
	@$(BIN)/python docs/generate.py

fix: $(VENV)/.test ## formats, and repairs what can be repaired
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

bench: $(VENV)/.test ## the benchmarks, each as a ratio to a baseline in the same run
	@$(BIN)/andon bench ingest
	@$(BIN)/andon bench dispatch

contract: $(VENV)/.test ## takes the facts of GitHub's REST description from npm again
	@$(BIN)/python -m tests.contract.slice_github_openapi

lock: $(VENV)/.test ## chooses versions anew and writes requirements/*.txt
	@$(BIN)/pip install -q uv && requirements/lock.sh

clean: ## removes what this Makefile made
	rm -rf $(VENV) .andon-demo .proof .cache

$(VENV)/.server: requirements/server.txt requirements/set-up pyproject.toml
	@requirements/set-up server

$(VENV)/.test: requirements/test.txt requirements/set-up pyproject.toml
	@requirements/set-up test
