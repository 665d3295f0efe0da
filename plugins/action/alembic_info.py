# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.alembic_info): plans here what the node cannot plan, because the release is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import controller_plan, offline_plan, request as alembic_request
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror, source_check
from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import Followed

SQUAWK_LOCK = Path(__file__).resolve().parents[2] / "roles" / "toolchain" / "files" / "squawk.txt"

display = Display()


def separated(args: Mapping[str, Any]) -> tuple[dict[str, object], controller_plan.Origin | None]:
    """The arguments for the node, and what this controller can plan from; None where no repository is named."""
    node = {name: value for name, value in args.items() if name not in alembic_request.ON_CONTROLLER}
    own = {name: args[name] for name in alembic_request.ON_CONTROLLER if args.get(name)}
    if not own.get("repo") or not args.get("release"):
        return node, None
    own["scratch"] = own.pop("plan_on_node", {})
    own["squawk_lock"] = str(SQUAWK_LOCK) if SQUAWK_LOCK.is_file() else ""
    return node, controller_plan.Origin(**own)


def request_of(args: Mapping[str, Any], answer: Mapping[str, Any], state: str) -> Request:
    """The request, in the types of the module that has just checked the arguments."""
    checked = (answer.get("invocation") or {}).get("module_args") or args
    return alembic_request.of({**checked, "state": state})


def planned(
    action: Followed,
    task_vars: dict[str, Any] | None,
    request: Request,
    seen: Mapping[str, Any],
    origin: controller_plan.Origin,
    why: str,
) -> dict[str, object] | str:
    """The plan's document, made here or on the node, or why there is none. Raises MigrationError."""
    try:
        return controller_plan.document(request, seen, origin, why)
    except offline_plan.NoEnvironment as problem:
        if not origin.scratch:
            return str(problem)
        display.vv(printable(f"alembic: no environment on the controller, the node plans: {problem}"))
        found = on_node(action, task_vars, request, seen, origin)
        return f"{str(problem).rstrip('. ')}; nor can the node: {found}" if isinstance(found, str) else found
    except (offline_plan.Unavailable, OSError) as problem:
        display.vv(printable(f"alembic: no plan on the controller: {problem}"))
        return str(problem)


def on_node(
    action: Followed, task_vars: Mapping[str, object] | None, request: Request, seen: Mapping[str, Any], origin: controller_plan.Origin
) -> dict[str, object] | str:
    """The plan that the node makes of the tag's tree, which is brought there; or why it cannot. Raises MigrationError."""
    try:
        source = mirror.Source(origin.repo, origin.path, origin.mirror_dir, origin.lock, origin.context)
        commit = source.resolve(request.release)
        archive = source.archive(request.release, commit)
        requires = source_check.requires_python(source, request.release, commit, origin.lock)
        folder = str(action._connection._shell.tmpdir or action._make_tmp_path())
        remote = action._connection._shell.join_path(folder, "plan.tar.gz")
        action._transfer_file(str(archive.path), remote)
        action._fixup_perms2((folder, remote))
    except (mirror.SourceError, AnsibleError, OSError) as problem:
        return str(problem)
    brought = {
        "archive": remote, "archive_sha256": archive.sha256, "commit": commit, "seen": dict(seen), "schema": list(origin.schema),
        "lock": origin.lock, "inner": source.place.inner, "requires_python": requires,
    }
    known = (set(alembic_request.SPEC) - set(alembic_request.ON_CONTROLLER)) | {"target"}
    given = {name: value for name, value in vars(request).items() if name in known and value not in (None, "")}
    given["direction"] = request.direction
    answer: dict[str, Any] = action._execute_module(
        module_name="phasegate.aistack.alembic_info", module_args={**given, "scratch": {**origin.scratch, **brought}}, task_vars=task_vars
    )
    if answer.get("failed"):
        raise MigrationError(str(answer.get("code") or "plan"), str(answer.get("msg")))
    return answer if answer.get("known") else str(answer.get("why"))


def unknown_words(plan: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing about a plan that is not known, so that a check is never silent about it."""
    name = f"What {plan.get('component')} {plan.get('release')} would do to the database is NOT known"
    reasons = [] if plan.get("known") else [plan.get("why")]
    return [f"{name}: {str(why).rstrip('. ')}." for why in [*reasons, *((plan.get("verdict") or {}).get("undecided") or [])]]


class ActionModule(Followed):
    """Ask the node; where it knows nothing yet, plan here."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the node's plan, or the controller's."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, origin = separated(self._task.args)
        answer: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.alembic_info", module_args=args, task_vars=task_vars
        )
        seen = answer.pop("seen", None)
        result.update(answer)
        if answer.get("failed") or seen is None or origin is None:
            return result
        request = request_of(args, answer, "downgraded" if args.get("direction") == "downgrade" else "upgraded")
        try:
            plan = planned(self, task_vars, request, seen, origin, str(answer.get("why", "")))
        except MigrationError as problem:
            result.update(failed=True, msg=str(problem), code=problem.code, **alembic_request.brief(problem.facts))
            return result
        if isinstance(plan, str):
            plan = {"why": f"{answer.get('why', '')}; and the controller cannot plan it: {plan}"}
            plan["text"] = controller_plan.text({**answer, **plan})
        result.update(plan)
        return result
