# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.release): resolves the tag, makes the archive, sends it where it is missing.

A release that is staged already costs one round trip and no transfer. Where the repository is out of
reach, a release that a node holds is still usable; the node says whether it does. What one node built
is kept here as an artefact, and laid down on others instead of being built there.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_store, node_python, source_check
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import recipe_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import Stored, Wanted
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError, Unreachable
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import sha256
from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import Followed

BUILD_TIMEOUT = 900
"""Seconds; what O(build_timeout) is where it is left out."""


def actor() -> str:
    """Return who runs Ansible."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def store_of(settings: Any, repo: str, component: str) -> artefact_store.Store | None:
    """Return where artefacts of a component are kept, None where they are switched off.

    Raises:
        ValueError: the settings are no mapping of C(folder) and C(keep), nor true or false.
    """
    if not isinstance(settings, Mapping):
        try:
            if not boolean(settings):
                return None
        except TypeError as error:
            raise ValueError(f"aistack_artefacts has to be false or a mapping with folder and keep, got {settings!r}.") from error
        settings = {}
    unknown = sorted(set(settings) - {"folder", "keep"})
    keep = settings.get("keep", artefact_store.KEEP)
    if unknown or not str(keep).isdigit() or int(keep) < 1:
        raise ValueError(
            f"aistack_artefacts has to be false or a mapping with folder and keep (1 or more), got {dict(settings)!r}. false keeps none."
        )
    folder = str(settings.get("folder") or artefact_store.FOLDER)
    return artefact_store.Store(folder, artefact_store.application_of(repo), component, int(keep))


class ActionModule(Followed):
    """Ask the node first; bring an artefact or an archive only where it has not the release."""

    _supports_check_mode = True

    def _call(self, args: Mapping[str, object], task_vars: Mapping[str, object] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.release", module_args=args, task_vars=task_vars
        )
        return answer

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Stage from the controller; other states go to the node as they are."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        args["actor"] = args.get("actor") or actor()
        repo = args.pop("repo", None)  # may carry a password; the node does not need it
        artefacts = args.pop("artefacts", {})
        if args.get("state", "staged") != "staged":
            result.update(self._call(args, task_vars))
            return result
        ref = str(args.pop("ref", None) or args.get("release") or "")
        if not repo or not ref:
            result.update(failed=True, msg="state=staged needs repo and release: where the tag is, and its name.")
            return result
        mirror_dir, lock = str(args.pop("mirror_dir", None) or ""), str(args.get("lock") or "")
        source = Source(str(repo), str(args.get("path") or ""), mirror_dir, lock, args.get("context") or ())
        try:
            store = store_of(artefacts, source.shown, str(args.get("component")))
        except ValueError as error:
            result.update(failed=True, msg=str(error))
            return result
        away: Unreachable | None = None
        try:
            args["commit"] = source.resolve(ref)
        except Unreachable as error:
            away = error
        except SourceError as error:
            result.update(failed=True, msg=str(error))
            return result
        answer = self._call(args, task_vars)
        built = answer.pop("built", None) or {}  # not for logs: it has a hash of the component's variables
        if answer.get("failed") or answer.get("present"):
            if away is not None and answer.get("present"):
                answer.setdefault("warnings", []).append(f"The staged release was taken as it is, its tag could not be checked: {away}")
            result.update(answer)
            return result
        try:
            if away is not None:
                raise away
            source.refuse_dirty(ref)
            notes = source_check.refuse(
                source, str(args.get("component")), ref, args["commit"], str(args.get("lock") or ""), str(args.get("kind") or "python")
            )
            requires = source_check.requires_python(source, ref, args["commit"], lock)
            again = self._with_python(args, task_vars, requires, built)
            if again is not None:
                built = again.pop("built", None) or {}
                if again.get("failed"):
                    result.update(again)
                    return result
            wanted = None
            if store is not None and built.get("platform"):
                root = str(built.pop("root", ""))
                wanted = Wanted(store, args["commit"], source.path, recipe_of(args), built, root)
            if not self._task.check_mode:
                answer = self._bring(args, task_vars, source, ref, wanted)
            elif store is not None:
                answer["artefact"] = self._foreseen(wanted)
            if notes:
                answer.setdefault("warnings", []).extend(notes)
        except SourceError as error:
            answer = {"failed": True, "changed": False, "msg": str(error)}
        result.update(answer)
        return result

    def _with_python(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, requires: str, built: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Ask the node once more where the interpreter that it has chosen is none that the release runs on; None where it is one."""
        if not requires or str(args.get("kind") or "python") != "python":
            return None
        args["requires_python"] = requires
        minor = ((built.get("platform") or {}).get("interpreter") or {}).get("minor", "")
        return None if minor and node_python.fits(requires, minor) else self._call(args, task_vars)

    def _foreseen(self, wanted: Wanted | None) -> dict[str, object]:
        """Say what would be done, for check mode."""
        stored = wanted.find() if wanted else None
        if wanted is None or stored is None or not stored.whole():
            return {"plan": "would be built", **({"key": wanted.key} if wanted else {})}
        return {"plan": f"would be laid down from an artefact built on {stored.built_on}", "key": stored.key, "from": stored.built_on}

    def _bring(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, source: Source, ref: str, wanted: Wanted | None
    ) -> dict[str, object]:
        """Have the release laid down where its artefact is kept here, else built, and its artefact kept."""
        if wanted is None:
            return self._call({**args, **self._send(source, ref, args["commit"])}, task_vars)
        notes: list[str] = []
        stored, began = self._usable(wanted, notes), time.monotonic()
        if stored is None:
            self.say("waits for who builds the same release, or builds it")
            with wanted.store.building(wanted.key, float(args.get("build_timeout") or BUILD_TIMEOUT)):
                stored = self._usable(wanted, notes)  # what was waited for
                if stored is None:
                    return self._build(args, task_vars, source, ref, wanted, notes)
        waited = round(time.monotonic() - began, 2)
        answer = self._lay_down(args, task_vars, stored)
        if "timings" in answer:
            answer["timings"]["wait"] = waited
        if answer.get("artefact_refused"):
            notes.append(f"{answer.get('msg')} It was removed from the controller; the release is built.")
            stored.discard()
            answer = self._build(args, task_vars, source, ref, wanted, notes)
        elif notes:
            answer.setdefault("warnings", []).extend(notes)
        return answer

    def _usable(self, wanted: Wanted, notes: list[str]) -> Stored | None:
        """Return the artefact that fits and is whole; one that is damaged is removed, and said."""
        stored = wanted.find()
        if stored is None or stored.whole():
            return stored
        notes.append(f"The artefact {stored.path} is damaged: its SHA-256 is not {stored.facts.get('sha256')}. It was removed; "
                     "the release is built.")  # fmt: skip
        stored.discard()
        return None

    def _lay_down(self, args: Mapping[str, object], task_vars: Mapping[str, object] | None, stored: Stored) -> dict[str, Any]:
        stored.used()
        brought = {
            "artefact": self._put(stored.path, "artefact.tar.gz"),
            "artefact_sha256": stored.facts["sha256"],
            "artefact_key": stored.key,
            "artefact_built_on": stored.built_on,
        }
        answer = self._call({**args, **brought}, task_vars)
        answer["artefact"] = {"key": stored.key, "from": stored.built_on}
        return answer

    def _build(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, source: Source, ref: str, wanted: Wanted, notes: list[str]
    ) -> dict[str, object]:
        answer = self._call({**args, **self._send(source, ref, args["commit"])}, task_vars)
        if answer.get("present") and not answer.get("failed"):
            began = time.monotonic()
            unkept = self._keep(args, task_vars, source, wanted)
            answer["artefact"] = {"key": wanted.key, "kept": not unkept}
            if unkept:
                with contextlib.suppress(OSError):  # then others wait for what they will not find
                    wanted.store.unfit(wanted.key, unkept)
                notes.append(f"The release is staged, but was not kept as an artefact, so that other nodes build it again: {unkept}")
            answer.setdefault("timings", {})["pack and fetch"] = round(time.monotonic() - began, 2)
        if notes:
            answer.setdefault("warnings", []).extend(notes)
        return answer

    def _keep(self, args: Mapping[str, object], task_vars: Mapping[str, object] | None, source: Source, wanted: Wanted) -> str:
        """Fetch what was built, packed; returns why that was not possible, or nothing. It never fails a deployment."""
        remote = self._connection._shell.join_path(self._folder(), "built.tar.gz")
        here = ("component", "release", "root", "state_dir", "actor", "run")
        asked = {**{name: args[name] for name in here if name in args}, "state": "packed", "artefact": remote}
        told = self._call(asked, task_vars)
        packed = told.get("packed")
        if told.get("failed") or not packed:
            return str(told.get("msg") or "the node did not pack it")
        local: Path | None = None
        try:
            local = wanted.store.incoming(wanted.key)
            self._connection.fetch_file(remote, str(local))
            got = sha256(local)
            if got != packed["sha256"]:
                return f"it arrived damaged on the controller, expected SHA-256 {packed['sha256']}, got {got}."
            node = str((task_vars or {}).get("inventory_hostname") or packed["manifest"]["builder"]["host"])
            facts = wanted.facts(packed, built_on=node, built_by=str(args["actor"]), run=str(args.get("run", "")), repo=source.shown)
            wanted.store.add(wanted.key, local, facts)
        except (AnsibleError, OSError) as error:
            return str(error)
        finally:
            if local is not None:
                local.unlink(missing_ok=True)
        return ""

    def _folder(self) -> str:
        return str(self._connection._shell.tmpdir or self._make_tmp_path())

    def _put(self, local: Path, name: str) -> str:
        """Bring a file to the node; returns its path there."""
        folder = self._folder()
        remote: str = self._connection._shell.join_path(folder, name)
        self._transfer_file(str(local), remote)
        self._fixup_perms2((folder, remote))
        return remote

    def _send(self, source: Source, ref: str, commit: str) -> dict[str, str]:
        """Bring the archive to the node; returns the arguments that name it there."""
        archive = source.archive(ref, commit)
        return {"archive": self._put(archive.path, "release.tar.gz"), "archive_sha256": archive.sha256}
