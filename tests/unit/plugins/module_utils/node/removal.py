# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a folder, with two stacks on it; what systemd and userdel are told is noted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove_plan

FOLDERS = ("components", "gates", "receipts", "schema", "drained")


class Node:
    """The stack C(shop) with two components, to which servers are added; and C(other), of which nothing may go."""

    def __init__(self, top: Path) -> None:
        self.top, self.state, self.root = top, top / "var/lib/shop", top / "opt/shop"
        self.places = remove_plan.Places(top, top / "etc/aistack")
        self.calls: list[list[str]] = []
        self.users: set[str] = {"aistack", "aistack-build", "aistack-test"}
        self.stack("shop", {"components": ["api", "web"], "roles": [], "ports": {"8000": "api", "3000": "web"}})
        for name in ("api", "web"):
            self.released("shop", name)
        self.write("etc/systemd/system/multi-user.target.wants/aistack-reconcile@shop.service", "")
        self.write("etc/systemd/system/aistack-reconcile@.service", "")
        self.write("usr/local/bin/aistack", "")
        self.write("var/lib/shop/journal.jsonl.1.gz", "")
        self.edge("shop", ["api"])

    def stack(self, name: str, claims: dict[str, Any]) -> None:
        """Register it."""
        entry = {"name": name, "root": str(self.top / "opt" / name), "state_dir": str(self.top / "var/lib" / name), "claims": claims}
        self.write(f"etc/aistack/{name}.json", json.dumps(entry))

    def second(self) -> None:
        """Another stack, with its part of the edge."""
        self.stack("other", {"components": ["blog"], "roles": [], "ports": {}})
        self.released("other", "blog")
        self.write("etc/systemd/system/multi-user.target.wants/aistack-reconcile@other.service", "")
        self.edge("other", ["blog"])

    def released(self, stack: str, name: str) -> None:
        """What a component leaves whose releases run here."""
        self.users.add(f"aistack-{name}")
        writes = f"var/lib/{stack}/data/{name}"
        self.write(f"etc/systemd/system/aistack-{name}@.service", f"[Service]\nUser=aistack-{name}\nReadWritePaths={self.top / writes}\n")
        self.write(f"etc/systemd/system/aistack-{name}@.service.d/more.conf", "")
        self.write(f"etc/nginx/aistack-{name}@blue.conf", "")
        for path in (f"{name}/releases/v1/x", f"{name}/config/h/env", f"{name}/slots/blue/slot.env", f"cache/{name}/uv/x"):
            self.write(f"opt/{stack}/{path}", "")
        for folder in FOLDERS:
            self.write(f"var/lib/{stack}/{folder}/{name}.json", "{}")
        root = str(self.top / "opt" / stack)
        described = {"format": 1, "component": name, "root": root, "unit": f"aistack-{name}@{{slot}}.service"}
        self.write(f"var/lib/{stack}/components/{name}.json", json.dumps(described))
        self.write(f"var/lib/{stack}/cache/{name}/home/x", "")
        self.write(f"var/cache/aistack-{name}-blue/server.js", "")
        self.write(f"{writes}/uploads/a.png", "")
        self.write(f"var/lib/aistack-{name}/schedule", "")

    def edge(self, stack: str, backends: list[str]) -> None:
        """A part of HAProxy's configuration, and what the role leaves besides."""
        path = "etc/haproxy/haproxy.cfg"
        before = (self.top / path).read_text(encoding="utf-8") if (self.top / path).exists() else "global\n    user haproxy\n\n"
        sections = "".join(f"backend {name}\n" for name in backends)
        self.write(path, f"{before}# BEGIN stack {stack}\n{sections}# END stack {stack}\n")
        files = [path, "etc/systemd/system/haproxy.service.d/aistack.conf", "usr/local/sbin/aistack-edge-state",
                 f"etc/haproxy/aistack-{stack}.pem", f"etc/haproxy/aistack-{stack}-ca.pem"]
        self.made(stack, "edge", files, kept=path)
        self.write("var/lib/haproxy/server-state", "")

    def made(self, stack: str, component: str, files: list[str], kept: str = "") -> None:
        """A component without releases: the files that its role manages, and the receipt that names them."""
        for path in files:
            if path != kept:
                self.write(path, "")
        self.write(f"var/lib/{stack}/receipts/{component}.json", json.dumps({"files": {str(self.top / path): "x" for path in files}}))

    def server(self, name: str) -> None:
        """A server that is ours."""
        self.users.add(name)
        unit = f"etc/systemd/system/{name}.service"
        self.made("shop", name, [unit, f"etc/{name}/{name}.env", f"opt/shop/{name}/bin/{name}"])
        self.write(unit, f"[Service]\nUser={name}\nReadWritePaths={self.top}/var/lib/{name} {self.top}/srv/{name}\n")
        self.write(f"etc/{name}/filter.nft", "")
        self.write(f"var/lib/{name}/a", "")
        self.write(f"srv/{name}/b", "")

    def packaged(self) -> None:
        """PostgreSQL and Redis, as their packages and our roles leave them."""
        self.write("etc/redis/redis.conf", f"port 6379\ninclude {self.top}/etc/redis/aistack.conf\n")
        self.made("shop", "redis", ["etc/redis/redis.conf", "etc/redis/aistack.conf", "etc/redis/aistack-users.conf",
                                    "etc/systemd/system/redis-server.service.d/aistack.conf"], kept="etc/redis/redis.conf")
        self.write("var/lib/redis/dump.rdb", "")
        self.write("var/lib/shop/credentials/redis_shop", "")
        self.made("shop", "postgres", ["etc/systemd/system/postgresql@.service.d/aistack.conf", "etc/postgresql/17/main/pg_hba.conf"])
        self.write("var/lib/postgresql/17/main/base/1", "")

    def backup(self) -> None:
        """The daily set."""
        units = [f"etc/systemd/system/aistack-backup@shop.{kind}" for kind in ("service", "timer")]
        self.made("shop", "backup", ["var/lib/shop/backup.json", *units, "etc/systemd/system/aistack-backup-failed@shop.service"])
        self.write("var/lib/shop/backup.json", "{}")
        self.write("var/lib/shop/backup.key", "")
        self.write("var/lib/shop/backups/one/manifest.json", "{}")
        self.write("var/lib/systemd/timers/stamp-aistack-backup@shop.timer", "")

    def write(self, path: str, text: str) -> None:
        """A file of the node."""
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text, encoding="utf-8")

    def files(self) -> set[str]:
        """All files."""
        return {str(path.relative_to(self.top)) for path in self.top.rglob("*") if path.is_file()}

    def run(self, cmd: Any, timeout: float) -> Ended:
        """Instead of a command."""
        self.calls.append(list(cmd))
        if cmd[0] == "userdel":
            self.users.discard(cmd[1])
        return Ended(3 if "is-active" in cmd else 0, "", "")

    def getpwnam(self, name: str) -> Any:
        """A user as our roles make them."""
        if name not in self.users:
            raise KeyError(name)
        home = str(self.top / f"var/lib/{name}") if name in ("minio", "ollama", "comfyui", "victorialogs", "jaeger") else "/nonexistent"
        home = str(self.top / "var/lib" / f"aistack-{name}") if name in ("grafana", "superset") else home
        home = str(self.top / f"var/lib/{name}") if name == "aistack-loki" else home
        return SimpleNamespace(pw_name=name, pw_dir=home, pw_shell="/usr/sbin/nologin", pw_gid=999)

    def pretend(self, monkeypatch: Any) -> None:
        """Have the code see this node."""
        monkeypatch.setattr(remove_plan, "run_command", self.run)
        monkeypatch.setattr(remove_plan.pwd, "getpwnam", self.getpwnam)
        monkeypatch.setattr(remove_plan.grp, "getgrnam", lambda name: name)
