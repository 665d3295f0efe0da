# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX is to have of a stack: surveys and job templates out of ``meta/verbs.yml``, a workflow, and what is stale or a stranger's.

Pure: nothing here asks AWX or a repository. Names are what people see in AWX; everything of a stack begins with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import RELEASE_NAME, did_you_mean, release_name, version_key

Verb = Mapping[str, Any]
Spec = dict[str, Any]

NOT_A_JOB = ("awx", "init", "ticket")
"""Verbs that work for the one who sits at the controller: what they write would go with a job's container."""
FILES = {"archive", "output", "report", "documents", "junit"}
"""Parameters that name a file on the controller. A job has artefacts instead, and a folder that is set once for all."""
NUMBERS = {"int": "integer", "float": "float"}
NEEDS_RELEASE = "release"
FLOW = ("plan", "backup", "deploy", "verify", "healthcheck", "emergency_rollback")
"""What the workflow is made of, beside the approval."""
OPERATES = ("backup", "deploy", "diagnose", "emergency_rollback", "healthcheck", "logs", "plan", "report", "rollback", "verify")
"""What an operator may run: deploy, go back, and what is looked at before and after."""
MARK = "Made by phasegate.aistack for"
"""How the description of each object begins that the role made: only those are changed and taken away."""
WEBHOOK: dict[str, Any] = {"headers": {}, "http_method": "POST", "disable_ssl_verification": False, "username": "", "password": ""}
"""What AWX fills in for a webhook where it is not said; said here, so that a second run finds what it wants."""


class Unfit(ValueError):
    """The variables of the role cannot be made into objects of AWX; the text says which, and what to do."""


def mark(stack: str, what: str = "") -> str:
    """The description of an object of *stack*, with *what* people read behind the mark."""
    return f"{MARK} {stack}." + (f" {what}" if what else "")


def tags(found: Iterable[str], shown: int) -> list[str]:
    """Those tags that can be releases, newest first, at most *shown*."""
    fit = sorted({tag for tag in found if RELEASE_NAME.fullmatch(release_name(tag))}, key=version_key, reverse=True)
    return fit[:shown]


def wanted(verbs: Mapping[str, Verb], names: Sequence[str]) -> list[str]:
    """The verbs that become job templates: *names*, or all that make sense as a job.

    Raises:
        Unfit: a name is no verb, or none that a job can do.
    """
    known = [name for name in verbs if name not in NOT_A_JOB]
    for name in names:
        if name not in known:
            why = "it works for the one who sits at the controller"
            if name not in verbs:
                why = f"there is no such verb{did_you_mean(name, known)}"
            raise Unfit(f"awx_verbs: '{name}' cannot be a job template: {why}. Known are {', '.join(known)}.")
    return [name for name in known if name in names] if names else known


# --- surveys ---

def question(parameter: Mapping[str, Any], releases: Sequence[str]) -> Spec:
    """The question of a survey for one parameter of a verb.

    A parameter without a default is a text that may stay empty, whatever its type: AWX takes no empty number and no empty choice. A
    consent is a choice of its own, which says no unless somebody says yes; or, where a name is given as the consent, that name.
    """
    name, kind, default = str(parameter["name"]), parameter.get("type", "str"), parameter.get("default")
    asked: Spec = {
        "question_name": ("Consent: " if parameter.get("consent") else "") + name.replace("_", " "),
        "question_description": str(parameter["help"]),
        "variable": name,
        "required": bool(parameter.get("required")),
        "type": "text",
        "min": 1 if parameter.get("required") else 0,
        "max": 1024,
        "choices": "",
    }
    choices = ["true", "false"] if kind == "bool" else list(parameter.get("choices") or ())
    if name == NEEDS_RELEASE and releases:
        # what would be taken without it is not guessed: whoever runs a job names the release
        asked.update(type="multiplechoice", choices="\n".join(releases), required=True)
    elif choices and (default is not None or parameter.get("required")):
        said = str(default).lower() if kind == "bool" else str(default or "")
        asked.update(type="multiplechoice", choices="\n".join(choices), default=said)
    elif kind in NUMBERS and default is not None:
        # AWX reads both ends as whole numbers
        asked.update(type=NUMBERS[kind], min=int(parameter.get("minimum", 0)), max=2**31 - 1, default=default)
    elif kind == "line":
        asked.update(type="textarea", max=4096)
    elif default is not None:
        asked["default"] = str(default)
    if asked["type"] == "float":
        asked["default"] = float(asked["default"])
    return asked


def survey(name: str, verb: Verb, releases: Sequence[str]) -> Spec:
    """The survey of a verb; empty where there is nothing to ask."""
    asked = [question(parameter, releases) for parameter in verb["parameters"] if parameter["name"] not in FILES]
    return {"name": name, "description": str(verb["help"]), "spec": asked} if asked else {}


# --- job templates ---

def title(stack: str, verb: str) -> str:
    """What the job template of a verb is called."""
    return f"{stack} {verb.replace('_', ' ')}"


def outliving(name: str, verb: Verb, folder: str) -> dict[str, str]:
    """Extra variables by which what a verb writes lands in *folder*, one that outlives the container; none without one."""
    known = {str(parameter["name"]) for parameter in verb["parameters"]}
    job = "{{ awx_job_id | default(tower_job_id | default('0')) }}"
    endings = {"junit": "xml", "output": {**dict.fromkeys(JSON, "json"), "report": "html"}.get(name, "md")}
    said = {word: f"{folder.rstrip('/')}/{name}-{job}.{endings.get(word, 'md')}" for word in sorted(FILES & known) if word != "archive"}
    if "documents" in said:
        said["documents"] = f"{folder.rstrip('/')}/rollbacks"
    return said if folder else {}


JSON = ("emergency_rollback", "healthcheck", "watch")
"""Verbs whose ``output`` is JSON."""


def templates(verbs: Mapping[str, Verb], settings: Mapping[str, Any]) -> list[Spec]:
    """The job templates of a stack, as arguments of ``awx.awx.job_template``.

    Args:
        verbs: ``meta/verbs.yml``.
        settings: ``stack``; ``verbs`` (names, none: all); ``releases`` (tags, newest first); ``playbooks`` (folder of the project in
            which there is a playbook for each verb); ``documents`` (a folder that outlives a job, or nothing); ``extra_vars``.

    Raises:
        Unfit: a verb is none.
    """
    found: list[Spec] = []
    for name in wanted(verbs, settings.get("verbs") or ()):
        verb = verbs[name]
        spec = survey(name, verb, settings.get("releases") or ())
        found.append(
            {
                "verb": name,
                "name": title(settings["stack"], name),
                "description": mark(settings["stack"], str(verb["help"]) + "."),
                "playbook": "/".join(part for part in (str(settings.get("playbooks") or "").strip("/"), str(verb["playbook"])) if part),
                "survey_spec": spec,
                "survey_enabled": bool(spec),
                "ask_job_type_on_launch": bool(verb["check_mode"]),
                "ask_limit_on_launch": verb["limit"] != "none",
                "ask_tags_on_launch": name == "site",
                "allow_simultaneous": not verb["lock"],
                "extra_vars": {**outliving(name, verb, str(settings.get("documents") or "")), **(settings.get("extra_vars") or {})},
            }
        )
    return found


# --- the workflow ---

def workflow(verbs: Mapping[str, Verb], settings: Mapping[str, Any]) -> Spec:
    """The workflow that deploys, with its survey and its nodes, as arguments of ``awx.awx.workflow_job_template``; empty without its verbs.

    A deployment that fails takes back itself what it activated, and one that is refused has touched nothing; to go back then would
    take a release away that serves. So a failed deployment is followed by a look at the health of the stack, and only where that, or
    the verification of a deployment that went well, fails, the stack goes back.

    Args:
        verbs: ``meta/verbs.yml``.
        settings: as for :func:`templates`, with ``organization`` and ``approval_timeout`` (seconds; 0: it waits for ever).
    """
    if set(FLOW) - set(wanted(verbs, settings.get("verbs") or ())):
        return {}
    stack, releases = str(settings["stack"]), settings.get("releases") or ()
    deploy = {str(parameter["name"]): parameter for parameter in verbs["deploy"]["parameters"]}
    back = {str(parameter["name"]): parameter for parameter in verbs["emergency_rollback"]["parameters"]}
    asked = [{**question(deploy["release"], releases), "required": True}]
    asked += [question(deploy[name], ()) for name in ("application", "partial", "allow_bad", "break_lock")]
    asked.append({**question(back["reason"], ()), "question_description": "why it goes back, where it has to; for the journal"})

    def node(verb: str, **ways: Sequence[str]) -> Spec:
        job = {"name": title(stack, verb), "type": "job_template", "organization": {"name": settings["organization"]}}
        related = {f"{way}_nodes": [{"identifier": name} for name in names] for way, names in ways.items()}
        return {"identifier": verb, "unified_job_template": job, "related": related}

    timeout = int(settings.get("approval_timeout") or 0)
    approval = {
        "identifier": "approval",
        "unified_job_template": {
            "name": f"{stack} deployment",
            "description": "The plan is in the job before this one. To approve is to deploy."
            + (f" Given up after {timeout} s." if timeout else ""),
            "type": "workflow_approval",
            "timeout": timeout,
        },
        "related": {"success_nodes": [{"identifier": "backup"}]},
    }
    return {
        "name": f"{stack} deployment",
        "description": mark(stack, "plan, approval, backup, deploy, verify; back where that does not hold."),
        "survey_spec": {"name": "deployment", "description": "One release through all components of its application", "spec": asked},
        "nodes": [
            node("plan", success=["approval"]),
            approval,
            node("backup", success=["deploy"]),
            node("deploy", success=["verify"], failure=["healthcheck"]),
            node("verify", failure=["emergency_rollback"]),
            node("healthcheck", failure=["emergency_rollback"]),
            node("emergency_rollback"),
        ],
    }


def graph(nodes: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Nodes as :func:`workflow` has them, to compare: identifier to what it runs and to where it leads."""
    found: dict[str, Any] = {}
    for node in nodes:
        job = node["unified_job_template"]
        leads = {way: sorted(entry["identifier"] for entry in ways) for way, ways in node["related"].items() if ways}
        # of a job template the name says all; the text of an approval is its own, and has its time limit
        found[node["identifier"]] = (job["name"], job.get("description", ""), leads)
    return found


def drawn(nodes: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The same of nodes as AWX shows them."""
    called = {node["id"]: str(node["identifier"]) for node in nodes}
    found: dict[str, Any] = {}
    for node in nodes:
        job = node.get("summary_fields", {}).get("unified_job_template") or {}
        ways = ("success_nodes", "failure_nodes", "always_nodes")
        leads = {way: sorted(called.get(each, "") for each in node.get(way) or ()) for way in ways}
        text = job.get("description", "") if job.get("unified_job_type") == "workflow_approval" else ""
        found[called[node["id"]]] = (job.get("name"), text, {way: names for way, names in leads.items() if names})
    return found


def notification(stack: str, entry: Mapping[str, Any]) -> Spec:
    """A notification template out of one entry of ``awx_notifications``, with what AWX would fill in.

    Raises:
        Unfit: a key is missing or of the wrong type, or it is for no event that there is.
    """
    where = f"awx_notifications: {entry.get('name') or 'an entry without a name'}"
    events = entry.get("on", ["error"])
    for key, kind in (("name", str), ("type", str), ("configuration", dict)):
        if not isinstance(entry.get(key), kind):
            raise Unfit(f"{where}: expected {key}, {'a mapping' if kind is dict else 'a text'}; got {type(entry.get(key)).__name__}.")
    strange = sorted({*events} - {"started", "success", "error", "approvals"})
    if strange:
        raise Unfit(f"{where}: on: there is no event {', '.join(strange)}; expected started, success, error or approvals.")
    more = WEBHOOK if entry["type"] == "webhook" else {}
    configuration = {**more, **entry["configuration"]}
    return {"name": f"{stack} {entry['name']}", "type": entry["type"], "configuration": configuration, "on": list(events)}


# --- what is there already ---

ORDER = (
    "schedules", "workflow_job_templates", "job_templates", "inventory_sources", "inventories", "projects", "notification_templates",
    "teams", "credentials", "execution_environments",
)
"""Kinds of objects in the order in which they can be taken away: nobody is needed by one that comes later."""


def is_ours(stack: str, found: Mapping[str, Any]) -> bool:
    """Whether the role made an object of AWX for this very stack."""
    return str(found.get("description") or "").startswith(f"{MARK} {stack}.")


def own(stack: str, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Spec]:
    """What the role made, in the order in which it can go: ``kind``, ``id``, ``name`` and ``credential_type`` of each."""
    return [
        {"kind": kind, "id": int(entry["id"]), "name": str(entry["name"]), "credential_type": entry.get("credential_type")}
        for kind in ORDER for entry in found.get(kind, ()) if is_ours(stack, entry)
    ]


def stale(stack: str, found: Mapping[str, Sequence[Mapping[str, Any]]], names: Mapping[str, Sequence[str]]) -> list[Spec]:
    """What the role made once and wants no more: those of :func:`own` whose name is not among the *names* of its kind."""
    return [entry for entry in own(stack, found) if entry["name"] not in names.get(entry["kind"], ())]


def missing(found: Mapping[str, Sequence[Mapping[str, Any]]], names: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each of *names* that AWX does not have yet."""
    there = {kind: {str(entry["name"]) for entry in found.get(kind, ())} for kind in ORDER}
    return [f"{kind.replace('_', ' ')}: {name}" for kind in reversed(ORDER) for name in names.get(kind, ()) if name not in there[kind]]


def strangers(stack: str, found: Mapping[str, Sequence[Mapping[str, Any]]], names: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each object of somebody else's that has a name that the role would give: it is not touched."""
    return [
        f"{kind.rstrip('s').replace('_', ' ').replace('inventorie', 'inventory')} '{entry['name']}' (id {entry['id']})"
        for kind in ORDER for entry in found.get(kind, ())
        if entry["name"] in names.get(kind, ()) and not is_ours(stack, entry)
    ]


def wrappers(verbs: Mapping[str, Verb], names: Sequence[str]) -> dict[str, str]:
    """File name to content of the playbooks of a project: one for each verb, which imports it from the collection.

    Raises:
        Unfit: a name is no verb.
    """
    return {
        str(verbs[name]["playbook"]): f"---\n# {verbs[name]['help']}.\n- name: Import\n"
        f"  ansible.builtin.import_playbook: phasegate.aistack.{name}\n"
        for name in wanted(verbs, names)
    }
