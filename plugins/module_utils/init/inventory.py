# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first inventory of an application: what was found in its tree as commented YAML, and TODO where only its people know. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import Application, Found, Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_env import Variable
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_image import Image
from ansible_collections.phasegate.aistack.plugins.module_utils.init.environment import Environment

TODO = "TODO"
THIS_RELEASE = '      - {name: this release runs without restarts, unit: "${unit}", release: "${release}", restarts: 0}'
"""The probe of a slot of which no answer is known to tell the release: its process was started with it."""
SOUGHT = (
    "no web application was found (sought: FastAPI, Starlette, Flask at the top of a module or made by a function of the repository, "
    "Django's asgi.py); name it by init.yml -e app=module:object"
)
"""What is said where the repository shows none, and one is missed."""


@dataclass(frozen=True)
class Place:
    """What the operator said: name of the stack, the repository and its tag, the node and who logs in there.

    ``address`` and ``user`` may be empty: they become a TODO.
    """

    name: str
    repo: str
    tag: str
    address: str = ""
    user: str = ""
    secret_repo: bool = False  # the address had credentials, which are not written down


def text(value: str) -> str:
    """A scalar in double quotes; a template of the application's own stays as it is."""
    return ("!unsafe " if "{{" in value or "{%" in value or "{#" in value else "") + json.dumps(value, ensure_ascii=False)


class Inventory:
    """The files of one stack on one node, by their path below the inventory's folder."""

    def __init__(self, found: Application, place: Place) -> None:
        self.found, self.place = found, place
        self.database = place.name.replace("-", "_").replace(".", "_")
        self.env = Environment(found, self.database)

    def files(self) -> dict[str, str]:
        """Path to text."""
        folder = "group_vars/all"
        made = {
            "hosts.yml": self._hosts(),
            f"{folder}/stack.yml": self._stack(),
            f"{folder}/ports.yml": self._ports(),
            f"{folder}/services.yml": self._services(),
            f"{folder}/secrets.yml": self._secrets(),
        }
        if self.env.described() or self.env.left_out:
            made[f"{folder}/env.yml"] = self._env()
        return {path: "---\n" + "\n".join(lines).rstrip("\n") + "\n" for path, lines in made.items() if lines}

    def todos(self) -> list[str]:
        """``path: sentence`` for each thing that is left to do."""
        return [
            f"{path}: {line.partition(f'{TODO}: ')[2]}"
            for path, content in self.files().items() for line in content.splitlines() if f"{TODO}: " in line
        ]

    def _hosts(self) -> list[str]:
        place = self.place
        address = place.address or "192.0.2.10"
        lines = ["# The nodes by what runs there: groups, named by `hosts` in group_vars/all/stack.yml. A second node is a line."]
        lines += [] if place.address else [f"# {TODO}: the node's address, as Ansible reaches it."]
        lines += [] if place.user else [f"# {TODO}: ansible_user, who logs in there and may become root."]
        lines += ["all:", "  children:", "    aistack:   # every node, each with the application", "      vars:",
                  "        aistack_address: \"{{ ansible_host }}\"   # where other nodes and users reach it",
                  f"        ansible_user: {text(place.user or 'root')}",
                  "        ansible_become: true",
                  "        ansible_python_interpreter: /usr/bin/python3",
                  "      hosts:", f"        node-1: {{ansible_host: {text(address)}}}"]
        alone = [("data", f"one of them: {', '.join(self._services_used)}")] if self._services_used else []
        alone += [("beat", "exactly one of them")] if self.found.beat else []
        return [*lines, *(line for group, told in alone for line in (f"    {group}:   # {told}", "      hosts: {node-1: {}}"))]

    # -- what is there

    @property
    def _services_used(self) -> list[str]:
        return [name for name, used in (("postgres", self.env.postgres), ("redis", self.env.redis)) if used]

    @property
    def _released(self) -> list[str]:
        found = self.found
        wanted = (("api", found.web or found.image), ("worker", found.celery), ("beat", found.beat), ("web", found.frontend))
        return [name for name, there in wanted if there]

    def missed(self) -> bool:
        """Whether something is there, or nothing at all, that wants a web application, and none was found."""
        found = self.found
        return found.web is None and found.image is None and bool(found.alembic or not (found.celery or found.frontend))

    def _unnamed(self) -> list[str]:
        """The component that nobody found, to be filled in."""
        web = Found(self.found.path, "module", "object", "application")
        lines = Inventory(replace(self.found, web=web), self.place)._api()
        return [f"  # {TODO}: {SOUGHT}, or fill this in and name api in a phase.",
                *(f"  # {line[2:]}" for line in lines if not line.strip().startswith("#"))]

    def _stack(self) -> list[str]:
        place, released = self.place, self._released
        docker = ["docker"] if self.found.image else []
        ground = ["toolchain", *docker, *self._services_used, "edge", *(["backup"] if self._services_used else [])]
        lines = [
            f"# The stack {place.name}: what runs where, behind which gate. `ansible-doc phasegate.aistack.stack` and `.gate` have more.",
            f"aistack_name: {place.name}",
            "aistack_root: /opt/aistack        # on the node: releases and tools",
            "aistack_state: /var/lib/aistack   # on the node: journal, credentials, backup sets",
            *self._addresses(),
            "",
            "aistack_applications:",
        ]
        if place.secret_repo:
            lines.append(f"  # {TODO}: the address had a login, which belongs into a vault: repo: \"https://{{{{ vault_token }}}}@…\".")
        lines += [f"  {place.name}: {{repo: {text(place.repo)}, release: {text(place.tag)}}}   # releases are tags", "", "aistack_phases:"]
        lines += [f"  phase0: {{title: Ground, components: [{', '.join(ground)}]}}"]
        lines += [f"  phase1: {{title: The application, requires: [phase0], components: [{', '.join(released)}]}}"] if released else []
        lines += ["", "aistack_components:", "  toolchain: {role: toolchain, hosts: aistack}"]
        for name in [*docker, *self._services_used]:
            lines += getattr(self, f"_{name}")()
        lines += ["  edge:", "    role: edge", "    hosts: aistack", "    unit: haproxy.service", "    gate:",
                  "      - {name: edge runs, unit: haproxy.service}"]
        if self._services_used:
            unit = '"aistack-backup@{{ aistack_name }}.timer"'
            lines += ["  backup:", "    role: backup", "    hosts: aistack", f"    unit: {unit}", "    gate:",
                      f"      - {{name: a set every day, unit: {unit}}}"]
        for name in released:
            lines += ["", *getattr(self, f"_{name}")()]
        return [*lines, "", *self._unnamed()] if self.missed() else lines

    def _addresses(self) -> list[str]:
        """Where all nodes reach the servers, of which there is one each."""
        own = "{{ hostvars[groups['data'][0]].aistack_address }}"
        lines = ["# where every node finds the servers of the group data", f"aistack_addresses: {{data: \"{own}\"}}"]
        return lines if self._services_used else []

    def _docker(self) -> list[str]:
        return ["  docker:", "    role: docker   # Debian 13 or later", "    hosts: aistack", "    unit: docker.service", "    gate:",
                "      - {name: docker runs, unit: docker.service}"]

    def _postgres(self) -> list[str]:
        return ["  postgres:", "    role: postgres", "    hosts: data", "    unit: postgresql.service", "    gate:",
                "      - name: the application's user over TCP",
                "        postgres: {host: \"{{ aistack_address }}\", port: \"{{ aistack_ports.postgres }}\",",
                f"                   user: {self.database}, database: {self.database},",
                f"                   password_file: \"{{{{ aistack_state }}}}/credentials/postgres_{self.database}\"}}",
                "        query: SELECT 1", "        value: 1"]

    def _redis(self) -> list[str]:
        return ["  redis:", "    role: redis", "    hosts: data", "    unit: redis-server.service", "    gate:",
                "      - name: authenticated ping",
                "        redis: {host: \"{{ aistack_address }}\", port: \"{{ aistack_ports.redis }}\",",
                f"                username: {self.database}, password_file: \"{{{{ aistack_state }}}}/credentials/redis_{self.database}\",",
                "                command: [PING], value: PONG}"]

    def _made_of(self, path: str, lock: Lock | None) -> list[str]:
        lines = [f"    application: {self.place.name}"]
        if path:
            lines.append(f"    path: {text(path)}   # folder in the repository")
        if lock is not None:
            if lock.others:
                told = f"no tool of a node reads this {lock.others}: make package-lock.json, commit it, tag"
                lines += [f"    # {TODO}: {told}: {lock.make}",
                          "    # (without a node_modules of another tool beside it, whose links npm cannot follow)"]
            elif not lock.there:
                lines.append(f"    # {TODO}: the tag has no such lock file; make it, commit it, tag: {lock.make}")
            lines.append(f"    lock: {text(lock.name)}" + ("   # with hashes, relative to path" if lock.there else ""))
        return lines

    def _after(self, *more: str) -> str:
        return f"    after: [{', '.join([*self._services_used, *more])}]"

    def _api(self) -> list[str]:
        found, web = self.found, self.found.web
        if found.image is not None:
            return [*self._as_image(found.image), *self._migrations(), *self._gate(web.framework if web else "")]
        if web is None:
            return []
        arguments = []
        if web.source:
            arguments.append(f"--app-dir {web.source}")
        if web.framework == "Flask":
            arguments.append("--interface wsgi")
        if web.factory:
            arguments.append("--factory")
        options = f"app: {text(web.app)}"
        if arguments:
            options += f", arguments: {text(' '.join([*arguments, '--no-access-log', '--proxy-headers']))}"
        lines = ["  api:", f"    # {web.framework}, found as {web.app}" + self._others(), "    role: backend", "    hosts: aistack",
                 self._after("edge"), *self._made_of(web.path, found.lock), "    port: api", f"    options: {{{options}}}"]
        if web.framework == "Flask":
            lines.append(f"    # {TODO}: Flask speaks WSGI and is served by uvicorn here; see that the lock file names uvicorn.")
        elif not found.uses("uvicorn", "uvicorn[standard]", "fastapi[standard]", "fastapi[all]"):
            lines.append(f"    # {TODO}: it is served by uvicorn, which nothing in the repository names; see that the lock file does.")
        return [*lines, *self._migrations(), *self._gate(web.framework)]

    def _as_image(self, image: Image) -> list[str]:
        """What a component says that is built by a Dockerfile and runs in containers."""
        lines = ["  api:", f"    # {f'{image.path}/' if image.path else ''}{image.dockerfile}, built on each node"
                 + (f"; {self.found.web.framework}, found as {self.found.web.app}" if self.found.web else ""),
                 "    role: container", "    hosts: aistack", self._after("docker", "edge"), f"    application: {self.place.name}",
                 "    runtime: compose", "    kind: image"]
        lines += [f"    path: {text(image.path)}   # folder in the repository, the context of the build"] if image.path else []
        lines += [f"    image: {{build: {text(image.dockerfile)}}}"] if image.dockerfile != "Dockerfile" else []
        if not image.port:
            lines.append(f"    # {TODO}: the Dockerfile does not say which port its process listens on (EXPOSE); name it.")
        return [*lines, "    port: api", f"    options: {{port: {image.port or 8000}}}   # inside the container"]

    def _migrations(self) -> list[str]:
        found = self.found
        if not found.alembic:
            return []
        lines, said = [], []
        if self.env.database_variable and self.env.database_variable != "DATABASE_URL":
            said.append(f"database: {self.env.database_variable}")
        if found.alembic not in ("alembic.ini", "pyproject.toml"):
            said.append(f"config: {text(found.alembic)}")
        if not self.env.database_variable:
            lines.append(f"    # {TODO}: migrations need a variable with the address, named by migrations: {{database: NAME}}.")
        if found.image is not None:
            lines.append(f"    # {TODO}: see that {found.alembic} and its scripts are in the image, below its WORKDIR.")
        elif found.without_alembic:
            lines.append(f"    # {TODO}: {found.without_alembic}")
        return [*lines, f"    migrations: {{{', '.join(said)}}}   # Alembic; what a step may do is said by `policy`"]

    def _gate(self, framework: str) -> list[str]:
        lines = ["    gate:"]
        if self.found.health:
            known = self.found.knows_release
            told = "where it tells AISTACK_RELEASE, which its code reads," if known else "have it tell AISTACK_RELEASE, and"
            lines += [f"      # {TODO}: {told} expect it: json: {{version: \"${{release}}\"}}. Until then its process alone tells.",
                      f"      - {{name: health, http: \"http://127.0.0.1:${{port}}{self.found.health}\"}}"]
        elif framework == "FastAPI":
            lines += [f"      # {TODO}: no path for health was found; name one that asks the database as well.",
                      "      - {name: answers, http: \"http://127.0.0.1:${port}/openapi.json\"}"]
        else:
            lines += [f"      # {TODO}: no path for health was found; name one: http: \"http://127.0.0.1:${{port}}/health\".",
                      "      - {name: listens, tcp: \"127.0.0.1:${port}\"}"]
        return [*lines, THIS_RELEASE]

    def _others(self) -> str:
        apps = [other.app for other in self.found.others[:3]]
        return f"; there are also {', '.join(apps)}" if apps else ""

    def _tasks(self, name: str) -> list[str]:
        """What worker and beat have in common: the tree of the api, or their own where there is none."""
        celery, web = self.found.celery, self.found.web
        group = "beat" if name == "beat" else "aistack"
        lines = [f"    role: {name}", f"    hosts: {group}"]
        if self.found.image is not None:
            lines = ["    role: container", f"    hosts: {group}", self._after("docker", "worker" if name == "beat" else "api"),
                     "    runtime: compose", "    release_from: api   # the same image"]
            return [*lines, *(["    env: api"] if self.env.described() else [])]
        if name == "worker" and celery is not None and (web is None or web.path != celery.path):
            return [*lines, self._after(), *self._made_of(celery.path, self.found.lock if web is None else Lock("requirements.lock"))]
        source = "api" if web is not None and celery is not None and web.path == celery.path else "worker"
        after = ["worker"] if name == "beat" else [source]
        lines += [self._after(*after), f"    release_from: {source}   # the same tree"]
        return [*lines, *([f"    env: {source}"] if self.env.described() else [])]

    def _celery_app(self) -> str:
        celery = self.found.celery
        if celery is None:
            return ""
        # celery -A MODULE takes the module's `app` first, whatever that is
        others = [one for one in (self.found.web, *self.found.others) if one is not None]
        taken = any((one.path, one.module, one.name) == (celery.path, celery.module, "app") for one in others)
        return celery.module if celery.name in ("app", "celery") and not taken else celery.app

    def _queues(self) -> str:
        return ", ".join(map(str, self.found.queues)) or "celery"

    def _worker(self) -> list[str]:
        app = self._celery_app()
        lines = ["  worker:", f"    # Celery, found as {self.found.celery.app if self.found.celery else ''}", *self._tasks("worker")]
        if self.found.celery is not None and self.found.celery.source:
            lines.append(f"    # {TODO}: the application lies below {self.found.celery.source}/, which has to be on Python's path.")
        if self.found.image is not None:
            words = ["celery", "-A", app, "worker", "--concurrency", "2", "--queues", self._queues().replace(", ", ",")]
            return [*lines, f"    options: {{command: [{', '.join(map(text, words))}]}}", "    slots: {warm: 0, stop_timeout: 60}",
                    "    gate:", "      - {name: unit runs without restarts, unit: \"${unit}\", restarts: 0}"]
        lines += [f"    options: {{app: {text(app)}, concurrency: 2, queues: [{self._queues()}]}}",
                  "    slots: {warm: 0, stop_timeout: 60}", "    gate:", "      - name: worker by name and queue",
                  f"        celery: {text(app)}"]
        if self.env.broker_variable:
            lines.append(f"        broker: {self.env.broker_variable}")
        return [*lines, "        workers: [\"worker-${slot}@{{ inventory_hostname }}\"]", f"        queues: [{self._queues()}]",
                THIS_RELEASE]

    def _beat(self) -> list[str]:
        if self.found.image is not None:
            words = ["celery", "-A", self._celery_app(), "beat", "--schedule", "/tmp/schedule"]
            return ["  beat:", "    # Celery's schedule: exactly one runs, whatever happens", *self._tasks("beat"),
                    "    strategy: recreate", f"    options: {{command: [{', '.join(map(text, words))}]}}", "    slots: {warm: 0}",
                    "    gate:", "      - {name: unit runs without restarts, unit: \"${unit}\", restarts: 0}"]
        return ["  beat:", "    # Celery's schedule: exactly one runs, whatever happens", *self._tasks("beat"), "    strategy: recreate",
                f"    options: {{app: {text(self._celery_app())}}}", "    slots: {warm: 0}", "    gate:",
                f"      - {{name: exactly one beat, process: {text(f'-m celery -A {self._celery_app()} beat')}, count: 1}}"]

    def _web(self) -> list[str]:
        page = self.found.frontend
        if page is None:
            return []
        lines = ["  web:", "    # Next.js", "    role: frontend", "    hosts: aistack",
                 f"    after: [{', '.join([*(['api'] if self.found.web else []), 'edge'])}]", *self._made_of(page.path, page.lock),
                 "    kind: node"]
        if not page.standalone:
            lines.append(f"    # {TODO}: next.config has to say output: 'standalone', so that the build makes a server.")
        built = [one.name for one in self.env.page if one.name.startswith("NEXT_")]
        lines += ["    output: next-standalone", "    port: web"]
        lines += [f"    build_env: [{', '.join(built)}]   # put in while it is built"] if built else []
        return [*lines, "    gate:", "      - {name: page, http: \"http://127.0.0.1:${port}/\"}", THIS_RELEASE]

    # -- the other files

    def _ports(self) -> list[str]:
        lines = ["# Every port, once. What has slots has three: the edge's, and one for each slot on the loopback address."]
        lines.append("aistack_ports:")
        ports = {"postgres": 5432, "redis": 6379}
        lines += [f"  {name}: {ports[name]}" for name in self._services_used]
        for name, port in (("api", 8000), ("web", 3000)):
            if name in self._released:
                lines += [f"  {name}: {port}", f"  {name}_blue: {port + 10000}", f"  {name}_green: {port + 10001}"]
        return lines if len(lines) > 2 else [*lines[:1], "aistack_ports: {}"]

    def _services(self) -> list[str]:
        lines = ["# Settings of the servers. Each role's own: ansible-doc -t role phasegate.aistack.postgres"]
        lines += ["toolchain_node: true      # Node.js, which builds and runs the frontend"] if self.found.frontend else []
        if self.found.unfit:
            lines += [f"# {TODO}: {self.found.unfit}", "# release_python: /opt/python/3.14/bin/python3.14"]
        lines += ["toolchain_squawk: true    # reads the SQL of migrations"] if self.found.alembic else []
        name = self.database
        if self.env.postgres:
            nodes = "groups['aistack'] | map('extract', hostvars, 'aistack_address') | product(['/32']) | map('join')"
            lines += ["", "postgres_users:", f"  - {{name: {name}, password: \"{{{{ aistack_secrets.postgres }}}}\"}}",
                      "postgres_databases:",
                      f"  - {{name: {name}, owner: {name}}}   # extensions: [vector, …]",
                      "postgres_clients:   # who may connect: every node",
                      f"  - database: {name}", f"    user: {name}", f"    address: \"{{{{ {nodes} }}}}\""]
            if self.found.image is not None:
                lines += ["  # containers of this node (docker_address_pools)",
                          f"  - {{database: {name}, user: {name}, address: 172.30.0.0/16}}"]
        if self.env.redis:
            lines += ["", "redis_users:", f"  - {{name: {name}, password: \"{{{{ aistack_secrets.redis }}}}\"}}",
                      "redis_backup_password: \"{{ aistack_secrets.redis_backup }}\"",
                      "redis_admin_password: \"{{ aistack_secrets.redis_admin }}\"   # with it rotate.yml changes passwords"]
        if self._services_used:
            lines += ["", "# What a backup set holds besides environments, credentials and manifests.",
                      f"# {TODO}: say in `copy` where sets are copied to, so that a dead disk does not take them along.",
                      "aistack_backup:", "  keep: {last: 7, days: 30}"]
        component = "worker" if self.found.celery and not self.found.web and not self.found.image else "api"
        if self.env.postgres and self.env.database_variable:
            variable = "" if self.env.database_variable == "DATABASE_URL" else f", url_variable: {self.env.database_variable}"
            lines += ["  postgres:", f"    - {{name: {name}, component: {component}{variable}}}"]
        elif self.env.postgres:
            entry = f"[{{name: {name}, component: {component}, url_variable: NAME}}]"
            lines.append(f"  # {TODO}: a backup of the database needs a variable that holds its address as a whole: postgres: {entry}.")
        if self.env.redis:
            lines += ["  redis:", "    - {name: broker, component: redis, port: \"{{ aistack_ports.redis }}\", username: backup,",
                      "       password_file: \"{{ aistack_state }}/credentials/redis_backup\"}"]
        return lines if len(lines) > 1 else []

    def _secrets(self) -> list[str]:
        names = self.env.secrets()
        if not names:
            return []
        lines = [
            "# Made on first use, one file each, mode 0600, in the home of who deploys: outside of git.",
            f"# {TODO}: before a second person deploys, move them to a vault, since both need the same ones.",
            "# (ansible-vault create group_vars/all/vault.yml, with vault_postgres: … in it; here then postgres: \"{{ vault_postgres }}\")",
            f"aistack_secrets_dir: \"{{{{ lookup('ansible.builtin.env', 'HOME') }}}}/.config/aistack/{self.place.name}\"",
            "aistack_secrets:",
        ]
        for name in names:
            lines += [f"  {name}: >-", f"    {{{{ lookup('ansible.builtin.password', aistack_secrets_dir ~ '/{name}', length=40,",
                      "               chars=['ascii_letters', 'digits']) }}"]
        rotated = [f"  {name}: {{kind: {name}, component: {name}, user: {self.database}, file: \"{{{{ aistack_secrets_dir }}}}/{name}\"}}"
                   for name in self._services_used]
        return [*lines, *(["# What rotate.yml can change while it is in use.", "aistack_rotations:", *rotated] if rotated else [])]

    def _env(self) -> list[str]:
        lines = ["# The environment of each component: what it must hold, of which type, and its values."]
        if any(one.example and not one.secret for one in [*self.env.service, *self.env.page]):
            lines.append(f"# {TODO}: values are those of the repository's example where the stack knows none; look through them.")
        for name in self.env.left_out:
            lines.append(f"# {TODO}: {name} is left out: tests empty what it names, so never give it a server of this stack.")
        lines.append("aistack_env:" if self.env.described() else "aistack_env: {}")
        first = "api" if self.found.web or self.found.image else "worker"
        sections: Sequence[tuple[str, list[Variable]]] = ((first, self.env.service), ("web", self.env.page))
        for name, variables in sections:
            if variables:
                lines += [f"  {name}:", "    schema:"]
                lines += [f"      {line}" for one in variables for line in self.env.schema_lines(one, text)]
                lines.append("    values:")
                lines += [f"      {line}" for one in variables for line in self.env.value_lines(one, text)] or ["      {}"]
        return lines
