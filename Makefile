# phasegate.aistack: `make help` lists what there is.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

VENV := .venv
PLAYBOOK := $(VENV)/bin/ansible-playbook
LAB := lab/bin/lab
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

##@ The lab
.PHONY: demo
demo: venv ## Three nodes from bare to running, phase by phase (repeat it as you like; interrupted, it goes on)
	@lab/nodes/demo.sh

.PHONY: lab-up
lab-up: venv ## Start the three nodes (images are built on the first run)
	@lab/nodes/bootstrap.sh lab
	@$(LAB) up

.PHONY: lab-down
lab-down: ## Stop the nodes and keep what is on them
	@$(LAB) down

.PHONY: logs
logs: ## Errors and the last lines of every node's journal (NODE=backend-1 UNIT=name N=100 narrow it down)
	@$(LAB) logs --lines "$(or $(N),30)" $(if $(UNIT),--unit "$(UNIT)") $(NODE)

.PHONY: shell
shell: ## A shell on a node: make shell NODE=backend-1
	@$(LAB) ssh $(or $(NODE),backend-1)

##@ This checkout
.PHONY: venv
venv: ## Make .venv from the hash-locked file (does nothing where it is up to date)
	@lab/nodes/bootstrap.sh venv
	@lab/nodes/venv.py controller

.PHONY: venv-importer
venv-importer: ## Make .venv/importer, where galaxy-importer lives
	@lab/nodes/bootstrap.sh venv
	@lab/nodes/venv.py controller
	@lab/nodes/venv.py importer

.PHONY: venv-bench
venv-bench: venv ## Make .venv/bench, where the load generator lives
	@lab/nodes/venv.py bench

.PHONY: venv-eda
venv-eda: venv ## Make .venv/eda, where ansible-rulebook lives
	@lab/nodes/venv.py eda

.PHONY: venv-builder
venv-builder: venv ## Make .venv/builder, where ansible-builder lives
	@lab/nodes/venv.py builder

.PHONY: venv-dashboards
venv-dashboards: venv ## Make .venv/dashboards, where grafana-foundation-sdk lives
	@lab/nodes/venv.py dashboards

.PHONY: lock
lock: venv ## Compile requirements/*.in again, within the pins that they name
	@for name in controller importer bench eda builder dashboards go; do \
	  $(VENV)/bin/python lab/nodes/venv.py --lock $$name; done

.PHONY: clean
clean: ## Remove the lab's containers, network and images, .lab, .venv and build; downloads stay in the cache
	@if [[ -x $(LAB) ]]; then $(LAB) clean; fi
	rm -rf .lab .venv build .ansible

.PHONY: distclean
distclean: clean ## clean, and the cache of node images and built servers as well
	@rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/phasegate-lab"

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include make/*.mk
