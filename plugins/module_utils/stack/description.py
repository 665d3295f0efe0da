# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The description of a stack as a table: every variable ``aistack_*``, every key below it, with its type, choices, default and meaning.

:mod:`core.schema` checks by it, ``docs/reference.md`` is printed from it. What refers to something else (names of components, groups,
ports) is checked in :mod:`stack.check.check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.options import BACKUP
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.rules import RULES
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import ROTATION
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import ENTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import OF_A_SLOT
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import ALERTS, METRICS
from ansible_collections.phasegate.aistack.plugins.module_utils.notice.messages import NOTICES
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_settings import OPTION as ARTEFACTS
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.compatible import RUNS_WITH
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.strategy import CAREFUL, STRATEGY
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.release_tasks import OPTION as RELEASE_TASKS

KINDS = ("python", "node", "static", "image")
DECISIONS = ("allow", "refuse")
RUNTIMES = ("systemd", "compose", "launchd", "windows")
MANAGED = ("systemd", "compose")
"""Of the runtimes those that a run can manage; the others may be described, for a node that is managed one day."""

ROLE_KINDS: Mapping[str, tuple[str, ...]] = {
    "backend": ("python",),
    "beat": ("python",),
    "container": ("image",),
    "frontend": ("node",),
    "static": ("static",),
    "worker": ("python",),
}
"""The roles of this collection that run releases, each with the kinds of releases that it can run."""

REACHED = ("comfyui", "edge", "minio", "ollama", "postgres", "redis")
"""Roles of servers that listen on ``aistack_address``."""
ASKING = ("comfyui", "ollama")
"""Of these the ones that let in only who comes ``after`` them, by their addresses."""

NAMES = "a list of names of variables"
A_PORT = "the name of a port in aistack_ports"
COMMANDS = "a list of commands, each a list such as [pytest, -q]"


def _listed(help: str, expected: str, default: tuple[str, ...] | None = None) -> Option:
    """A list of texts."""
    return Option("list", help, items=Option("text", ""), expected=expected, default=default)


_COMMANDS = Option("list", "the program and its arguments", items=Option("text|number", "a word"), expected="a list such as [pytest, -q]")
_PROBES = Option("dict", "a probe")

GATE_SETTINGS: Mapping[str, Option] = {
    "interval": Option("number", "seconds between two attempts of a probe", minimum=0, default=OF_A_SLOT["interval"]),
    "successes": Option("int", "passes one after another that a probe needs", minimum=1, default=OF_A_SLOT["successes"]),
    "failures": Option("int", "failures one after another that end the gate; 0 waits for the deadline", minimum=0,
                       default=OF_A_SLOT["failures"]),
    "min_healthy_time": Option("number", "seconds of passing without a break", minimum=0, default=OF_A_SLOT["min_healthy_time"]),
    "start_period": Option("number", "seconds at the beginning in which failures do not count", minimum=0,
                           default=OF_A_SLOT["start_period"]),
    "deadline": Option("number", "seconds that the gate may take", minimum=0, default=OF_A_SLOT["deadline"]),
}

IN_PHASES: Mapping[str, Option] = {
    **GATE_SETTINGS,
    "successes": replace(GATE_SETTINGS["successes"], default=1),
    "min_healthy_time": replace(GATE_SETTINGS["min_healthy_time"], default=0),
}
"""The same where no slot is judged."""

POLICY: Mapping[str, Option] = {
    "contract": Option("str", "steps that take something away that the live release may use", choices=DECISIONS, default="refuse"),
    "irreversible": Option("str", "steps without a downgrade", choices=DECISIONS, default="refuse"),
    "autocommit": Option("str", "steps that run outside a transaction", choices=DECISIONS, default="allow"),
    "unknown_sql": Option("str", "steps whose SQL cannot be shown before they run", choices=DECISIONS, default="refuse"),
    "lint": _listed("rules of squawk that refuse a step", "a list of names of rules"),
    "lint_missing": Option("str", "steps that squawk has not looked at, because it is not installed", choices=DECISIONS, default="allow"),
    "max_steps": Option("int", "steps that one deployment may bring; 0 is any number", minimum=0, default=0),
    "heads": Option("str", "several heads on purpose: all goes to every one of them", choices=("one", "all"), default="one"),
    "accept": _listed("revisions that somebody has looked at and takes as they are", "a list of revisions"),
}

MIGRATIONS: Mapping[str, Option] = {
    "tables": _listed("tables that have to be there afterwards", "a list of names of tables"),
    "x": Option("dict", "arguments for env.py, as alembic -x gives them", items=Option("text|number", "a value"),
                expected="a mapping of names to values"),
    "config": Option("str", "Alembic's configuration file, below the component's path", default="alembic.ini"),
    "database": Option("str", "the variable of the environment that holds the database's address", default="DATABASE_URL"),
    "policy": Option("dict", "what is refused; instead of aistack_migration_policy", keys=POLICY),
    "budget": Option("number", "seconds for all steps together", minimum=0, default=60),
    "lock_timeout": Option("number", "seconds that one wait for a lock may take", minimum=0, default=2),
    "statement_timeout": Option("number", "seconds that one statement may take; 0 is the budget", minimum=0, default=0),
    "backup": Option("bool", "dump the database before anything runs", default=True),
    "evidence": _listed("acceptance probes that what is live has to pass on the migrated schema", "a list of acceptance probes"),
}

SLOTS: Mapping[str, Option] = {
    "drain_timeout": Option("number", "seconds that running requests have in the old slot", minimum=0, default=60),
    "stop_timeout": Option("number", "seconds that the old slot's process has to end", minimum=0, default=30),
    "warm": Option("int", "seconds that the old slot stays up behind the new one", minimum=0, default=300),
    "long_tasks": Option("str", "workers: what a switch does about tasks longer than stop_timeout", choices=("tell", "wait", "refuse"),
                         default="tell"),
}

IMAGE: Mapping[str, Option] = {
    "build": Option("str", "the Dockerfile, below the component's path, which is the context of the build", default="Dockerfile",
                    expected="the name of a Dockerfile"),
    "target": Option("str", "stage of the Dockerfile that is built; the last one if left out"),
    "args": Option("dict", "build arguments; they stay in the image's history, so that no secret belongs here",
                   items=Option("text|number", "a value"), expected="a mapping of names to values"),
    "pull": Option("str", "instead of build: its name in a registry, without a tag, such as registry.example.com/shop/api"),
    "digests": Option("dict", "pull: by release the digest of its image", items=Option("str", "sha256:…"),
                      expected="a mapping of releases to digests"),
    "load": Option("str", "instead of build: an archive of docker save on the controller; {release} in it is filled in"),
    "sha256": Option("dict", "load: by release the SHA-256 of its archive", items=Option("str", "64 hexadecimal digits"),
                     expected="a mapping of releases to SHA-256"),
}

EDGE: Mapping[str, Option] = {
    "check": Option("str|dict", "path that a fit slot answers with 2xx or 3xx, or path, host, headers; without one a slot counts as fit"),
    "bind": _listed("addresses to listen on, instead of edge_bind", "a list of addresses"),
    "hosts": _listed("names it is served by; who asks by another is sent to the first", "a list of host names"),
    "trusted_proxies": _listed("proxies in front of the edge whose X-Forwarded-… count", "a list of addresses and networks"),
    "max_body": Option("text", "bytes of an upload, or a number with k, m or g"),
    "timeouts": Option("dict", "its own times, besides edge_timeouts, such as {server: 90s}"),
    "routes": Option("dict", "paths or host names, and the component whose slots answer below them",
                     expected="a mapping of paths to components"),
}

POOL: Mapping[str, Option] = {
    "edge": Option("str", "the group of hosts whose edges lead to those of its own hosts", required=True),
    "port": Option("str", "name in aistack_ports of the port that they listen on", required=True, expected=A_PORT),
    "check": Option("str|dict", "path that a fit host answers with 2xx or 3xx, or path, host, headers; without one a host is fit while a "
                    "slot of it takes requests"),
}

PYTHON: Mapping[str, Option] = {
    "version": Option("text", "major and minor version, in quotes; without a source it has to be on the node", required=True,
                      example='"3.13"'),
    "source": Option("str", "an archive with python/bin/python3 in it that runs anywhere: an address, or a file on the controller"),
    "sha256": Option("str", "SHA-256 of the archive"),
}

INCLUDE: Mapping[str, Option] = {
    "path": Option("str", "folder of the repository that is built, from its root", required=True),
    "lock": Option("str", "its lock file, of npm, pnpm or Yarn, in that folder", default="package-lock.json"),
    "build": Option("list", "commands that build it; npm run build if left out", items=_COMMANDS, expected=COMMANDS),
    "output": Option("str", "folder below path that its build writes, such as dist", required=True),
    "to": Option("str", "where that goes, below the component's path, such as app/static", required=True),
}

COMPONENT: Mapping[str, Option] = {
    "title": Option("str", "what it is, for people"),
    "role": Option("str", "the role that converges it: one of this collection, or another by its full name", required=True),
    "hosts": Option("str", "the group of the inventory that it runs on", required=True),
    "runtime": Option("str", "what runs its process; compose: containers of Docker, started by systemd. Others may be described, no run "
                      "works on them yet",
                      choices=RUNTIMES, default="systemd"),
    "after": _listed("components that come before it, and whose hosts may reach it", "a list of components"),
    "unit": Option("str", "the unit of systemd that it is, for logs; released components have units of their own"),
    "gate": Option("list", "probes that prove it (see Probes)", items=_PROBES, expected="a list of probes"),
    "gate_settings": Option("dict", "how its gate is judged; defaults are those of a slot", keys=GATE_SETTINGS),
    "application": Option("str", "the application whose release it runs"),
    "release_from": Option("str", "the component whose release it runs, instead of an application"),
    "kind": Option("str", "what its release is made as", choices=KINDS, default="python"),
    "image": Option("dict", "kind image: how its image is made", keys=IMAGE),
    "path": Option("str", "folder of the repository that it is made of; all of it if left out"),
    "lock": Option("str", "lock file with hashes, relative to path: of uv, pip, npm, pnpm, Yarn; a workspace's lies above: ../uv.lock"),
    "context": _listed("folders of the repository that it needs besides path, from the root; they keep their places", "a list of folders"),
    "includes": Option("list", "parts of its release that are built of other folders of the repository, before it is built itself",
                       items=Option("dict", "a part", keys=INCLUDE), expected="a list of parts, each with path, output and to"),
    "python": Option("dict", "the Python that its release is made with, instead of release_python", keys=PYTHON),
    "build": Option("list", "commands that build it; node: npm run build", items=_COMMANDS, expected=COMMANDS),
    "build_env": _listed("variables of its environment that a build gets", NAMES),
    "output": Option("str", "what is kept of a build; next-standalone is the server that Next.js puts together; static: a folder",
                     default="none"),
    "sdists": Option("bool|list", "packages that may be built on the node: their code runs there", items=Option("str", ""), default=False,
                     expected="true, false or a list of packages"),
    "install_scripts": Option("bool", "whether packages of npm may run scripts when they are installed", default=False),
    "tests": Option("list", "the release's own tests; one that fails marks it bad", items=_COMMANDS, expected=COMMANDS),
    "test_env": Option("dict", "values of variables for tests, instead of made-up ones", items=Option("text", "a value"),
                       expected="a mapping of names to values"),
    "test_env_from": _listed("variables of its environment that tests get with their real values", NAMES),
    "test_network": Option("bool", "whether tests may reach the network", default=False),
    "env": Option("str", "its entry in aistack_env; its own name if left out"),
    "port": Option("str", "name of its port in aistack_ports; <name>_blue and <name>_green are its slots'", expected=A_PORT),
    "edge": Option("dict", "how the edge fronts it", keys=EDGE),
    "pool": Option("dict", "one address for all of its hosts", keys=POOL),
    "metrics": METRICS,
    "options": Option("dict", "settings of its role; see below", expected="a mapping of names to values"),
    "assets": _listed("paths below which the other slot answers for a file that the live one lacks", "a list of paths, such as [/assets/]"),
    "writable": Option("list", "folders that its process may write: kept over releases, part of backup sets", expected="a list of folders"),
    "cache": Option("list", "folders that its process may write and that may be lost", expected="a list of folders"),
    "devices": _listed("devices that its process may use: gpu, /dev/…, char-…", "a list of devices"),
    "just_in_time": Option("bool", "whether its process may run code that it makes itself", default=False),
    "slots": Option("dict", "how long slots take their time", keys=SLOTS),
    "strategy": STRATEGY,
    "careful": CAREFUL,
    "runs_with": RUNS_WITH,
    "instances": Option("int", "processes of a slot on each host, 1 to 64, of workers and containers without a port; scale.yml changes it "
                        "while they work", minimum=1, default=1),
    "migrations": Option("dict", "that it brings Alembic's migrations, and how these run", keys=MIGRATIONS),
    "user": Option("str", "system user of its process; aistack-<component> if left out"),
}

PHASE: Mapping[str, Option] = {
    "title": Option("str", "what it is, for people"),
    "requires": _listed("phases that have to pass before it opens", "a list of phases"),
    "components": _listed("components that it converges, in this order", "a list of components"),
    "acceptance": _listed("probes of aistack_acceptance that it ends with", "a list of acceptance probes"),
    "note": Option("str", "said when it opens"),
}

APPLICATION: Mapping[str, Option] = {
    "repo": Option("str", "its git repository: an address, or a path on the controller", required=True),
    "release": Option("str", "the tag that is installed where nothing is live yet", required=True),
    "release_tasks": RELEASE_TASKS,
}

ENVIRONMENT: Mapping[str, Option] = {
    "schema": Option("list", "its variables; values are taken as they are where it is left out", items=Option("dict", "", keys=ENTRY),
                     expected="a list of mappings with name and type", label="name"),
    "values": Option("dict", "variable to value", items=Option("any", "", secret=True), expected="a mapping of names to values"),
}

VARIABLES: Mapping[str, Option] = {
    "aistack_name": Option("str", "the stack's name; units, files and reports have it", required=True, example="shop"),
    "aistack_root": Option("str", "where releases and tools are on nodes", required=True, example="/opt/aistack"),
    "aistack_state": Option("str", "where journal, credentials and backup sets are on nodes", required=True, example="/var/lib/aistack"),
    "aistack_address": Option("str", "of each host that serves others: the address under which they reach it", required=True,
                              example='"{{ ansible_host }}"'),
    "aistack_components": Option("dict", "what runs where, behind which gate", required=True, items=Option("dict", "", keys=COMPONENT),
                                 example="{api: {role: backend, hosts: aistack, …}}"),
    "aistack_phases": Option("dict", "in which order", required=True, items=Option("dict", "", keys=PHASE),
                             example="{phase0: {components: [api]}}"),
    "aistack_applications": Option("dict", "what has releases", items=Option("dict", "", keys=APPLICATION)),
    "aistack_acceptance": Option("dict", "probes by name, for phases to end with; each says from where", items=_PROBES),
    "aistack_ports": Option("dict", "every port of the stack by name, once", items=Option("port", "")),
    "aistack_env": Option("dict", "environments of released components by name", items=Option("dict", "", keys=ENVIRONMENT)),
    "aistack_backup": BACKUP,
    "aistack_notices": NOTICES,
    "aistack_rotations": Option("dict", "secrets by name that rotate.yml changes while they are in use", items=ROTATION),
    "aistack_triggers": Option("list", "when to go back (see Triggers)", items=Option("dict", ""), expected="a list of triggers"),
    "aistack_alerts": ALERTS,
    "aistack_traces": Option("dict", "where a run leaves its own trace, by OTLP over HTTP; see callback traces", keys={
        "url": Option("str", "address of the store, as the controller reaches it", required=True, example='"http://10.0.0.11:4318"'),
        "timeout": Option("number", "seconds that a run waits for it at its end", minimum=0.1, default=2),
    }),
    "aistack_diagnoses": RULES,
    "aistack_verify": Option("list", "probes of verify.yml, each with its level", items=_PROBES, expected="a list of probes"),
    "aistack_drain": Option("list", "probes that say that a rollback may go on after a drain", items=_PROBES, expected="a list of probes"),
    "aistack_gate_settings": Option("dict", "how every component's gate is judged in a phase", keys=IN_PHASES),
    "aistack_migration_policy": Option("dict", "what is refused of migrations", keys=POLICY),
    "aistack_artefacts": ARTEFACTS,
    "aistack_environment": Option("dict", "environment of what is fetched and built on nodes: proxy, certificates, index",
                                  items=Option("text", "a value", secret=True), expected="a mapping of names to values"),
    "aistack_ca": Option("str", "file on the controller with CA certificates that nodes trust"),
    "aistack_templates": Option("str", "folder on the controller with templates of documents that stand for those of the collection"),
    "aistack_hosts": Option("str", "the group that playbooks work on; on the command line alone (-e)", default="aistack"),
    "aistack_open_deadline": Option("number", "seconds that gates of required phases may take when a phase opens", minimum=0, default=30),
    "aistack_accept_deadline": Option("number", "seconds that acceptance may take", minimum=0, default=120),
    "aistack_proof_seconds": Option("number", "seconds for which a gate that passed counts in the same run", minimum=0, default=30),
    "aistack_extra_vars": Option("str|list", "names of variables of your own that begin like those of the collection, or come with -e",
                                 items=Option("str", ""), expected="a list of names"),
    "aistack_addresses": Option("dict", "the inventory's own: addresses by group; nothing here reads it"),
    "aistack_urls": Option("dict", "the inventory's own: addresses of services; nothing here reads it"),
    "aistack_secrets": Option("dict", "the inventory's own: secrets by name; nothing here reads it", secret=True),
    "aistack_secrets_dir": Option("str", "the inventory's own: where secrets come from; nothing here reads it"),
}
"""The variables of an inventory. ``required`` counts for every run."""

OWN = frozenset({"aistack_addresses", "aistack_secrets", "aistack_secrets_dir", "aistack_urls"})
"""Of these what an inventory has for itself: it is not looked at."""

OF_RUNS = frozenset({
    "aistack_accepted", "aistack_component", "aistack_component_name", "aistack_phase", "aistack_process",
    "aistack_proven", "aistack_release_request", "aistack_run", "aistack_said", "aistack_verb",
})
"""Variables that playbooks set; an inventory has no use for them."""
