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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file, schema as env_schema
from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_settings, image, node_python, source_check
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import recipe_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import Stored, Wanted
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError, Unreachable
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import sha256
from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import Followed
from ansible_collections.phasegate.aistack.plugins.plugin_utils.shelf import Refused, Shelf, Unsigned

BUILD_TIMEOUT = 900
"""Seconds; what O(build_timeout) is where it is left out."""


def actor() -> str:
    """Return who runs Ansible."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def other_platform(component: str, on: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Why what one host builds would not run on another."""
    differs = [name for name in ours if theirs.get(name) != ours[name]]
    told = "; ".join(f"{name} {theirs.get(name)}, there {ours[name]}" for name in differs)
    return (
        f"{component}: {on} builds for another platform than that of the node: it has {told}. What it makes would not run there. "
        "Nothing was staged. Name a host with the same system and interpreter in aistack_artefacts.on, or leave it out, so that nodes "
        "build for themselves."
    )


@dataclass(frozen=True)
class Order:
    """Where another host builds. On that host: ``build_for`` (C(platform), C(prune)), and ``values``, C(schema) and C(values) of what
    the build is to know. On the node, the second time: ``built_before``.
    """

    build_for: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    built_before: bool = False


NO_ORDER = Order()


@dataclass(frozen=True)
class Work:
    """What is to be brought to a host: the tag's source, where artefacts are, what it would build, and what was ordered besides."""

    source: Source
    ref: str
    shelf: Shelf | None
    wanted: Wanted | None
    order: Order


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
        result.update(self._one(dict(self._task.args), task_vars))
        return result

    def _one(self, args: dict[str, Any], task_vars: dict[str, Any] | None, order: Order = NO_ORDER) -> dict[str, Any]:
        """What is asked of one component."""
        args["actor"] = args.get("actor") or actor()
        repo = args.pop("repo", None)  # may carry a password; the node does not need it
        artefacts = args.pop("artefacts", {})
        if args.get("state", "staged") != "staged":
            return self._call(args, task_vars)
        ref = str(args.pop("ref", None) or args.get("release") or "")
        if not repo or not ref:
            return {"failed": True, "msg": "state=staged needs repo and release: where the tag is, and its name."}
        mirror_dir, lock = str(args.pop("mirror_dir", None) or ""), str(args.get("lock") or "")
        source = Source(str(repo), str(args.get("path") or ""), mirror_dir, lock, args.get("context") or (),
                        [str(one["path"]) for one in args.get("includes") or ()])
        try:
            settings = artefact_settings.read(artefacts)
        except ValueError as error:
            return {"failed": True, "msg": str(error)}
        shelf = None if settings is None else Shelf(settings, source.shown, str(args.get("component")))
        away: Unreachable | None = None
        try:
            args["commit"] = source.resolve(ref)
        except Unreachable as error:
            away = error
        except SourceError as error:
            return {"failed": True, "msg": str(error)}
        if order.build_for:
            args["env_file"] = self._given_environment(order.values)
        answer = self._call(args, task_vars)
        built = answer.pop("built", None) or {}  # not for logs: it has a hash of the component's variables
        if answer.get("failed") or (answer.get("present") and not order.build_for):
            if away is not None and answer.get("present"):
                answer.setdefault("warnings", []).append(f"The staged release was taken as it is, its tag could not be checked: {away}")
            return answer
        try:
            if away is not None:
                raise away
            source.refuse_dirty(ref)
            notes = source_check.refuse(
                source, str(args.get("component")), ref, args["commit"], str(args.get("lock") or ""), str(args.get("kind") or "python"),
                made=image.source_of(args.get("image")),
            )
            self._image_archive(args)
            requires = source_check.requires_python(source, ref, args["commit"], lock)
            again = self._with_python(args, task_vars, requires, built)
            if again is not None:
                built = again.pop("built", None) or {}
                if again.get("failed"):
                    return again
            wanted = None
            if shelf is not None and built.get("platform"):
                root = str(built.pop("root", ""))
                wanted = Wanted(shelf.store, args["commit"], source.path, recipe_of(args), built, root, bool(shelf.settings.on))
            if not self._task.check_mode:
                answer = self._bring(args, task_vars, Work(source, ref, shelf, wanted, order), answer)
            elif shelf is not None:
                answer["artefact"] = self._foreseen(shelf, wanted, task_vars)
            if notes:
                answer.setdefault("warnings", []).extend(notes)
        except (SourceError, Refused) as error:
            answer = {"failed": True, "changed": False, "msg": str(error)}
        if shelf is not None and shelf.notes:
            answer["warnings"] = list(dict.fromkeys([*shelf.notes, *answer.get("warnings", [])]))
        return answer

    def _given_environment(self, given: Mapping[str, Any]) -> str | None:
        """A file on the host that builds with the variables that the build is to have; it goes with the task."""
        values = env_schema.resolve(given.get("schema") or [], given.get("values") or {}).values
        if not values:
            return None
        remote: str = self._connection._shell.join_path(self._folder(), "build.env")
        self._transfer_data(remote, env_file.render_env(values))
        self._fixup_perms2((self._folder(), remote))
        return remote

    def _with_python(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, requires: str, built: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Ask the node once more where the interpreter that it has chosen is none that the release runs on; None where it is one."""
        if not requires or str(args.get("kind") or "python") != "python":
            return None
        args["requires_python"] = requires
        minor = ((built.get("platform") or {}).get("interpreter") or {}).get("minor", "")
        return None if minor and node_python.fits(requires, minor) else self._call(args, task_vars)

    def _foreseen(self, shelf: Shelf, wanted: Wanted | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Say what would be done, for check mode."""
        stored = wanted.find() if wanted else None
        if stored is not None and not shelf.wrong(stored, {}):
            told = f"would be laid down from an artefact built on {stored.built_on}"
            return {"plan": told, "key": stored.key, "from": stored.built_on}
        by = shelf.settings.on if wanted is not None and self._elsewhere(shelf, task_vars) else ""
        told = f"would be built on {by}" if by else "would be built"
        return {"plan": told, **({"on": by} if by else {}), **({"key": wanted.key} if wanted else {})}

    @staticmethod
    def _elsewhere(shelf: Shelf, task_vars: dict[str, Any] | None) -> bool:
        """Whether another host than this one builds."""
        return shelf.settings.on not in ("", (task_vars or {}).get("inventory_hostname"))

    def _bring(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, work: Work, asked: dict[str, Any]
    ) -> dict[str, Any]:
        """Have the release laid down where its artefact is kept here, else built, and its artefact kept."""
        wanted, shelf = work.wanted, work.shelf
        if wanted is None or shelf is None:
            packed = self._image_archive(args)
            if packed is None:
                return self._call({**args, **self._send(work.source, work.ref, args["commit"])}, task_vars)
            pinned = image.source_of(args["image"]).pinned(str(args["release"]))
            return self._call({**args, "archive": self._put(packed, "image.tar"), "archive_sha256": pinned}, task_vars)
        if work.order.build_for:
            return self._build_for_others(args, task_vars, work, asked)
        stored, began = shelf.usable(wanted), time.monotonic()
        if stored is None and self._elsewhere(shelf, task_vars):
            return self._left_to_another(args, work, asked)
        if stored is None:
            self.say("waits for who builds the same release, or builds it")
            with wanted.store.building(wanted.key, float(args.get("build_timeout") or BUILD_TIMEOUT)):
                stored = shelf.usable(wanted)  # what was waited for
                if stored is None:
                    return self._build(args, task_vars, work)
        waited = round(time.monotonic() - began, 2)
        answer = self._lay_down(args, task_vars, stored)
        if "timings" in answer:
            answer["timings"]["wait"] = waited
        if not answer.get("artefact_refused"):
            return answer
        shelf.refuse(stored, f"{str(answer.get('msg')).rstrip('.')} ({stored.path} on the controller)")
        if self._elsewhere(shelf, task_vars):
            return self._left_to_another(args, work, asked)
        return self._build(args, task_vars, work)

    def _image_archive(self, args: dict[str, Any]) -> Path | None:
        """The archive on the controller that an image is loaded from, proven; None where it comes another way. Raises SourceError."""
        made = image.source_of(args.get("image"))
        if args.get("kind") != "image" or not made.load:
            return None
        release = str(args["release"])
        path = Path(made.archive(release)).expanduser()
        told = f"The image of {args.get('component')} {release} is loaded from {path} on the controller"
        if not path.is_file():
            raise SourceError(f"{told}, which is not there. Put it there (docker save), or correct image.load.")
        got, pinned = sha256(path), made.pinned(release)
        if got != pinned:
            raise SourceError(
                f"{told}, and that is another one: expected the SHA-256 {pinned} of image.sha256, got {got}. Put the right one there; "
                "where this is the right one, say its SHA-256 in the inventory."
            )
        return path

    def _usable(self, wanted: Wanted, notes: list[str]) -> Stored | None:
        """Return the artefact that fits and is whole; one that is damaged is removed, and said."""
        stored = wanted.find()
        if stored is None or stored.whole():
            return stored
        notes.append(f"The artefact {stored.path} is damaged: its SHA-256 is not {stored.facts.get('sha256')}. It was removed; "
                     "the release is built.")
        stored.discard()
        return None

    def _left_to_another(self, args: Mapping[str, Any], work: Work, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What another host is to build, for the next task; a failure where that one has just done so."""
        if not work.order.built_before:
            platform = work.wanted.built["platform"] if work.wanted else {}
            return {**asked, "changed": False, "to_build": {"platform": platform}}
        on = work.shelf.settings.on if work.shelf else ""
        return {"failed": True, "changed": False, "msg": (
            f"{args.get('component')} {args.get('release')} was built on {on}, and what was kept of it cannot be laid down here: "
            f"{'; '.join(work.shelf.notes) if work.shelf and work.shelf.notes else 'it was not kept, or is bound to another aistack_root'}."
        )}

    def _build_for_others(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None, work: Work, asked: dict[str, Any]
    ) -> dict[str, Any]:
        """On the host that builds: see to it that there is an artefact for the platform of those that asked."""
        wanted, shelf = work.wanted, work.shelf
        if wanted is None or shelf is None:  # refused before: it has something to be built
            return asked
        platform = work.order.build_for.get("platform") or {}
        if platform and platform != wanted.built["platform"]:
            told = other_platform(str(args.get("component")), shelf.settings.on, wanted.built["platform"], platform)
            return {"failed": True, "changed": False, "msg": told}
        with wanted.store.building(wanted.key, float(args.get("build_timeout") or BUILD_TIMEOUT)):
            if shelf.usable(wanted) is not None:
                return {**asked, "changed": False}
            if not asked.get("present"):
                answer = self._build(args, task_vars, work)
            else:
                answer = {**asked, "artefact": self._kept(args, task_vars, work)}
        if not answer.get("failed") and not (answer.get("artefact") or {}).get("kept"):
            return {**answer, "failed": True, "msg": "; ".join(shelf.notes)}
        if work.order.build_for.get("prune") and not answer.get("failed"):
            here = ("component", "root", "state_dir", "actor", "run")
            self._call({**{name: args[name] for name in here if name in args}, "state": "pruned", "keep": 1}, task_vars)
        return answer

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

    def _build(self, args: dict[str, Any], task_vars: dict[str, Any] | None, work: Work) -> dict[str, Any]:
        answer = self._call({**args, **self._send(work.source, work.ref, args["commit"])}, task_vars)
        if answer.get("present") and not answer.get("failed"):
            began = time.monotonic()
            answer["artefact"] = self._kept(args, task_vars, work)
            answer.setdefault("timings", {})["pack and fetch"] = round(time.monotonic() - began, 2)
        return answer

    def _kept(self, args: dict[str, Any], task_vars: dict[str, Any] | None, work: Work) -> dict[str, Any]:
        """Keep what is staged as an artefact; says whether that was possible."""
        wanted, shelf = work.wanted, work.shelf
        if wanted is None or shelf is None:
            return {"kept": False}
        unkept = self._keep(args, task_vars, work.source, shelf, wanted)
        if unkept:
            with contextlib.suppress(OSError):  # then others wait for what they will not find
                wanted.store.unfit(wanted.key, unkept)
            shelf.note(f"The release is staged, but was not kept as an artefact, so that other nodes build it again: {unkept}")
        return {"key": wanted.key, "kept": not unkept}

    def _keep(self, args: dict[str, Any], task_vars: dict[str, Any] | None, source: Source, shelf: Shelf, wanted: Wanted) -> str:
        """Fetch what was built, packed; returns why that was not possible, or nothing. It never fails a deployment."""
        remote = self._connection._shell.join_path(self._folder(), "built.tar.gz")
        here = ("component", "release", "root", "state_dir", "actor", "run", "kind", "build_user", "build_timeout")
        asked = {**{name: args[name] for name in here if name in args}, "state": "packed", "artefact": remote}
        program: Sequence[str] = shelf.settings.sbom.get("node" if args.get("kind") in ("node", "static") else "python") or []
        told = self._call({**asked, **({"sbom": list(program)} if program else {})}, task_vars)
        packed = told.get("packed")
        if told.get("failed") or not packed:
            return str(told.get("msg") or "the node did not pack it")
        fetched: list[Path] = []
        try:
            local = wanted.store.incoming(wanted.key)
            fetched.append(local)
            self._connection.fetch_file(remote, str(local))
            got = sha256(local)
            if got != packed["sha256"]:
                return f"it arrived damaged on the controller, expected SHA-256 {packed['sha256']}, got {got}."
            sbom = ""
            if packed.get("sbom"):
                fetched.append(local.with_name(f"{local.name}.sbom"))
                self._connection.fetch_file(str(packed["sbom"]), str(fetched[-1]))
                sbom = fetched[-1].read_text(encoding="utf-8")
            elif program:
                shelf.note(f"{args.get('component')}: no SBOM: {packed.get('no_sbom')}")
            node = self._builder(task_vars) or packed["manifest"]["builder"]["host"]
            facts = wanted.facts(packed, built_on=node, built_by=str(args["actor"]), run=str(args.get("run", "")), repo=source.shown)
            shelf.keep(wanted, local, facts, sbom)
        except (AnsibleError, OSError, Unsigned) as error:
            return str(error)
        finally:
            for path in fetched:
                path.unlink(missing_ok=True)
        return ""

    def _builder(self, task_vars: dict[str, Any] | None) -> str:
        """The name in the inventory of the host that this task works on."""
        return str(getattr(self._task, "delegate_to", None) or (task_vars or {}).get("inventory_hostname") or "")

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
