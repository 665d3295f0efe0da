# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superset's API as somebody who is logged in: its lists, one thing of them, imports, and what a chart's query answers."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import Answer, request

PAGE = 100
"""So many entries one page of a list has at most."""
FRESH = urlencode({"force": "true"})
"""Asks the database and not what is remembered of it."""
TOP = "assets"
"""The one folder that an archive has at its top."""


def said(answer: Answer) -> str:
    """Superset's own words in an answer that is no good one; the answer as it came where there are none."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return excerpt(answer.text)
    if not isinstance(body, Mapping):
        return excerpt(answer.text)
    found = [_told(one) for one in body.get("errors") or [] if isinstance(one, Mapping)]
    if not found and body.get("message"):
        found = [body["message"] if isinstance(body["message"], str) else json.dumps(body["message"])]
    return excerpt("; ".join(found) or answer.text, 600)


def _told(error: Mapping[str, Any]) -> str:
    """An error's message, and what comes with it where the message does not have that already."""
    message, extra = str(error.get("message") or ""), error.get("extra")
    more = {key: value for key, value in extra.items() if key not in ("issue_codes", "level")} if isinstance(extra, Mapping) else {}
    return message if not more or all(str(key) in message for key in more) else f"{message}; {json.dumps(more)}"


def packed(kind: str, files: Mapping[str, Any]) -> bytes:
    """An archive as Superset imports it: one folder at its top, and what it is of.

    Args:
        kind: what the import is of, in Superset's own words: C(Dashboard), C(Slice), C(SqlaTable).
        files: path below the top to content. JSON is YAML.
    """
    about = {"version": "1.0.0", "type": kind, "timestamp": "2000-01-01T00:00:00+00:00"}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {"metadata.yaml": about, **files}.items():
            archive.writestr(f"{TOP}/{path}", json.dumps(content, indent=1, ensure_ascii=False))
    return made.getvalue()


def _form(archive: bytes) -> tuple[bytes, str]:
    """The form of an import, and its content type."""
    border = uuid.uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{border}\r\n'
    head += 'Content-Disposition: form-data; name="formData"; filename="assets.zip"\r\nContent-Type: application/zip\r\n\r\n'
    return head.encode() + archive + f"\r\n--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


class Superset:
    """One login to one server.

    Attributes:
        context: limits the time of all that is asked.
    """

    def __init__(self, target: str, context: Context, ca_file: str | None = None) -> None:
        self.target = target.rstrip("/")
        self.context = context
        self._ca_file = ca_file
        self._headers: dict[str, str] = {}

    def login(self, username: str, password: str) -> None:
        """Log in.

        Raises:
            NotAsExpected: it is refused, or nothing of the kind answers.
        """
        body = json.dumps({"username": username, "password": password, "provider": "db", "refresh": False}).encode()
        answer = self._answer("POST", "/api/v1/security/login", body, {"Content-Type": "application/json"})
        if answer.status == 401:
            raise NotAsExpected(f"{username} is not let in: {said(answer)}", "a login", answer.url)
        token = self._json(answer, "POST").get("access_token")
        if not token:
            raise NotAsExpected(f"no access_token in the answer: {excerpt(answer.text)}", "a login", answer.url)
        self.context.secrets.add(str(token))
        self._headers = {"Authorization": f"Bearer {token}"}

    def writes(self) -> None:
        """Fetch what every change has to bring along; its cookie belongs to it.

        Raises:
            NotAsExpected: it is not to be had.
        """
        answer = self._answer("GET", "/api/v1/security/csrf_token/")
        token = str(self._json(answer, "GET").get("result") or "")
        self.context.secrets.add(token)
        self._headers.update({"X-CSRFToken": token, "Referer": self.target})
        if "set-cookie" in answer.headers:
            self._headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]

    def get(self, path: str) -> Any:
        """What stands at a path below C(/api/v1).

        Raises:
            NotAsExpected: no answer, another status than 200, or no JSON.
        """
        return self._json(self._answer("GET", f"/api/v1{path}"), "GET")

    def send(self, method: str, path: str, data: Mapping[str, Any]) -> Any:
        """Make or change one thing; :meth:`writes` comes first.

        Raises:
            NotAsExpected: it is refused, with Superset's words.
        """
        answer = self._answer(method, f"/api/v1{path}", json.dumps(data).encode(), {"Content-Type": "application/json"})
        return self._json(answer, method)

    def upload(self, kind: str, archive: bytes) -> None:
        """Import an archive, over what is there; :meth:`writes` comes first. That it is taken says nothing: read back what came of it.

        Args:
            kind: C(dashboard), C(chart) or C(dataset).

        Raises:
            NotAsExpected: it is refused, with Superset's words.
        """
        body, content = _form(archive)
        self._json(self._answer("POST", f"/api/v1/{kind}/import/", body, {"Content-Type": content}), "POST")

    def listed(self, kind: str, columns: Iterable[str]) -> list[Mapping[str, Any]]:
        """Everything of a kind that this user sees, with these columns.

        Raises:
            NotAsExpected: as :meth:`get`.
        """
        found: list[Mapping[str, Any]] = []
        asked = ",".join(columns)
        while True:
            query = f"(columns:!({asked}),page:{len(found) // PAGE},page_size:{PAGE})"
            page = self.get(f"/{kind}/?q={quote(query)}").get("result") or []
            found += page
            if len(page) < PAGE:
                return found

    def charts_of(self, dashboard: str) -> list[Mapping[str, Any]]:
        """The charts of a dashboard, by its slug.

        Raises:
            NotAsExpected: as :meth:`get`; status 404 where there is no such dashboard.
        """
        return list(self.get(f"/dashboard/{quote(dashboard, safe='')}/charts").get("result") or [])

    def rows_of(self, chart: int) -> int:
        """How many rows the query of a chart answers, asked of its database and not of a cache.

        Raises:
            NotAsExpected: it has no query, or the database refuses it; in Superset's words.
        """
        results = self.get(f"/chart/{chart}/data/?{FRESH}").get("result") or []
        wrong = [str(one["error"]) for one in results if one.get("error")]
        if wrong or not results:
            raise NotAsExpected(excerpt("; ".join(wrong) or "no result", 600), "rows")
        return sum(int(one.get("rowcount") or 0) for one in results)

    def _answer(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        # to whoever takes HTML it says no more of an error than that there was one
        sent = {"Accept": "application/json", **self._headers, **(headers or {})}
        return request(self.target + path, self.context, method, body, sent, self._ca_file)

    @staticmethod
    def _json(answer: Answer, method: str) -> Any:
        if answer.status not in (200, 201):
            raise NotAsExpected(f"status {answer.status}: {said(answer)}", "status 200", f"{method} {answer.url}")
        found = answer.json()
        if not isinstance(found, Mapping):
            raise NotAsExpected(f"no mapping: {excerpt(answer.text)}", "an answer of Superset's API", f"{method} {answer.url}")
        return found
