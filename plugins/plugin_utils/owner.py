# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who runs where AWX does: a job is an owner of its own, and AWX knows whether it has ended.

Each job works in a container of its own, so that nobody who comes later can look for its process. AWX tells a job its number as an extra
variable, and its own address in the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible.module_utils.urls import ConnectionError as CannotConnect, open_url

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Job, Lease, Owner

ASK_S = 10.0
"""Seconds that an answer of AWX may take."""
SKEW_S = 60.0
"""Seconds by which the clocks of a node and of AWX may differ; where they differ by more, nothing is sure."""
ENDED = ("successful", "failed", "canceled")
"""What AWX says of a job whose C(ansible-playbook) has ended; of C(error) it does not know."""


def in_awx(task_vars: Mapping[str, Any]) -> bool:
    """Whether a job of AWX, or of the Automation Platform, runs this."""
    return bool(_number(task_vars))


def in_runner(task_vars: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> bool:
    """Whether somebody collects artefacts: a job of AWX, or ansible-runner, which names its folder in the environment."""
    return in_awx(task_vars) or bool((os.environ if environment is None else environment).get("AWX_ISOLATED_DATA_DIR"))


def _number(task_vars: Mapping[str, Any]) -> str:
    return str(task_vars.get("awx_job_id") or task_vars.get("tower_job_id") or "")


def job_facts(task_vars: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Owner:
    """What the owner of a lock is besides, where it is a job: C(actor), who started it, and C(job).

    Empty where no job of AWX runs this. Of a job: its number, the address of AWX for people (``awx``) and the one at which it is asked
    (``api``, empty without a token), and the name of its template.
    """
    number = _number(task_vars)
    if not number:
        return {}
    environment = os.environ if environment is None else environment
    said = {name: task_vars.get(f"awx_{name}") or task_vars.get(f"tower_{name}") or "" for name in ("user_name", "job_template_name")}
    awx, template = environment.get("AWX_HOST", "").rstrip("/"), str(said["job_template_name"])
    job: Job = {"id": number, "awx": awx, "api": _api(environment)[0], "template": template}
    whose: Owner = {"job": job}
    if said["user_name"]:
        whose["actor"] = str(said["user_name"])
    return whose


def has_ended(lease: Lease, mine: Owner, environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether the holder of a lock is a job that has ended, of the very AWX whose job asks. Unsure is no.

    It is asked only with a token that the job was given (a credential of the kind Red Hat Ansible Automation Platform, which AWX puts
    into the environment), and believed only where all of it fits: it is the same AWX, and a job of the same template; the status is one of
    a run that came to its end; AWX does not explain the end by having lost the job; the lock was taken while the job ran, and has not been
    lengthened since it ended, as a run that lives does at each third of its lease. The node itself still waits for a process of that run
    that works there, and refuses that run at its next step, should one be left.

    Args:
        lease: the lease that is in the way.
        mine: :func:`job_facts` of who asks.
    """
    theirs, own = (lease.get("owner") or {}).get("job") or {}, mine.get("job") or {}
    same = all(theirs.get(key) and theirs.get(key) == own.get(key) for key in ("awx", "api"))
    if not same or not str(theirs.get("id") or "").isdigit() or str(theirs["id"]) == str(own.get("id")):
        return False
    try:
        answer = _asked(str(theirs["id"]), os.environ if environment is None else environment)
    except (OSError, ValueError, CannotConnect):  # AWX does not answer, or something else does: the lease runs out by itself
        return False
    # a job that AWX lost is failed as well, with an explanation: it may still run
    ended = answer.get("status") in ENDED and not answer.get("job_explanation") and answer.get("name") == theirs.get("template")
    return ended and _fits(lease, answer)


def _fits(lease: Lease, job: Mapping[str, Any]) -> bool:
    """Whether a lock was taken while the job ran, and not lengthened after it had ended. Unsure is no."""
    try:
        started, finished = _seconds(job["started"]), _seconds(job["finished"])
        since, lengthened = _seconds(lease["since"]), _seconds(lease["expires"]) - float(lease["lease_s"])
    except (KeyError, TypeError, ValueError):  # a time is missing, as that of the end of a job that runs; or is none
        return False
    return started - SKEW_S <= since <= finished + SKEW_S and lengthened <= finished + SKEW_S


def _seconds(text: Any) -> float:
    """A time of AWX or of a lease, in UTC, as seconds. Raises ValueError."""
    whole, _dot, fraction = str(text).rstrip("Z").partition(".")
    return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp() + float(f"0.{fraction or 0}")


def _api(environment: Mapping[str, str]) -> tuple[str, str]:
    """Address of AWX and a token for it, both empty where one of them is missing."""
    host = (environment.get("CONTROLLER_HOST") or environment.get("TOWER_HOST") or "").rstrip("/")
    token = environment.get("CONTROLLER_OAUTH_TOKEN") or environment.get("TOWER_OAUTH_TOKEN") or ""
    return (host, token) if token and host.startswith(("https://", "http://")) else ("", "")


def _asked(number: str, environment: Mapping[str, str]) -> dict[str, object]:
    """What AWX says of a job. Raises OSError, ValueError and CannotConnect."""
    host, token = _api(environment)
    verify = environment.get("CONTROLLER_VERIFY_SSL", "true").lower() not in ("false", "no", "0")
    said = {"Authorization": f"Bearer {token}"}
    with open_url(f"{host}/api/v2/jobs/{number}/", headers=said, timeout=ASK_S, validate_certs=verify) as answer:
        found = json.load(answer)
    if not isinstance(found, dict) or str(found.get("id")) != number:
        raise ValueError(f"expected job {number}")
    return found


def unanswered(lease: Lease, mine: Owner) -> str:
    """What a job that is refused because of another one's lock is told besides; empty where no job has it."""
    theirs = (lease.get("owner") or {}).get("job") or {}
    if not theirs.get("id"):
        return ""
    where = f"{theirs['awx']}/#/jobs/playbook/{theirs['id']}" if theirs.get("awx") else f"job {theirs['id']}"
    said = f" The lock is that of job {theirs['id']} of AWX ({where}). If AWX shows it as canceled or failed, it is no longer at work: "
    said += "launch this again with the answer 'true' to 'Consent: break lock'."
    if mine.get("job"):
        said += " With a credential of the kind Red Hat Ansible Automation Platform, whose user may read jobs, a job finds that out itself."
    return said
