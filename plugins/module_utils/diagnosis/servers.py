# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers that a component's environment names, each asked as the component would: with its own login, changing nothing."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, os_error_text
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import ask_json
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.redis import Connection, RedisError
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Unreadable
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.ollama import full_name
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.postgres import Postgres
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.redis import Redis

SECONDS = 5.0
"""For one server: a node that is at its limit is slow to ask, and that is no fault of the server's."""
QUEUES = 200
"""Lists of a broker that are looked at, at most."""
_PORTS = {"redis": 6379, "rediss": 6379, "postgresql": 5432, "postgres": 5432, "http": 80, "https": 443, "amqp": 5672}
_DATABASE = re.compile(r"postgres(?:ql)?(?:\+\w+)?\Z")
_NOT_QUEUES = re.compile(r"unacked|_kombu|celeryev|.*\.pidbox\Z|celery-task-meta")
_FIGURES = (
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used, "
    "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS allowed"
)
_POSTGRES = (
    ("full", r"too many clients|remaining connection slots|too many connections|no more connections allowed"),
    ("password", r"password authentication failed|no password supplied|no pg_hba.conf entry|authentication failed|role .* does not exist"),
    ("missing", r"database .* does not exist"),
    ("starting", r"is starting up|in recovery mode|is shutting down"),
    ("disk", r"No space left on device"),
    ("expired", r"certificate has expired|certificate expired"),
    ("tls", r"SSL|certificate"),
    ("unresolved", r"could not translate host name"),
    ("unreachable", r"No route to host|Network is unreachable"),
    ("timeout", r"timeout expired|timed out|no answer within"),
    ("refused", r"Connection refused|No such file or directory"),
)
"""What psql says, in the order in which it is looked for, and what the server's state is then."""
_REDIS = (
    ("memory_full", r"OOM "), ("disk", r"MISCONF "), ("read_only", r"READONLY "), ("starting", r"LOADING "),
    ("acl", r"NOPERM "), ("password", r"NOAUTH |WRONGPASS |ERR invalid password|ERR .*AUTH"), ("full", r"ERR max number of clients"),
    ("password", r"DENIED "),
)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a server besides whether it answers.

    Attributes:
        models: that Ollama should have.
        queues: whose length is counted, where it is a broker.
        broker: whether Celery works with it, and so needs its commands and keys.
    """

    models: Sequence[str] = ()
    queues: Sequence[str] = ()
    broker: bool = False


@dataclass
class Named:
    """A server as a variable names it.

    Attributes:
        kind: C(redis), C(postgres), C(ollama) or C(other).
        host, port: where; the host of a Unix socket is its path.
        url: the value; it may hold a password.
        seen: what came of asking it, see the section C(servers).
    """

    variable: str
    kind: str
    host: str
    port: int
    url: str
    seen: dict[str, Any] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return self.host if self.host.startswith("/") else f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def named(environment: Mapping[str, str]) -> list[Named]:
    """The servers that an environment names by addresses, in the order of the names of the variables. What is no address is left out."""
    found: list[Named] = []
    for variable in sorted(environment):
        value = environment[variable].strip()
        scheme = value.partition("://")[0].lower()
        try:
            parts = urlsplit(value)
            port = parts.port or _PORTS.get(scheme.partition("+")[0], 0)
        except ValueError:
            continue
        host = parts.path if scheme == "unix" else parts.hostname or ""
        if "://" not in value or not host or not (port or scheme == "unix"):
            continue
        kind = "other"
        if scheme in ("redis", "rediss", "unix"):
            kind = "redis"
        elif _DATABASE.match(scheme):
            kind = "postgres"
        elif scheme in ("http", "https") and "OLLAMA" in variable.upper():
            kind = "ollama"
        elif scheme not in ("http", "https", "amqp"):
            continue
        if not any((one.kind, one.host, one.port, one.url) == (kind, host, port, value) for one in found):
            found.append(Named(variable, kind, host, port, value))
    return found


def models_named(environment: Mapping[str, str]) -> list[str]:
    """Models of Ollama that an environment names: C(OLLAMA_MODEL) and such."""
    wanted = [value for name, value in sorted(environment.items()) if re.search(r"OLLAMA\w*MODELS?(_|\Z)", name.upper()) and value.strip()]
    return [full_name(name.strip()) for value in wanted for name in value.split(",") if name.strip()]


def is_broker(variable: str) -> bool:
    """Whether a variable is called as one that holds the address of Celery's broker."""
    return "BROKER" in variable.upper() or "CELERY" in variable.upper()


def ask(server: Named, env_file: str, wanted: Wanted, context: Context) -> None:
    """Ask a server what the component would; what comes is in its C(seen) and C(queues) then."""
    seen: dict[str, Any] = {"state": "answers", "error": ""}
    try:
        if server.kind == "redis":
            seen.update(_redis(server, env_file, wanted, context))
        elif server.kind == "postgres":
            seen.update(_postgres(server, env_file, context))
        elif server.kind == "ollama":
            seen.update(_ollama(server, wanted.models, context))
        else:
            socket.create_connection((server.host, server.port), timeout=context.remaining()).close()
    except RedisError as error:
        seen.update(state=classified(_REDIS, str(error)), error=str(error))
    except (NotAsExpected, CannotJudge) as error:
        seen.update(state=_of_answer(error), error=str(error))
    except Unreadable as error:
        seen.update(state="error", error=f"{error.filename}: {error.strerror}")
    except OSError as error:
        seen.update(state=state_of(error), error=os_error_text(error, context.timeout))
    server.seen = {**seen, "error": context.secrets.mask(str(seen["error"]))}


def state_of(error: OSError) -> str:
    """What an error of a connection says of the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "expired" if "expired" in str(error.verify_message) else "tls"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        return "refused"
    if isinstance(error, socket.gaierror):
        return "unresolved"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timeout"
    return "unreachable" if error.errno in (101, 113) else "error"


def _of_answer(error: Exception) -> str:
    """What an answer that is none says of the server; HTTP's client tells an error of the connection in its own words."""
    if isinstance(error.__cause__, OSError):
        return state_of(error.__cause__)
    if "no answer within" in str(error):
        return "timeout"
    return "foreign" if isinstance(error, NotAsExpected) and "was closed" not in str(error) else "error"


def classified(table: Sequence[tuple[str, str]], text: str) -> str:
    """The state whose pattern is the first of the *table* that is in a text."""
    return next((state for state, pattern in table if re.search(pattern, text)), "error")


def _redis(server: Named, env_file: str, wanted: Wanted, context: Context) -> dict[str, object]:
    """Log in, then what a client needs: that it takes writes; and one of Celery, that it may read a list."""
    probe = Redis({"env_file": env_file, "env_key": server.variable})
    host, port, user, password, number, tls = probe._address(context)
    connection = Connection(host, port, context, tls)
    try:
        if password:
            connection.command("AUTH", *([user] if user else []), password)
        if number:
            connection.command("SELECT", str(number))
        connection.command("PING")
        if wanted.broker:
            connection.command("LLEN", "celery")
        found = _memory(connection)
        try:  # adds to a list that is there, and to none else: this one is not
            connection.command("LPUSHX", "_kombu.aistack.diagnosis", "")
        except RedisError as error:
            if not str(error).startswith("NOPERM"):  # a login that may not try it may be right all the same
                raise RedisError(f"{error} ({found['memory_percent']} % of maxmemory in use)" if found else str(error)) from error
        server.queues = _queues(connection, wanted.queues) if wanted.broker else {}
        return found
    finally:
        connection.close()


def _memory(connection: Connection) -> dict[str, object]:
    """Memory in use; empty where this login may not ask."""
    try:
        lines = dict(line.split(":", 1) for line in str(connection.command("INFO", "memory")).splitlines() if ":" in line)
        limit, used = int(lines.get("maxmemory", 0)), int(lines.get("used_memory", 0))
    except (RedisError, ValueError):
        return {}
    return {"memory_percent": round(100 * used / limit, 1) if limit else 0.0, "policy": lines.get("maxmemory_policy", "")}


def _queues(connection: Connection, known: Iterable[str]) -> dict[str, int]:
    """Queue to how many tasks wait: those that are known, and those that Celery has bound here."""
    names = {str(name) for name in known}
    cursor = "0"
    try:
        for _round in range(20):
            cursor, keys = connection.command("SCAN", cursor, "MATCH", "_kombu.binding.*", "COUNT", "500")
            names |= {str(key).partition("_kombu.binding.")[2] for key in keys}
            if str(cursor) == "0" or len(names) > QUEUES:
                break
    except (RedisError, ValueError, TypeError):
        pass  # it may not list: then the queues that are known
    found: dict[str, int] = {}
    for name in sorted(name for name in names if not _NOT_QUEUES.match(name))[:QUEUES]:
        try:
            found[name] = int(connection.command("LLEN", name))
        except (RedisError, ValueError):
            continue  # not its own, or of another type
    return found


def _postgres(server: Named, env_file: str, context: Context) -> dict[str, object]:
    probe = Postgres({"env_file": env_file, "env_key": server.variable})
    environment, _where = probe._address(context)
    environment.update(PGCONNECT_TIMEOUT="4", PGAPPNAME="aistack-diagnosis")
    done = context.execute(["psql", "-XAtq", "-w", "-F", " ", "-v", "ON_ERROR_STOP=1", "-c", _FIGURES], env=environment, cwd="/")
    said = " ".join(done.stderr.split()).removeprefix("psql: error: ")[:400]
    if done.rc != 0:
        return {"state": classified(_POSTGRES, said), "error": said or f"psql ended with {done.rc}"}
    used, allowed = (int(word) for word in done.stdout.split()[:2])
    return {"connections": used, "connections_percent": round(100 * used / max(allowed, 1), 1)}


def _ollama(server: Named, models: Sequence[str], context: Context) -> dict[str, object]:
    base = f"{server.url.partition('://')[0]}://{server.address}"
    version = ask_json(f"{base}/api/version", context)
    if not isinstance(version, dict) or "version" not in version:
        return {"state": "foreign", "error": f"/api/version answers {json.dumps(version)[:100]}"}
    listed = ask_json(f"{base}/api/tags", context)
    there = [full_name(str(one.get("name"))) for one in (listed.get("models") if isinstance(listed, dict) else None) or []]
    missing = [model for model in models if model not in there]
    return {"models": ", ".join(sorted(there)) or "none", "model": ", ".join(missing) or "-"}


def known_as(server: Named, places: Iterable[Mapping[str, Any]], own: Iterable[str]) -> dict[str, object]:
    """Whether the inventory has such a server at that address, and where it has one.

    Args:
        places: C(component), C(role), C(address), C(port) of servers.
        own: addresses of this node.
    """
    of_kind = [place for place in places if place["role"] == server.kind]
    here = set(own)
    there = [place for place in of_kind if int(place["port"]) == server.port
             and (place["address"] == server.host or (_loopback(server.host) and place["address"] in here))]
    names = dict.fromkeys(str(place.get("component") or server.kind) for place in there or of_kind)
    wanted = ", ".join(sorted({f"{place['address']}:{place['port']}" for place in of_kind}))
    return {"known": bool(there), "wanted": wanted or "-", "server": ",".join(names) or server.kind}


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
