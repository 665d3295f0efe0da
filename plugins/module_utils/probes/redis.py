# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis answers a command; a client of a few lines, so that the password stays off every command line."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, os_error_text, parted
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.redis import Connection, RedisError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe, is_operator, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

_READING = {
    "CONFIG GET", "DBSIZE", "ECHO", "EXISTS", "GET", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "INFO", "LASTSAVE", "LINDEX",
    "LLEN", "LRANGE", "MGET", "PING", "PTTL", "ROLE", "SCARD", "SENTINEL MASTERS", "SISMEMBER", "SMEMBERS", "STRLEN", "TIME", "TTL",
    "TYPE", "XLEN",
    "ZCARD", "ZRANGE",
}
"""Commands that only look; all others are not sent in check mode."""


class Redis(Probe):
    """Log in, send one command, compare the reply."""

    type = "redis"
    speaks = True
    target = Option("str", "host:port, redis://host:port, rediss://host:port, or the path of a Unix socket")
    options = {
        "host": Option("str", "address, instead of the short form"),
        "port": Option("int", "port of the server", default=6379),
        "username": Option("str", "user; Redis' default user without it"),
        "password_file": Option("str", "file on the node with the password"),
        "tls": Option("bool", "true speaks TLS; an address that begins with rediss:// does so by itself"),
        "ca_file": Option("str", "CA certificates on the node; ssl_ca_certs of the address, or else the system's"),
        "server_name": Option("str", "name in the certificate, where it is not the host"),
        "env_file": Option("str", "environment file on the node that holds a redis:// or rediss:// URL"),
        "env_key": Option("str", "its name in there", default="REDIS_URL"),
        "db": Option("int", "number of the database"),
        "command": Option("list", "command and arguments", default=("PING",)),
        "value": Option("tree", "the reply; a mapping of names is compared with fields, as INFO and CONFIG GET give them"),
        "refused": Option("bool", "passes only where the server refuses the command for want of a login, or the connection"),
    }
    hint = "is the server running, does it listen there, and is the password the one it was configured with? journalctl -u redis-server"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        if spec.get("target") or spec.get("host") or spec.get("env_file"):
            return []
        return ["'redis' needs host:port, or host, or env_file"]

    @property
    def changes(self) -> bool:
        words = self.spec.get("command") or ["PING"]
        if not isinstance(words, list) or not words:
            return True
        return words[0].upper() not in _READING and " ".join(words[:2]).upper() not in _READING

    def expectation(self) -> str:
        if self.spec.get("refused"):
            return "the server refuses"
        if self.spec.get("value") is not None:
            return describe(self.spec["value"])
        return "a reply" if self.spec.get("command") else "PONG"

    def observe(self, context: Context) -> Attempt:
        host, port, user, password, number, tls = self._address(context)
        words = self.spec.get("command") or ["PING"]
        where = f"{' '.join(words)} on {host}" + ("" if host.startswith("/") else f":{port}")
        try:
            connection = Connection(host, port, context, tls, str(self.spec.get("server_name") or ""))
            reply = self._ask(connection, user, password, number, words)
        except RedisError as error:
            closed = str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR invalid password"))
            said = f"{error} ({where})"
            return Attempt(closed and bool(self.spec.get("refused")), said, self.expectation())
        except OSError as error:
            said = f"{os_error_text(error, context.timeout)} ({where})"
            closed = isinstance(error, (ConnectionRefusedError, socket.timeout))
            return Attempt(closed and bool(self.spec.get("refused")), said, self.expectation())
        if self.spec.get("refused"):
            return Attempt(False, f"the server answered {show(reply, 60)} ({where})", self.expectation())
        wanted = self.spec.get("value", "PONG" if not self.spec.get("command") else None)
        if wanted is None:
            return Attempt(True, show(reply), self.expectation(), where)
        came = _fields(reply) if isinstance(wanted, dict) and not is_operator(wanted) else reply
        return judge(check(wanted, came, text=True), self.expectation(), show(reply, 80), where)

    @staticmethod
    def _ask(connection: Connection, user: str, password: str, number: int, words: list[str]) -> Any:
        try:
            if password:
                connection.command("AUTH", *([user] if user else []), password)
            if number:
                connection.command("SELECT", str(number))
            return connection.command(*words)
        finally:
            connection.close()

    def _address(self, context: Context) -> tuple[str, int, str, str, int, ssl.SSLContext | None]:
        host, port, user, password, number = "", 6379, "", "", 0
        encrypted, trusted = bool(self.spec.get("tls")), self.spec.get("ca_file")
        if self.spec.get("env_file"):
            key = str(self.spec.get("env_key") or "REDIS_URL")
            values = context.secrets.environment(self.spec["env_file"])
            if key not in values:
                raise CannotJudge(f"{self.spec['env_file']} has no {key}")
            context.secrets.learn({key: values[key]})
            try:
                parts = urlsplit(values[key])
            except ValueError as error:
                raise CannotJudge(f"{key} of {self.spec['env_file']} is no address") from error
            _no_sentinel(parts.scheme, f"{key} of {self.spec['env_file']}")
            if parts.scheme not in ("redis", "rediss", "unix"):
                raise CannotJudge(f"{key} of {self.spec['env_file']} is no redis:// or rediss:// address")
            if parts.scheme == "rediss" and self.spec.get("tls") is None:
                encrypted = True
            trusted = trusted or dict(parse_qsl(parts.query)).get("ssl_ca_certs")
            try:
                port = parts.port or port
            except ValueError as error:
                raise CannotJudge(f"{key} of {self.spec['env_file']} has no readable port") from error
            host = parts.path if parts.scheme == "unix" else parts.hostname or ""
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            context.secrets.add(password)
            tail = parts.path.strip("/")
            number = int(tail) if parts.scheme != "unix" and tail.isdigit() else 0
        target = str(self.spec.get("target") or self.spec.get("host") or "")
        scheme, mark, rest = target.partition("://")
        if mark:
            _no_sentinel(scheme, f"'{target}'")
            if scheme not in ("redis", "rediss"):
                raise CannotJudge(f"'{target}' is no redis:// or rediss:// address")
            target = rest.partition("/")[0]
            encrypted = encrypted or (scheme == "rediss" and self.spec.get("tls") is None)
        if target:
            host, port = (target, port) if target.startswith("/") else parted(target, port)
        port = int(self.spec.get("port") or port)
        user = str(self.spec.get("username") or user)
        if self.spec.get("password_file"):
            password = context.secrets.read(self.spec["password_file"])
        tls = client_context(trusted) if encrypted and not host.startswith("/") else None
        return host, port, user, password, int(self.spec.get("db") or number), tls


def _no_sentinel(scheme: str, where: str) -> None:
    """Raises CannotJudge where an address is one of Sentinels, which are asked who the server is."""
    if "sentinel" in scheme.lower():
        raise CannotJudge(
            f"{where} is an address of Redis Sentinel, which this probe does not follow. Ask the server itself (host, port, "
            "password_file), a Sentinel (its port, command: [SENTINEL, masters]), or the workers (celery)"
        )


def _fields(reply: Any) -> Any:
    """A reply that holds names and values as a mapping: pairs of a list, or lines of ``name:value``."""
    if isinstance(reply, list) and len(reply) % 2 == 0:
        return {str(reply[index]): reply[index + 1] for index in range(0, len(reply), 2)}
    if isinstance(reply, str):
        return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line and not line.startswith("#"))
    return reply
