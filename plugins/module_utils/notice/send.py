# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sending notices: a webhook, a mail, a command. No error shows an address, a header, a password, or what a program said that was told.

A command that is asked says why it refuses: its last words are shown.
"""

from __future__ import annotations

import http.client
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import os_error_text
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import NOTHING, finish, tail
from ansible_collections.phasegate.aistack.plugins.module_utils.notice import messages as notice

TRIES = 2
"""How often a receiver is tried that could not be reached; one that answered with a refusal is not asked again."""
WORDS = 5
"""So many of the last lines of one that is asked and refuses are shown: it speaks to whoever waits for its answer."""


class Unreached(Exception):
    """The receiver did not get it; the text may be shown. ``again``: another try may help."""

    def __init__(self, why: str, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would arrive as a GET, or at somebody else's."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _tls(entry: Mapping[str, Any]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=entry.get("ca_file") or None)


def _webhook(entry: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "phasegate-aistack"}
    headers.update({str(name): str(value) for name, value in (entry.get("headers") or {}).items()})
    body = json.dumps(message, ensure_ascii=False).encode()
    request = urllib.request.Request(str(entry["url"]), data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=_tls(entry)))
    try:
        with opener.open(request, timeout=timeout) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as refused:
        refused.close()
        raise Unreached(f"it answered {refused.code}", again=refused.code >= 500) from None
    except urllib.error.URLError as problem:
        why = os_error_text(problem.reason, timeout) if isinstance(problem.reason, OSError) else "it cannot be reached"
        raise Unreached(why, again=True) from None
    except http.client.RemoteDisconnected:  # it comes as it is, not as a URLError, when the answer is awaited
        raise Unreached("the connection was closed before it answered", again=True) from None
    except (http.client.HTTPException, ValueError):  # their texts hold the address, or a header
        raise Unreached("its address or a header makes no sense, or its answer is no HTTP") from None


def _mail(entry: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> None:
    mail = EmailMessage()
    try:
        mail["Subject"] = str(message["title"]).replace("\n", " ")
        mail["From"], mail["To"] = str(entry["from"]), ", ".join(entry["to"])
        mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid("aistack", "aistack.invalid")
        mail.set_content(f"{message['text']}\n")
    except ValueError:
        raise Unreached("an address in from or to makes no sense") from None
    security = entry.get("security", "starttls")
    port = int(entry.get("port") or {"starttls": 587, "tls": 465, "none": 25}[security])
    try:
        if security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(str(entry["host"]), port, timeout=timeout, context=_tls(entry))
        else:
            server = smtplib.SMTP(str(entry["host"]), port, timeout=timeout)
        with server:
            if security == "starttls":
                server.starttls(context=_tls(entry))
            if entry.get("user"):
                server.login(str(entry["user"]), str(entry["password"]))
            lost = server.send_message(mail)
    except smtplib.SMTPResponseException as refused:
        what = "refused user and password" if isinstance(refused, smtplib.SMTPAuthenticationError) else "refused"
        raise Unreached(f"the mail server {what} ({refused.smtp_code})", again=400 <= refused.smtp_code < 500) from None
    except smtplib.SMTPNotSupportedError:
        raise Unreached(f"the mail server does not offer {security if security == 'starttls' else 'what was asked for'}") from None
    except smtplib.SMTPRecipientsRefused:
        raise Unreached("the mail server takes none of the recipients") from None
    except smtplib.SMTPException as problem:
        raise Unreached(f"the mail server broke off ({type(problem).__name__})", again=True) from None
    if lost:
        raise Unreached(f"{len(lost)} of {len(entry['to'])} recipients were refused by the mail server")


def _command(entry: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> None:
    program = str(entry["command"][0])
    try:
        done = finish(entry["command"], timeout, json.dumps(message, ensure_ascii=False).encode(), stdout=NOTHING, stderr=NOTHING)
    except OSError as problem:
        raise Unreached(f"{program} cannot be run: {problem.strerror}") from None
    if done.timed_out:
        raise Unreached(f"{program} did not end within {timeout:g} s")
    if done.rc:
        raise Unreached(f"{program} ended with {done.rc}")


_SENDERS = {"webhook": _webhook, "mail": _mail, "command": _command}


def ask(entry: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    """Ask a command that may refuse. ``entry`` has no problems. Raises Unreached where it does, or gives no answer, with its last words."""
    program, timeout = str(entry["command"][0]), float(entry.get("timeout") or notice.ASK_TIMEOUT)
    try:
        done = finish(entry["command"], timeout, json.dumps(message, ensure_ascii=False).encode())
    except OSError as problem:
        raise Unreached(f"{program} cannot be run: {problem.strerror}") from None
    if done.rc == 0 and not done.timed_out:
        return
    said = without_credentials(tail(f"{done.stdout}\n{done.stderr}", WORDS))
    why = f"{program} did not end within {timeout:g} s" if done.timed_out else f"it ended with {done.rc}"
    raise Unreached("\n".join([f"{why}{'' if said else ' and said nothing'}", *(f"  {line}" for line in said.splitlines())]))


def send(entry: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    """Send one notice, at most twice. ``entry`` has no problems. Raises Unreached."""
    timeout = float(entry.get("timeout") or notice.TIMEOUT)
    for left in reversed(range(TRIES)):
        try:
            return _SENDERS[str(entry["kind"])](entry, message, timeout)
        except Unreached as problem:
            if not (left and problem.again):
                raise
        except OSError as problem:  # of a connection, or a ca_file that cannot be read
            if not left:
                raise Unreached(os_error_text(problem, timeout)) from None
    return None


def ask_all(entries: Sequence[Any], event: str, facts: Mapping[str, object], check: bool = False) -> dict[str, list[Any]]:
    """Ask those that want to be asked at ``event``, in order, until one refuses; as :func:`send_all`, whose words the answer has."""
    message = notice.message(event, facts)
    asked: list[str] = []
    for index, entry in enumerate(entries):
        if entry is None or event not in (entry.get("events") or ()):
            continue
        name, wrong = notice.label(entry, index), notice.entry_problems(entry)
        try:
            if wrong:
                raise Unreached(f"its description in aistack_notices[{index}] is wrong: {'; '.join(wrong)}")
            if not check:
                ask(entry, message)
        except Unreached as refused:
            return {"sent": asked, "failed": [{"name": name, "why": str(refused)}]}
        asked.append(name)
    return {"sent": asked, "failed": []}


def send_all(
    entries: Sequence[Any], event: str, facts: Mapping[str, object], check: bool = False, besides: str = ""
) -> dict[str, list[Any]]:
    """Send ``event`` to all that asked for it, side by side; nothing is raised for a receiver, and None stands for nobody.

    Whoever asked for the event ``besides`` gets it as well.

    Returns:
        ``sent`` (names; in check mode those that it would go to) and ``failed`` (C({"name", "why"})).

    Raises:
        ValueError: there is no such event.
    """
    message = notice.message(event, facts)
    failed: list[dict[str, str]] = []
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    for index, entry in enumerate(entries):
        if entry is None:
            continue
        name = notice.label(entry, index)
        wrong = notice.entry_problems(entry)
        if wrong:
            failed.append({"name": name, "why": f"its description in aistack_notices[{index}] is wrong: {'; '.join(wrong)}"})
        elif notice.wanted(entry, event) or (besides and notice.wanted(entry, besides)):
            chosen.append((name, entry))
    if check or not chosen:
        return {"sent": [name for name, _entry in chosen], "failed": failed}
    sent: list[str] = []
    with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
        for name, result in [(name, pool.submit(send, entry, message)) for name, entry in chosen]:
            try:
                result.result()
                sent.append(name)
            except Unreached as problem:
                failed.append({"name": name, "why": str(problem)})
    return {"sent": sent, "failed": failed}
