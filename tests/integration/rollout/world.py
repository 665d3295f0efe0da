# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three hosts that are folders of this machine, each with a systemd of its own that keeps its units in files."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("a", "b", "c")
SYSTEMCTL = """#!/bin/sh
# a unit is a file that is there while it runs; what on-start says is done when one is started
here=$(dirname "$(dirname "$0")")
verb=$1; shift
case " $* " in *" --value "*) echo no; exit 0 ;; esac
while [ $# -gt 0 ]; do case $1 in --) shift; break ;; -p) shift 2 ;; -*) shift ;; *) break ;; esac; done
for unit; do
  file=$here/units/$unit
  case $verb in
    show)
      echo "Id=$unit"; echo LoadState=loaded; echo NeedDaemonReload=no; echo NRestarts=0; echo Result=success
      if [ -e "$file" ]; then echo ActiveState=active; echo SubState=running; echo MainPID=$$; else echo ActiveState=inactive; fi
      if [ -e "$file.enabled" ]; then echo UnitFileState=enabled; fi
      echo ;;
    start)
      slot=${unit#*@}; release=$(readlink "$here/api/slots/${slot%.service}/release")
      echo "${here##*/} ${release##*/}" >> "$here/../log"
      : > "$file" ;;
    stop) rm -f "$file" ;;
    enable) : > "$file.enabled" ;;
    disable) rm -f "$file.enabled" ;;
  esac
  if [ $verb = start ] && [ -e "$here/on-start" ]; then sh "$here/on-start"; fi
done
"""
FIT = """
here=$(dirname "$0")
if [ -e "$here/on-gate" ]; then sh "$here/on-gate"; fi
test ! -e "$here/api/unfit"
"""
"""The probe of the component's gate."""
DOWN = '''
import os

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: standing
short_description: This machine with programs of its own, as long as a file does not say that it is down
description: [For a test.]
author: phasegate contributors (@phasegate)
version_added: 0.1.0
options:
  home: {description: [The folder of the host.], type: path, vars: [{name: aistack_root}]}
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(Local):
    transport = "standing"

    def exec_command(self, cmd, **given):
        home = self.get_option("home")
        if os.path.exists(f"{home}/down"):
            raise AnsibleConnectionFailure("no route to host")
        return super().exec_command(f"PATH={home}/bin:/usr/bin:/bin {cmd}", **given)
'''


@dataclass
class World:
    """A component on three hosts, and a repository with the releases v1, v1.1.0 and v2."""

    folder: Path
    strategy: Any = field(default_factory=lambda: {"rolling": {"limit": 1}})
    triggers: list[dict[str, Any]] = field(default_factory=list)
    hosts: tuple[str, ...] = HOSTS
    port: int = 0
    """Where an edge stands in front of the component; 0 without one."""
    more: dict[str, Any] = field(default_factory=dict)
    """Further keys of the component."""

    def __post_init__(self) -> None:
        role = self.folder / "collections" / "ansible_collections" / "own" / "own" / "roles" / "thing" / "tasks"
        role.mkdir(parents=True)
        (role / "unit.yml").write_text("---\n", encoding="utf-8")
        for host in HOSTS:
            for name in ("bin", "units", "state"):
                (self.folder / host / name).mkdir(parents=True)
            (self.folder / host / "fit").write_text(FIT, encoding="utf-8")
            own = f'#!/bin/sh\nexec {self.folder}/{host}/aistack --registry {self.folder}/{host}/registry "$@"\n'
            for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", "#!/bin/sh\n"), ("aistack", own)):
                (self.folder / host / "bin" / name).write_text(text, encoding="utf-8")
                (self.folder / host / "bin" / name).chmod(0o755)
        (self.folder / "connection").mkdir()
        (self.folder / "connection" / "standing.py").write_text(DOWN, encoding="utf-8")
        for name in ("deploy.yml", "scale.yml"):
            book = yaml.safe_load((ROOT / "playbooks" / name).read_text(encoding="utf-8"))
            # the play as it is, but for the place of the node's command: this machine keeps its own
            book[0]["module_defaults"]["phasegate.aistack.node_command"] = {
                "command": "{{ aistack_root }}/aistack", "registry": "{{ aistack_root }}/registry", "python": sys.executable,
                "root": "{{ aistack_root }}", "state_dir": "{{ aistack_state }}", "units": "{{ aistack_root }}/unit-files",
            }
            (self.folder / name).write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
        (self.folder / "tasks").symlink_to(ROOT / "playbooks" / "tasks")
        (self.folder / "repo" / "app").mkdir(parents=True)
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        for tag in ("v1", "v1.1.0", "v2"):
            (self.folder / "repo" / "app" / "index.html").write_text(tag, encoding="utf-8")
            for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", tag], ["tag", tag]):
                subprocess.run(["git", *who, *words], cwd=self.folder / "repo", check=True, capture_output=True)

    def serving(self, release: str) -> None:
        """Have every host serve a release, as a deployment would have left it."""
        for host in HOSTS:
            home = self.folder / host / "api"
            slot = home / "slots" / "blue"
            for place in (slot, home / "releases" / release, home / "config" / "c1"):
                place.mkdir(parents=True)
            (home / "releases" / release / "release.json").write_text("{}", encoding="utf-8")
            (home / "config" / "c1" / "env").write_text("", encoding="utf-8")
            (slot / "release").symlink_to(f"../../releases/{release}")
            (slot / "config").symlink_to("../../config/c1")
            own = f"AISTACK_COMPONENT=api\nAISTACK_RELEASE={release}\nAISTACK_SLOT=blue\nAISTACK_PORT={2 if self.port else ''}\n"
            (slot / "slot.env").write_text(own, encoding="utf-8")
            (home / "slots" / "live").symlink_to("blue")
            for name in ("aistack-api@blue.service", "aistack-api@blue.service.enabled"):
                (self.folder / host / "units" / name).touch()

    def inventory(self) -> dict[str, Any]:
        """The description of the stack."""
        me = {"user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
        fronted = {"port": "api", "slots": {"warm": 0, "drain_timeout": 1}} if self.port else {}
        gate = [{"name": "fit", "command": ["sh", "${release_path}/../../../fit"]}]
        variables = {
            "ansible_connection": "standing", "ansible_python_interpreter": sys.executable, "aistack_name": "shop",
            "aistack_applications": {"shop": {"repo": f"{self.folder}/repo", "release": "v1"}},
            "aistack_artefacts": False, "release_min_free_bytes": 0, "release_test_sandbox": "none",
            "release_user": me["user"], "release_group": me["group"], "release_build_user": me["user"], "release_test_user": me["user"],
            "aistack_components": {"api": {
                "role": "own.own.thing", "hosts": "aistack", "application": "shop", "path": "app", "kind": "static",
                "strategy": self.strategy, "gate": gate, **fronted, **self.more,
                "gate_settings": {"interval": 0.1, "min_healthy_time": 0, "successes": 1, "deadline": 1},
            }},
            "aistack_phases": {"phase1": {"components": ["api"]}},
            "aistack_triggers": self.triggers, "edge_admin_socket": f"{self.folder}/admin", "edge_state_file": f"{self.folder}/edge-state",
            "aistack_ports": {"api": self.port, "api_blue": 2, "api_green": 3} if self.port else {},
        }
        hosts = {
            host: {"aistack_root": f"{self.folder}/{host}", "aistack_state": f"{self.folder}/{host}/state"} for host in self.hosts
        }
        return {"all": {"vars": variables, "children": {"aistack": {"hosts": hosts}}}}

    def deploy(self, release: str, *words: str) -> tuple[int, str]:
        """Exit status of a deployment, and what was printed."""
        return self.play("deploy.yml", "-e", f"release={release}", "-e", "backup=false", *words)

    def plan(self, release: str, *words: str) -> tuple[int, str]:
        """The same of the page that says what would be done."""
        return self.play(str(ROOT / "playbooks" / "plan.yml"), "-e", f"release={release}", *words)

    def play(self, playbook: str, *words: str) -> tuple[int, str]:
        """Exit status of a playbook, and what was printed."""
        (self.folder / "hosts.json").write_text(json.dumps(self.inventory()), encoding="utf-8")
        (self.folder / "log").write_text("", encoding="utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        clean.update(
            ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.collections'}:{self.folder / 'collections'}",
            ANSIBLE_HOME=str(self.folder / "ansible"), ANSIBLE_PIPELINING="1", HOME=str(self.folder),
            ANSIBLE_CONNECTION_PLUGINS=str(self.folder / "connection"), ANSIBLE_STDOUT_CALLBACK="default",
        )
        command = [str(ROOT / ".venv" / "bin" / "ansible-playbook"), "-i", "hosts.json", playbook, *words]
        said = self.folder / "said"
        with said.open("w", encoding="utf-8") as file:  # what outlives a killed controller holds no pipe open
            run = subprocess.Popen(command, cwd=self.folder, env=clean, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            (self.folder / "run").write_text(f"{run.pid}\n", encoding="utf-8")
            status = run.wait(timeout=120)
        return status, said.read_text(encoding="utf-8")

    def started(self) -> str:
        """Which host started which release, in order."""
        return " ".join((self.folder / "log").read_text(encoding="utf-8").split())

    def running(self, host: str) -> list[str]:
        """The instances that run on a host, in order; each starts at boot as well, and nothing else does."""
        names = sorted(path.name for path in (self.folder / host / "units").iterdir())
        units = [name for name in names if not name.endswith(".enabled")]
        assert [name for name in names if name.endswith(".enabled")] == [f"{unit}.enabled" for unit in units]
        return sorted(unit.partition("@")[2].removesuffix(".service") for unit in units)

    def on(self, what: str, host: str, script: str) -> None:
        """What happens when a unit is started on that host (C(start)), or its gate is asked (C(gate))."""
        (self.folder / host / f"on-{what}").write_text(script, encoding="utf-8")

    def live(self) -> dict[str, str]:
        """Host to the release that serves there."""
        found = {}
        for host in HOSTS:
            slots = self.folder / host / "api" / "slots"
            link = slots / "live"
            found[host] = (link / "release").readlink().name if link.is_symlink() else ""
        return found

    def journal(self, host: str) -> list[tuple[str, str, str]]:
        """What the host noted of switches: operation, release, outcome."""
        records = Journal.of(self.folder / host / "state").read()
        wanted = ("activate", "revert", "mark")
        return [(one["op"], str(one.get("release")), str(one["outcome"])) for one in records if one["op"] in wanted]
