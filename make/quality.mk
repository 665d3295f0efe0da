# Quality tools. Everything here works on this checkout; only `test` and `scenario` need the lab.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later

PY := $(VENV)/bin/python
# a unit test that hangs ends the run, with what every thread was at
HANG := -o faulthandler_timeout=240 -o faulthandler_exit_on_timeout=true

##@ Quality
.PHONY: lint
lint: ruff types yamllint ansible-lint changelog ## Every static check (ruff, mypy, yamllint, ansible-lint, changelog)

.PHONY: ruff
ruff: venv
	$(VENV)/bin/ruff check .

.PHONY: types
types: venv ## mypy --strict on the plugins
	$(VENV)/bin/mypy

.PHONY: yamllint
yamllint: venv
	$(VENV)/bin/yamllint --strict .

.PHONY: ansible-lint
ansible-lint: venv
	$(VENV)/bin/ansible-lint --offline --nocolor -q

.PHONY: changelog
changelog: venv
	$(VENV)/bin/antsibull-changelog lint

.PHONY: unit
unit: venv ## Unit tests, the fast way (ARGS="-k gate" narrows them down)
	$(PY) -m pytest -q tests/unit $(HANG) $(ARGS)

.PHONY: test-docs
test-docs: venv ## Is docs/coverage.md true, and is the repository in order?
	$(PY) -m pytest -q tests/docs $(ARGS)

.PHONY: integration
integration: venv ## Migrations, artefacts, backups and restores on a PostgreSQL of their own, and every inventory validated (no lab needed)
	tests/tools/host-packages.sh initdb=postgresql pgbouncer bwrap=bubblewrap openssl redis-server rclone age haproxy nginx curl ip=iproute2 node=nodejs npm \
	  prometheus amtool=prometheus-alertmanager prometheus-node-exporter prometheus-blackbox-exporter prometheus-redis-exporter \
	  prometheus-postgres-exporter /usr/lib/systemd/systemd-journal-remote=systemd-journal-remote
	tests/tools/logs-tools.sh >/dev/null
	$(PY) -m pytest -q --durations 25 $(addprefix tests/integration/,alembic artefacts awx backup celery diagnose disk edge emergency environment inventories lease \
	  locks logs monitoring notices postgres restore_step rollout runner seen site tls) $(ARGS)

.PHONY: eda
eda: venv-eda ## The rulebook in a real ansible-rulebook: what is posted to it, and what it runs (a JRE is installed; not part of make test)
	tests/tools/host-packages.sh java=openjdk-17-jre-headless
	$(PY) -m pytest -q tests/integration/eda $(ARGS)

.PHONY: store
store: venv ## Artefacts in a real MinIO, signed by a real cosign, with SBOMs (Go builds the server once, minutes; not part of make test)
	tests/tools/store-tools.sh
	$(PY) -m pytest -q tests/integration/store $(ARGS)

.PHONY: traces
traces: venv ## Traces in a real Jaeger, by the files of its role (Go builds it once, minutes; not part of make test)
	tests/tools/traces-tools.sh >/dev/null
	$(PY) -m pytest -q tests/integration/traces $(ARGS)

.PHONY: superset
superset: venv ## The eight dashboards in a real Superset over a PostgreSQL of its own (installed once, 800 MB; minutes; not part of make test)
	tests/tools/host-packages.sh initdb=postgresql
	$(PY) -m pytest -q --durations 10 tests/integration/superset $(ARGS)

.PHONY: superset-assets
superset-assets: venv ## Write the dashboards' files again, from lab/app/superset/described.py
	$(PY) lab/app/superset/make_assets.py

.PHONY: execution-environment
execution-environment: artefact venv-builder ## The image for AWX, ansible-runner and navigator, on Debian's packages, with verbs run from it (minutes; not part of make test)
	lab/nodes/bootstrap.sh lab
	$(PY) tests/tools/execution_environment.py

.PHONY: artefact
artefact: venv ## Build the archive and install it into build/inst, as a user would get it
	tests/tools/artefact.sh

.PHONY: sanity
sanity: artefact ## ansible-test sanity on the built artefact (TEST=validate-modules runs one of them)
	tests/tools/host-packages.sh shellcheck
	tests/tools/ansible-test.sh sanity $(if $(TEST),--test $(TEST)) $(ARGS)

.PHONY: ansible-units
ansible-units: artefact ## ansible-test units on the built artefact
	tests/tools/ansible-test.sh units $(ARGS)

.PHONY: importer
importer: artefact venv-importer ## galaxy-importer's check of the built artefact
	tests/tools/importer.sh

.PHONY: docs
docs: venv ## The documentation site, in build/docs/html
	$(PY) docs/site/build.py

.PHONY: verbs
verbs: venv ## Print docs/verbs.md again, from meta/verbs.yml
	$(PY) docs/site/verbs.py

.PHONY: guide-stack
guide-stack: venv ## Print docs/guide-stack.md again: what init writes for the repository that is shown there
	$(PY) docs/site/guide_stack.py

.PHONY: docs-lint
docs-lint: venv ## Do the documentation texts of plugins and roles hold together?
	ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/.collections $(VENV)/bin/antsibull-docs lint-collection-docs \
	  --plugin-docs --validate-collection-refs=dependent .

.PHONY: lab-ready
lab-ready: lab-up ## lab-up, and what site.yml needs besides: the repositories, and a builder where a server must be built
	@lab/bin/make-repos
	@if lab/bin/lab artefacts-missing; then lab/bin/lab builder-up; fi

.PHONY: lab-away
lab-away:
	@lab/bin/lab builder-down
	@lab/bin/lab down

.PHONY: scenario
scenario: venv ## One molecule scenario on the running lab: make scenario NAME=default (STEP=verify: one step of it)
	$(VENV)/bin/molecule $(or $(STEP),test) --no-command-borders --scenario-name $(or $(NAME),default)

.PHONY: faults
faults: venv ## What breaks, at which step, and what comes of it, on the running lab: the whole table (over an hour; ARGS=--missing goes on with it), docs/faults.md
	$(PY) -m pytest -q tests/integration/faults --whole $(ARGS)
	$(PY) tests/integration/faults/page.py

.PHONY: faults-quick
faults-quick: venv ## The cases of it that are part of make test
	$(PY) -m pytest -q tests/integration/faults $(ARGS)

.PHONY: upgrade
upgrade: venv ## Nodes that an earlier state of the collection laid down, under this one: on new nodes of the lab (a quarter of an hour; wants the history of git)
	$(PY) -m pytest -q tests/integration/upgrade $(ARGS)

.PHONY: test
test: venv ## Everything, lab included: a table at the end, logs in build/logs (ONLY="unit sanity" narrows it down)
	@$(PY) tests/tools/run_all.py $(ONLY)

.PHONY: bench
bench: venv-bench ## Speed on the running lab, as ratios to a one-task playbook: build/bench.json and .md (ONLY="rollback postgres": parts of it)
	tests/tools/host-packages.sh pgbench=postgresql prometheus amtool=prometheus-alertmanager prometheus-node-exporter \
	  prometheus-blackbox-exporter /usr/lib/systemd/systemd-journal-remote=systemd-journal-remote
	tests/tools/logs-tools.sh >/dev/null
	$(PY) tests/bench/bench.py $(ONLY)

.PHONY: dashboards
dashboards: venv-dashboards ## Make the dashboards' JSON again, from roles/grafana/dashboards/described.py
	$(VENV)/dashboards/bin/python roles/grafana/dashboards/generate.py

.PHONY: picture
picture: venv ## Draw docs/pictures/health.svg again, from a real run on the running lab
	$(PY) docs/pictures/health.py

.PHONY: dashboards-picture
dashboards-picture: venv ## Draw docs/pictures/dashboard-*.svg again: the dashboards' questions, asked of the running lab (ON= and API=: of another Prometheus)
	$(PY) docs/pictures/dashboards.py --api "$(or $(API),http://127.0.0.1:9090)" --on "$(or $(ON),lab/bin/lab ssh backend-1)" \
	  --minutes $(or $(MINUTES),60)

.PHONY: picture-report
picture-report: venv ## Draw docs/pictures/report.png again: a snapshot of a run's report (needs chromium)
	$(PY) docs/pictures/report.py

.PHONY: reference
reference: venv ## Print docs/reference.md again, from the tables that inventories are checked by
	$(PY) docs/reference.py

.PHONY: hooks
hooks: ## Install the local pre-commit hook of git (ruff, yamllint, unit tests: seconds)
	install -m 0755 tests/tools/pre-commit.sh "$$(git rev-parse --git-path hooks)/pre-commit"
