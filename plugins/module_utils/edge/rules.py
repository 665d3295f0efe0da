# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a component says about its edge, checked, and as lines of HAProxy's configuration.

Every text of an inventory that becomes part of a line is held to a narrow form first, or quoted: none can end a line or add a word.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what

EDGE_KEYS = {"bind", "check", "hosts", "max_body", "routes", "timeouts", "trusted_proxies"}
CHECK_KEYS = {"path", "host", "headers"}
TIMEOUT_KEYS = {"connect", "client", "server", "tunnel", "http_request", "queue", "check"}
_OF_FRONTEND = ("client", "http_request")
ASSETS = ".assets"
"""Ends the name of the section that asks both slots for a file; no component's name has a dot."""

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\Z")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@%/-]*\Z")
_TARGET = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@%/?-]*\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$&*+.^_|~-]+\Z")
_TIME = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h|d)\Z")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 24 * 86_400_000
"""HAProxy counts milliseconds in 31 bits."""
_MOST_BYTES = 2**62
_SIZE = re.compile(r"([1-9][0-9]{0,11})([kmg]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_FORWARDED = ("Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP")
"""Words of a proxy besides the two that the edge says itself."""


def _a_list(value: Any) -> list[Any] | None:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None


def health_problems(where: str, check: Any) -> list[str]:
    """Problems in what is said of a health check, a line each; *where* is its key."""
    if isinstance(check, str):
        return [] if check == "" or _TARGET.match(check) else [f"{where}: must be a path such as /healthz, is {check!r}"]
    if not isinstance(check, Mapping):
        return [f"{where}: must be a path such as /healthz, or a mapping with path, host and headers, is {check!r}"]
    problems = [f"{where}: unknown key '{key}'; known: {', '.join(sorted(CHECK_KEYS))}" for key in check if key not in CHECK_KEYS]
    if not _TARGET.match(str(check.get("path", ""))):
        problems.append(f"{where}.path: must be a path such as /healthz, is {check.get('path')!r}")
    if check.get("host") is not None and not _HOST.match(re.sub(r":[0-9]{1,5}\Z", "", str(check["host"]))):
        problems.append(f"{where}.host: must be a host name in lower case, such as shop.example.com, is {check['host']!r}")
    headers = check.get("headers", {})
    if not isinstance(headers, Mapping):
        return [*problems, f"{where}.headers: must be a mapping of names to values, is {headers!r}"]
    problems += [f"{where}.headers: {name!r} is not the name of a header" for name in headers if not _HEADER.match(str(name))]
    problems += [
        f"{where}.headers.{name}: must be one line of text, is {value!r}"
        for name, value in headers.items()
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).isprintable()
    ]
    return problems


def check_edge(where: str, edge: Any, components: Collection[str] = ()) -> list[str]:
    """Problems in the ``edge`` of a component, a line each; *where* is its key, *components* those that a route may lead to."""
    if not isinstance(edge, Mapping):
        return [f"{where}: must be a mapping, is {what(edge)}"]
    problems = [f"{where}: unknown key '{key}'; known: {', '.join(sorted(EDGE_KEYS))}" for key in edge if key not in EDGE_KEYS]
    if "check" in edge:
        problems += health_problems(f"{where}.check", edge["check"])
    for key in ("bind", "hosts", "trusted_proxies"):
        if key in edge and _a_list(edge[key]) is None:
            problems.append(f"{where}.{key}: must be a list, is {edge[key]!r}")
    problems += [
        f"{where}.hosts: {name!r} is no host name in lower case, such as shop.example.com (no scheme, no port)"
        for name in _a_list(edge.get("hosts", [])) or []
        if not _HOST.match(str(name))
    ]
    problems += [
        f"{where}.bind: {address!r} is no address to listen on, such as 0.0.0.0, :: or 10.0.0.5 (the port is that of aistack_ports)"
        for address in _a_list(edge.get("bind", [])) or []
        if address != "*" and not is_address(address) and not _HOST.match(str(address))
    ]
    problems += [
        f"{where}.trusted_proxies: {network!r} is no address and no network, such as 10.0.0.5 or 10.0.0.0/8"
        for network in _a_list(edge.get("trusted_proxies", [])) or []
        if not _network(network)
    ]
    if "max_body" in edge and not 0 < size(edge["max_body"]) < _MOST_BYTES:
        problems.append(f"{where}.max_body: must be bytes, or a number with k, m or g, such as 20m, is {edge['max_body']!r}")
    timeouts = edge.get("timeouts", {})
    if not isinstance(timeouts, Mapping):
        problems.append(f"{where}.timeouts: must be a mapping, is {timeouts!r}")
    else:
        known = ", ".join(sorted(TIMEOUT_KEYS))
        problems += [f"{where}.timeouts: unknown key '{key}'; known: {known}" for key in timeouts if key not in TIMEOUT_KEYS]
        problems += [
            f"{where}.timeouts.{key}: must be a number with a unit, such as 90s or 8h, is {value!r}"
            for key, value in timeouts.items()
            if not _TIME.match(str(value))
        ]
        problems += [
            f"{where}.timeouts.{key}: must be 24 days at most, is {value!r}"
            for key, value in timeouts.items()
            if (told := _TIME.match(str(value))) and int(told[1]) * _MILLISECONDS[told[2]] > _LONGEST_MS
        ]
    routes = edge.get("routes", {})
    if not isinstance(routes, Mapping):
        return [*problems, f"{where}.routes: must be a mapping of paths to components, is {routes!r}"]
    problems += [
        f"{where}.routes: {key!r} is no path below the site, such as /api, and no host name in lower case, such as admin.example.com"
        for key in routes
        if not (_PATH.match(str(key)) or ("." in str(key) and _HOST.match(str(key)))) or not str(key).strip("/")
    ]
    paths = [str(key) for key in routes]
    problems += [
        f"{where}.routes: '{key}' is the same place as '{paths[index]}'; keep one"
        for key in paths if key.startswith("/") and key.strip("/")
        for index in [next(i for i, other in enumerate(paths) if other.rstrip("/") == key.rstrip("/"))]
        if paths[index] != key
    ]
    known = ", ".join(sorted(components)) or "none"
    return problems + [
        f"{where}.routes.{key}: '{name}' is no released component with a port on the same hosts; known: {known}"
        for key, name in routes.items()
        if name not in components
    ]


def check_assets(where: str, assets: Any) -> list[str]:
    """Problems in the ``assets`` of a component, a line each."""
    paths = _a_list(assets)
    if paths is None:
        return [f"{where}: must be a list of paths, such as [/assets/], is {assets!r}"]
    return [
        f"{where}: {path!r} must begin and end with a slash, such as /assets/, and is not all of the site"
        for path in paths
        if not _PATH.match(str(path)) or not str(path).endswith("/") or not str(path).strip("/")
    ]


def assets_of(component: Mapping[str, Any]) -> list[str]:
    """The paths below which a component's files are called after what is in them; Next.js has one that needs no word."""
    return list(component.get("assets", ["/_next/static/"] if component.get("output") == "next-standalone" else []))


def is_host_name(text: str) -> bool:
    """Whether *text* is a host name in lower case, without a port."""
    return _HOST.match(text) is not None


def is_address(text: Any) -> bool:
    """Whether *text* is an address, of IPv4 or IPv6, that is the same on each host."""
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return "%" not in str(text)


def _network(text: Any) -> bool:
    try:
        ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return False
    return "%" not in str(text)  # a zone, which is another one on each host


def size(text: Any) -> int:
    """Bytes of what C(max_body) says; it was checked."""
    match = _SIZE.match(str(text))
    return int(match[1]) * _UNITS[match[2].lower()] if match else 0


def _quoted(value: Any) -> str:
    """*value* as one word of a line that HAProxy fills in: nothing in it means anything."""
    return "'" + str(value).replace("%", "%%").replace("'", "'\\''") + "'"


def _checked(name: str, check: Any, hosts: Sequence[str]) -> list[str]:
    asked: dict[str, Any] = {"path": check} if isinstance(check, str) else dict(check or {})
    if not asked.get("path"):
        return []
    host = asked.get("host") or (hosts[0] if hosts else None)
    headers = {str(key): value for key, value in (asked.get("headers") or {}).items()}
    if host is None and not headers:
        return [f"option httpchk GET {asked['path']}"]
    if not any(key.lower() == "host" for key in headers):
        headers = {"Host": host or "localhost", **headers}
    sent = " ".join(f"hdr {key} {_quoted(value)}" for key, value in headers.items())
    return ["option httpchk", f"http-check send meth GET uri {asked['path']} ver HTTP/1.1 {sent}"]


def _proxies(networks: Sequence[Any]) -> list[str]:
    """Who asks, and how: what the edge sees itself, and in front of it those proxies that are named, of which one more may be a hop."""
    if not networks:
        return [
            *(f"http-request del-header {name}" for name in ("X-Forwarded-For", *_FORWARDED)),
            "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        ]
    named = " ".join(str(network) for network in networks)
    return [
        f"http-request set-var(txn.trusted) bool(true) if {{ src {named} }}",
        "acl trusted var(txn.trusted) -m bool",
        "http-request set-var(txn.hops) req.hdr_cnt(X-Forwarded-For)",
        "http-request set-src req.hdr_ip(X-Forwarded-For,-1) if trusted { var(txn.hops) -m int ge 1 }",
        f"http-request set-src req.hdr_ip(X-Forwarded-For,-2) if trusted {{ var(txn.hops) -m int ge 2 }} {{ src {named} }}",
        "http-request del-header X-Forwarded-For",
        *(f"http-request del-header {name} unless trusted" for name in _FORWARDED),
        "acl said req.fhdr(X-Forwarded-Proto) -m str http https",
        "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)] unless trusted said",
    ]


def _names(hosts: Sequence[str], others: Sequence[str], port: Any, trusted: bool) -> list[str]:
    """One name for all: who asks by another is sent to the first. By an address, and on the node itself, it is answered as it is."""
    if not hosts:
        return []
    place = f"%[req.fhdr(X-Forwarded-Proto)]://{hosts[0]}"
    visible = "" if int(port) in (80, 443) else f":{port}"
    lines = [
        f"acl own_name req.hdr(Host),host_only,lower -m str {' '.join([*hosts, *others])}",
        # no regular expression: HAProxy compiles them to code, which the sandbox of its unit forbids
        "acl own_name req.hdr(Host),host_only -m ip 0.0.0.0/0",
        "acl own_name req.hdr(Host),host_only -m end ]",
        "acl own_name req.hdr_cnt(Host) eq 0",
        "acl own_name dst 127.0.0.1 ::1",
    ]
    if trusted and visible:  # the port that clients know is that of the proxy
        lines.append(f"http-request redirect code 308 location {place}%[pathq] if trusted !own_name")
    return [*lines, f"http-request redirect code 308 location {place}{visible}%[pathq] unless own_name"]


def _alive(name: str, path: Any) -> list[str]:
    """Where a pool asks whether this host is fit: while a slot takes requests, which without a check one does whose port is listened on."""
    return [f"monitor-uri {path}", f"monitor fail if {{ nbsrv({name}) lt 1 }}"] if path else []


def _timeouts(timeouts: Mapping[str, object], of_frontend: bool) -> list[str]:
    return [f"timeout {key.replace('_', '-')} {value}" for key, value in timeouts.items() if (key in _OF_FRONTEND) is of_frontend]


def _limit(max_body: Any) -> list[str]:
    if not max_body:
        return []
    answer = 'content-type "text/plain; charset=utf-8" string'
    more = f"More than {max_body} were sent, which is the limit here."
    unknown = f"Please say how long this is (Content-Length); the limit here is {max_body}."
    return [
        f'http-request return status 413 {answer} "{more}\\n" if {{ req.hdr_val(Content-Length) gt {size(max_body)} }}',
        # without a length only the first byte tells that there are any; HTTP/2 has no other sign of them
        "acl unknown_length req.hdr_cnt(Content-Length) eq 0",
        "http-request wait-for-body time 10s at-least 1 if unknown_length !{ method GET HEAD OPTIONS CONNECT }",
        f'http-request return status 411 {answer} "{unknown}\\n" if unknown_length {{ req.body_len gt 0 }}',
    ]


def _slots(servers: Mapping[str, object], ending: str = "") -> list[str]:
    return [f"server {slot} 127.0.0.1:{servers[slot]}{ending}" for slot in SLOTS]


def _both(name: str, servers: Mapping[str, object]) -> list[str]:
    """A file is asked of the live slot, then of the other, then of the live one once more, whose answer it is then.

    Nothing is known of the other slot, and none has to be: where it does not run, the answer is the live one's.
    """
    return [
        "load-server-state-from-file none",
        "retry-on 404 conn-failure",
        "retries 2",
        "option redispatch 1",
        *(f"use-server {slot} if {{ srv_is_up({name}/{slot}) }}" for slot in SLOTS),
        *_slots(servers),
    ]


def _asset(name: str, assets: Sequence[str], route: str = "") -> list[str]:
    """The way to the section that asks both slots, for whom C(route) lets in."""
    if not assets:
        return []
    return [f"use_backend {name}{ASSETS} if {route}{{ path_beg {' '.join(assets)} }} {{ method GET HEAD }} {{ nbsrv({name}) gt 0 }}"]


def _led(routes: Mapping[str, str], assets: Mapping[str, Sequence[str]]) -> list[str]:
    """The ways to other components: names first, then the longest path, since the first that fits is taken."""
    lines = []
    for key, to in sorted(routes.items(), key=lambda route: (route[0].startswith("/"), -len(route[0]))):
        if key.startswith("/"):
            path = key.rstrip("/")
            lines += _asset(to, assets.get(to, ()), f"{{ path_beg {path}/ }} ")
            lines.append(f"use_backend {to} if {{ path {path} }} || {{ path_beg {path}/ }}")
        else:
            name = f"{{ req.hdr(Host),host_only,lower -m str {key} }}"
            lines += [*_asset(to, assets.get(to, ()), f"{name} "), f"use_backend {to} if {name}"]
    return lines


def _joined(item: Mapping[str, Any], check: Sequence[str], beyond: Mapping[str, Any]) -> list[str]:
    """A pool: the edges of other hosts, of which one that is gone is not asked, and what it left unanswered is asked of another."""
    lines = [
        "load-server-state-from-file none",
        "# WebSockets stay for hours: who comes goes where fewest are, also to a host that was away",
        "balance leastconn",
        "option redispatch 1",
        "# a host that serves nothing says 503, faster than others serve, so that it would be asked most until its check has failed",
        "retry-on conn-failure empty-response 503",
        "# nothing is done twice; what was never sent may go elsewhere, whatever it is",
        "http-request disable-l7-retry unless { method GET HEAD OPTIONS }",
        *check,
    ]
    source = str(beyond.get("source") or "")
    for server in item["pool"]:
        address, name = str(server["address"]), server.get("server_name")
        own_family = source and (":" in source) == (":" in address)
        lines.append(
            f"server {server['name']} {f'[{address}]' if ':' in address else address}:{server['port']} check"
            + (f" source {source}" if own_family else "")
            + (f" ssl verify required ca-file {beyond['ca']} verifyhost {name} sni str({name}) check-sni {name}" if name else "")
        )
    return lines


def edge_rules(
    item: Mapping[str, Any], frontends: Sequence[Mapping[str, Any]] = (), beyond: Mapping[str, Any] | None = None
) -> dict[str, list[str]]:
    """The lines of a frontend that only it has.

    Args:
        item: an entry of C(edge_frontends): C(name), C(port), C(servers), C(assets) and what a component's C(edge) may say; or C(pool)
            instead of C(servers), the edges of other hosts: C(name), C(address), C(port) and, over TLS, C(server_name) of each.
        frontends: all of them, for what a route leads to.
        beyond: how a pool asks: C(source), the address that it asks from, and C(ca), the file with certificates that it trusts.

    Returns:
        ``frontend`` and ``backend``: lines of these sections; ``assets``: those of the section that asks both slots, if there is one;
        ``alpn``: the protocols that are offered over TLS.
    """
    name, hosts, trusted = str(item["name"]), [str(host) for host in item.get("hosts") or []], list(item.get("trusted_proxies") or [])
    timeouts, assets = item.get("timeouts") or {}, list(item.get("assets") or [])
    check, routes = _checked(name, item.get("check"), hosts), item.get("routes") or {}
    named = [key for key in routes if not key.startswith("/")]
    led = [*_led(routes, {other["name"]: other.get("assets") or [] for other in frontends}), *_asset(name, assets)]
    # over HTTP/2 HAProxy cancels what is still being sent, and browsers show that instead of the page of a limit
    limits = {other["name"]: other.get("max_body") for other in frontends}
    limited = item.get("max_body") or any(limits.get(to) for to in routes.values())
    servers = _joined(item, check, beyond or {}) if item.get("pool") else [
        *check,
        "# `disabled` counts only while the state file knows nothing of the slot.",
        *_slots(item["servers"], " check disabled" if check or item.get("alive") else " disabled"),
    ]
    return {
        "alpn": list(item.get("alpn") or (["http/1.1"] if limited else ["h2", "http/1.1"])),
        "frontend": [
            *_timeouts(timeouts, True), *_alive(name, item.get("alive")), *_proxies(trusted),
            *_names(hosts, named, item["port"], bool(trusted)), *led,
        ],
        "backend": [*_timeouts(timeouts, False), *_limit(item.get("max_body")), *servers],
        "assets": [*_timeouts(timeouts, False), *_both(name, item["servers"])] if assets else [],
    }
