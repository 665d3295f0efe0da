# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in of AWX: the part of its API (version 24) that the modules of ``awx.awx`` use for a stack, with state. It is not AWX.

It holds objects, their associations, surveys, nodes and roles; checks a token; and answers 400 to a field that is required and missing, has
the wrong type or no such choice, to a name that is taken, to an object that is not there, to a survey or a rule of a schedule that AWX
would not take. It is stricter in one thing: a field that AWX does not know is refused, where AWX passes over it (but for approvals, with
which the module sends such). It runs no job.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ansible_collections.phasegate.aistack.tests.integration.awx.standin_fields import (
    ASSOCIATED,
    CASCADE,
    CREDENTIAL_TYPES,
    FIELDS,
    FLAG,
    MAPPING,
    NOTIFICATIONS,
    NUMBER,
    QUESTIONS,
    ROLES,
    SECRET,
    TEXT,
    UNIFIED,
    UNIQUE,
)

Item = dict[str, Any]
PAGE = 25


class Refused(Exception):
    """An answer other than success: status and body."""

    def __init__(self, status: int, **body: Any) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


def type_of(kind: str) -> str:
    """What an object of a kind calls its type."""
    return {"inventories": "inventory"}.get(kind, kind.removesuffix("s"))


def check_survey(spec: Any) -> None:
    """Refuse a survey that AWX does not take."""
    for name, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(name), kind):
            raise Refused(400, error=f"Field '{name}' is missing from survey spec.")
    if not spec["spec"]:
        raise Refused(400, error="'spec' doesn't contain any items.")
    seen: set[str] = set()
    for index, asked in enumerate(spec["spec"]):
        for name in ("type", "question_name", "variable", "required"):
            if not isinstance(asked.get(name), bool if name == "required" else str):
                raise Refused(400, error=f"'{name}' missing from survey question {index}, or of the wrong type")
        if asked["variable"] in seen:
            raise Refused(400, error=f"'variable' '{asked['variable']}' duplicated in survey question {index}.")
        seen.add(asked["variable"])
        kind, default = asked["type"], asked.get("default", "")
        if kind not in QUESTIONS:
            raise Refused(400, error=f"'{kind}' in survey question {index} is not one of the allowed question types.")
        if default != "" and type(default) is not QUESTIONS[kind]:
            raise Refused(400, error=f"The default of survey question {index} expected to be {QUESTIONS[kind].__name__}.")
        if any(not isinstance(asked[end], int) for end in ("min", "max") if asked.get(end) is not None):
            raise Refused(400, error=f"The min or max limit in survey question {index} expected to be integer.")
        if kind in ("multiplechoice", "multiselect"):
            if not asked.get("choices"):
                raise Refused(400, error=f"Survey question {index} of type {kind} must specify choices.")
            if default and default not in asked["choices"].split("\n"):
                raise Refused(400, error=f"Default choice in survey question {index} must be one of the choices listed.")


def check_rule(rule: str) -> None:
    """Refuse a rule of a schedule that AWX does not take."""
    wanted = [
        (r"DTSTART(;[^:]+)?:\d+T\d+Z?", "Valid DTSTART required in rrule"),
        (r"RRULE:", "RRULE required in rrule"),
        (r"INTERVAL=\d", "INTERVAL required in rrule"),
    ]
    told = [text for pattern, text in wanted if not re.search(pattern, rule)]
    if told or "SECONDLY" in rule:
        raise Refused(400, rrule=told or ["SECONDLY is not supported."])


class Awx:
    """The state, and what each request does to it."""

    def __init__(self, token: str, playbooks: list[str]) -> None:
        self.token, self.playbooks = token, playbooks
        self.items: dict[str, dict[int, Item]] = {kind: {} for kind in (*FIELDS, "credential_types", "instance_groups")}
        self.linked: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Item] = {}
        self.granted: dict[int, set[int]] = {}
        self.roles: dict[tuple[str, int, str], int] = {}
        self.jobs: dict[int, Item] = {}
        self.writes: list[str] = []
        self._last = 0
        for name in CREDENTIAL_TYPES:
            self._put("credential_types", {"name": name})

    # --- state ---

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _put(self, kind: str, fields: Item) -> Item:
        item = {"id": self._next(), **fields}
        self.items[kind][item["id"]] = item
        return item

    def seed(self, kind: str, **fields: Any) -> int:
        """An object that somebody else made."""
        return int(self._put(kind, {name.rstrip("!"): self._empty(kind_of) for name, kind_of in FIELDS[kind].items()} | fields)["id"])

    def named(self, kind: str) -> list[str]:
        """Names of the objects of a kind."""
        return sorted(str(item["name"]) for item in self.items[kind].values())

    def one(self, kind: str, name: str) -> Item:
        """An object by its name."""
        return next(item for item in self.items[kind].values() if item.get("name") == name)

    @staticmethod
    def _empty(kind: Any) -> Any:
        if isinstance(kind, tuple):
            return kind[0]
        return {TEXT: "", FLAG: False, NUMBER: 0, MAPPING: {}}.get(kind)

    def find(self, kind: str, number: int) -> Item:
        """An object by its number, or 404."""
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        for name in kinds:
            if number in self.items.get(name, {}):
                return self.items[name][number]
        raise Refused(404, detail="Not found.")

    # --- what is shown ---

    def shown(self, kind: str, item: Item) -> Item:
        """An object as the API shows it: no secret, and where to go from it."""
        url = f"/api/v2/{kind}/{item['id']}/"
        roles = {f"{name}_role": {"id": self._role(kind, item["id"], name)} for name in ROLES.get(kind, ())}
        more: Item = {
            "summary_fields": {"object_roles": roles},
            "related": {"survey_spec": f"{url}survey_spec/", "update": f"{url}update/"},
        }
        found = {**item, "type": type_of(kind), "url": url, **more}
        for field in ("inputs", "notification_configuration"):
            if field in found:
                found[field] = {name: "$encrypted$" if name in SECRET and value else value for name, value in found[field].items()}
        if kind == "workflow_job_template_nodes":
            self._show_node(found)
        if kind == "projects":
            found["scm_revision"] = "0" * 40
        return found

    def _show_node(self, node: Item) -> None:
        for way in ("success_nodes", "failure_nodes", "always_nodes"):
            node[way] = self.linked.get(("workflow_job_template_nodes", node["id"], way), [])
        number = node["unified_job_template"]
        for kind in UNIFIED if number else ():
            if number in self.items[kind]:
                job = {"unified_job_type": type_of(kind).removesuffix("_template"), **self.items[kind][number]}
                node["summary_fields"]["unified_job_template"] = {
                    name: job[name] for name in ("id", "name", "description", "unified_job_type")
                }
                node["related"]["unified_job_template"] = f"/api/v2/{kind}/{number}/"

    def _role(self, kind: str, number: int, name: str) -> int:
        return self.roles.setdefault((kind, number, name), len(self.roles) + 1)

    def _matches(self, kind: str, item: Item, field: str, value: str, unified: bool) -> bool:
        first, _dots, rest = field.partition("__")
        if first == "type":
            return type_of(kind) == value
        if rest:
            target = "unified_job_templates" if first == "unified_job_template" else {"inventory": "inventories"}.get(first, f"{first}s")
            return bool(item.get(first)) and str(self.find(target, item[first]).get(rest)) == value
        if first not in item:
            if unified:
                return False
            raise Refused(400, detail=f"{kind} has no field named '{first}'")
        return str(item[first]) == value

    def listed(self, kind: str, query: Mapping[str, str], path: str) -> Item:
        """A page of the objects of a kind that a query wants."""
        page, size = int(query.get("page", 1)), int(query.get("page_size", PAGE))
        asked = {field: value for field, value in query.items() if field not in ("page", "page_size", "order_by") and value != "None"}
        either = {field[4:]: value for field, value in asked.items() if field.startswith("or__")}
        every = {field: value for field, value in asked.items() if not field.startswith("or__")}
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [
            self.shown(name, item) for name in kinds for item in self.items[name].values()
            if all(self._matches(name, item, field, value, len(kinds) > 1) for field, value in every.items())
            and (not either or any(self._matches(name, item, field, value, len(kinds) > 1) for field, value in either.items()))
        ]
        return self._page(found, page, size, query, path)

    @staticmethod
    def _page(found: list[Item], page: int, size: int, query: Mapping[str, str], path: str) -> Item:
        more = f"{path}?{urlencode({**query, 'page': page + 1})}" if page * size < len(found) else None
        return {"count": len(found), "next": more, "previous": None, "results": found[(page - 1) * size : page * size]}

    # --- what is written ---

    def _checked(self, kind: str, given: Item, old: Item | None) -> Item:
        told: dict[str, list[str]] = {}
        fields = {name.rstrip("!"): (wanted, name.endswith("!")) for name, wanted in FIELDS[kind].items()}
        for name in sorted(set(given) - set(fields)):
            if kind == "workflow_approval_templates":  # the module sends what its node has as well
                given = {each: value for each, value in given.items() if each != name}
                continue
            told[name] = ["AWX has no such field."]
        for name, (wanted, required) in fields.items():
            if name not in given:
                if required and old is None:
                    told[name] = ["This field is required."]
                continue
            problem = self._problem(wanted, given[name], required)
            if problem:
                told[name] = [problem]
        if told:
            raise Refused(400, **told)
        kept = old or {name: self._empty(wanted) for name, (wanted, _required) in fields.items()}
        item = {**kept, **{name: self._empty(fields[name][0]) if value is None and fields[name][0] != NUMBER and isinstance(
            fields[name][0], tuple) else value for name, value in given.items()}}
        self._fit(kind, item, old)
        return item

    def _problem(self, wanted: Any, value: Any, required: bool) -> str:
        if value is None:
            return "This field may not be null." if required or wanted in (FLAG, MAPPING) else ""
        if isinstance(wanted, tuple):
            return "" if value in wanted else f'"{value}" is not a valid choice.'
        if wanted == TEXT:
            return "Not a valid string." if not isinstance(value, str) else "This field may not be blank." if required and not value else ""
        if wanted == FLAG:
            return "" if isinstance(value, bool) else "Must be a valid boolean."
        if wanted == NUMBER:
            return "" if isinstance(value, int) and not isinstance(value, bool) else "A valid integer is required."
        if wanted == MAPPING:
            return "" if isinstance(value, dict) else f'Expected a dictionary of items but got type "{type(value).__name__}".'
        if not isinstance(value, int):
            return f"Incorrect type. Expected pk value, received {type(value).__name__}."
        try:
            self.find(wanted, value)
        except Refused:
            return f'Invalid pk "{value}" - object does not exist.'
        return ""

    def _fit(self, kind: str, item: Item, old: Item | None) -> None:
        keys = UNIQUE.get(kind, ("name", "organization"))
        for other in self.items[kind].values():
            if keys and other is not old and all(other.get(key) == item.get(key) for key in keys):
                raise Refused(400, __all__=[f"{type_of(kind)} with this {', '.join(keys)} already exists."])
        if kind == "credentials":
            known = CREDENTIAL_TYPES[self.items["credential_types"][item["credential_type"]]["name"]]
            strange = sorted(set(item["inputs"]) - known)
            if strange:
                raise Refused(400, inputs=[f"Invalid input field: {', '.join(strange)}"])
            item["inputs"] = {
                name: (old or {}).get("inputs", {}).get(name) if value == "$encrypted$" else value for name, value in item["inputs"].items()
            }
        if kind == "notification_templates":
            self._fit_notification(item)
        if kind == "job_templates" and item["playbook"] not in self.playbooks:
            raise Refused(400, playbook=["Playbook not found for project."])
        if kind in ("job_templates", "workflow_job_templates"):
            for name in ("extra_vars",):
                if item[name] and not isinstance(json.loads(item[name]), dict):
                    raise Refused(400, extra_vars=["Must be a mapping."])
            if kind == "job_templates":
                item["organization"] = self.items["projects"][item["project"]]["organization"]
        if kind == "inventory_sources" and item["source"] == "scm" and not item["source_project"]:
            raise Refused(400, source_project=["Project required for scm type sources."])
        if kind == "schedules":
            check_rule(item["rrule"])

    @staticmethod
    def _fit_notification(item: Item) -> None:
        known, given = NOTIFICATIONS[item["notification_type"]], item["notification_configuration"]
        missing = [name for name, (_kind, default) in known.items() if name not in given and default is None]
        wrong = [name for name, (kind, _default) in known.items() if name in given and not isinstance(given[name], kind)]
        strange = sorted(set(given) - set(known))
        if missing or wrong or strange:
            raise Refused(
                400, notification_configuration=[f"Missing required fields: {missing}; incorrect type: {wrong}; unknown: {strange}."]
            )
        item["notification_configuration"] = {**{name: default for name, (_kind, default) in known.items() if default is not None}, **given}

    def create(self, kind: str, given: Item) -> Item:
        """A new object."""
        made = self._put(kind, self._checked(kind, given, None))
        found = self.shown(kind, made)
        if kind == "projects":
            found["summary_fields"]["current_update"] = {"id": made["id"], "status": "pending"}
        return found

    def change(self, kind: str, number: int, given: Item) -> Item:
        """An object with some of its fields changed."""
        old = self.find(kind, number)
        old.update(self._checked(kind, given, old))
        return self.shown(kind, old)

    def delete(self, kind: str, number: int) -> None:
        """An object goes, and what cannot be without it."""
        self.find(kind, number)
        for other, field in [*CASCADE.get(kind, ()), *(CASCADE["unified"] if kind in UNIFIED else ())]:
            for each in [item["id"] for item in self.items[other].values() if item.get(field) == number]:
                self.delete(other, each)
        gone = self.items[kind].pop(number)
        if kind == "workflow_job_template_nodes" and gone["unified_job_template"] in self.items["workflow_approval_templates"]:
            self.delete("workflow_approval_templates", gone["unified_job_template"])
        for key in [key for key in self.linked if key[:2] == (kind, number)]:
            del self.linked[key]
        for (_kind, _number, way), numbers in self.linked.items():
            if ASSOCIATED[way] == kind and number in numbers:
                numbers.remove(number)
        used = {each for (_kind, _number, way), numbers in self.linked.items() if way == "labels" for each in numbers}
        self.items["labels"] = {each: item for each, item in self.items["labels"].items() if each in used or kind == "labels"}

    # --- requests ---

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        """Status and body of the answer to a request of somebody whose token is right."""
        parts = [part for part in path.removeprefix("/api/v2/").split("/") if part]
        if method in ("POST", "PATCH", "DELETE"):
            self.writes.append(f"{method} {path}")
        for pattern, handler in self._ways():
            found = re.fullmatch(pattern, f"{method} {'/'.join(parts)}")
            if found:
                return handler(*found.groups(), query=query, body=body, path=path)
        raise Refused(404, detail="Not found.")

    def _ways(self) -> Iterator[tuple[str, Callable[..., tuple[int, Any]]]]:
        kinds = "|".join((*FIELDS, "credential_types", "unified_job_templates"))
        yield r"GET me", lambda query, body, path: (200, self._page([{"id": 1, "username": "admin", "type": "user"}], 1, PAGE, query, path))
        yield r"GET project_updates/(\d+)", lambda _number, query, body, path: (200, {"status": "successful", "finished": "now"})
        yield r"GET jobs/(\d+)", lambda number, query, body, path: (200, self._job(int(number)))
        yield r"(GET|POST|DELETE) (\w+)/(\d+)/survey_spec", self._survey
        yield r"POST workflow_job_template_nodes/(\d+)/create_approval_template", self._approval
        yield r"(GET|POST) roles/(\d+)/teams", self._grant
        yield rf"(GET|POST) (\w+)/(\d+)/({'|'.join(ASSOCIATED)})", self._link
        yield rf"GET ({kinds})", lambda kind, query, body, path: (200, self.listed(kind, query, path))
        yield rf"POST ({'|'.join(FIELDS)})", lambda kind, query, body, path: (201, self.create(kind, body))
        yield rf"GET ({kinds})/(\d+)", lambda kind, number, query, body, path: (200, self.shown(kind, self.find(kind, int(number))))
        yield rf"PATCH ({'|'.join(FIELDS)})/(\d+)", lambda kind, number, query, body, path: (200, self.change(kind, int(number), body))
        yield rf"DELETE ({'|'.join(FIELDS)})/(\d+)", lambda kind, number, query, body, path: (204, self.delete(kind, int(number)))

    def _job(self, number: int) -> Item:
        if number not in self.jobs:
            raise Refused(404, detail="Not found.")
        return self.jobs[number]

    def _survey(self, method: str, kind: str, number: str, query: Any, body: Any, path: str) -> tuple[int, Any]:
        key = (kind, int(self.find(kind, int(number))["id"]))
        if method == "POST":
            check_survey(body)
            self.surveys[key] = body
        elif method == "DELETE":
            self.surveys.pop(key, None)
        return 200, self.surveys.get(key, {}) if method == "GET" else {}

    def _approval(self, number: str, query: Any, body: Any, path: str) -> tuple[int, Any]:
        node = self.find("workflow_job_template_nodes", int(number))
        made = self.create("workflow_approval_templates", body)
        node["unified_job_template"] = made["id"]
        return 201, made

    def _grant(self, method: str, number: str, query: Any, body: Any, path: str) -> tuple[int, Any]:
        teams = self.granted.setdefault(int(number), set())
        if method == "GET":
            return 200, self._page([{"id": team} for team in sorted(teams)], 1, 200, query, path)
        self.find("teams", body["id"])
        (teams.discard if body.get("disassociate") else teams.add)(body["id"])
        return 204, None

    def _link(self, method: str, kind: str, number: str, way: str, query: Any, body: Any, path: str) -> tuple[int, Any]:
        self.find(kind, int(number))
        numbers = self.linked.setdefault((kind, int(number), way), [])
        if method == "GET":
            return 200, self._page([{"id": each} for each in numbers], 1, 200, query, path)
        self.find(ASSOCIATED[way], body["id"])
        if body.get("disassociate"):
            numbers.remove(body["id"])
        elif body["id"] not in numbers:
            numbers.append(body["id"])
        return 204, None


class Server:
    """The stand-in behind a port of this machine."""

    def __init__(self, awx: Awx) -> None:
        self.awx, guard = awx, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                split = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else {}
                try:
                    if self.headers.get("Authorization") != f"Bearer {awx.token}":
                        raise Refused(401, detail="Authentication credentials were not provided.")
                    with guard:
                        status, answer = awx.answer(self.command, split.path, dict(parse_qsl(split.query, keep_blank_values=True)), body)
                except Refused as refused:
                    status, answer = refused.status, refused.body
                content = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("X-API-Product-Version", "24.6.1")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
