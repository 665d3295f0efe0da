# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making an unpacked release runnable: dependencies from its lock file, its build, its tests.

Every function works in a half-staged tree that nobody else sees, and raises ReleaseError with a
message for the operator when the release is at fault. Nothing of a release runs as root: installing, building and compiling run
as the build user, tests as the test user; see :mod:`sandbox`. What is installed brings no code to run, unless the component says so.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Account
from ansible_collections.phasegate.aistack.plugins.module_utils.release import (
    lock_file,
    next_site,
    node_lock,
    node_python,
    sandbox,
    uv_lock,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import Include
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import walk

FAILING = re.compile(r"^(FAILED|ERROR)\b|^E\s{2,}|^\s*(not ok|✗|×|✕|●)\s|AssertionError|Error:|^\S+:\d+: ")
NO_WHEEL = re.compile(
    r"no usable wheels|no wheels with a matching|building source distributions is disabled|no-build|only-binary", re.IGNORECASE
)
OUR_TOOLS = ("uv", "npm", "node", "npx", "pnpm", "yarn")
OTHER_PLATFORM = "has no wheels with a matching platform"
OTHER_PYTHON = re.compile(r"does not satisfy Python|current Python version|requires Python")
KINDS = ("python", "node", "static", "image")


class TestsFailed(ReleaseError):
    """The release's own tests were run to the end and did not pass: the release is bad."""

    __test__ = False  # for pytest, whose naming rule this would follow


@dataclass
class Recipe:
    """How a release is made. Timeouts are in seconds; commands may hold {python}, {release_path}, {tools}.

    ``build_env`` and ``test_env`` are all that a build and a test see of the component's variables; ``masker`` knows those that are real.
    ``inner`` is the component's folder in the tree, where that holds more of the repository, which stays in the release where ``whole``
    is set; ``lock`` is relative to it. ``requires`` are the Pythons that the release says it runs on, and
    ``brought`` says that its interpreter is not there yet, which is so in check mode alone.
    ``image``: how its image is made, where it is one (:mod:`image`).
    ``built_in`` has hashes of those that a build puts into the tree, None for what is not set; it is None where they are not known.
    """

    component: str
    tag: str
    kind: str
    tools: Path
    cache: Path
    python: str = "python3"
    lock: str | None = None
    inner: str = ""
    whole: bool = False
    requires: str = ""
    brought: bool = False
    output: str = "none"
    environment: Mapping[str, str] = field(default_factory=dict)
    build: Sequence[Sequence[str]] = ()
    tests: Sequence[Sequence[str]] = ()
    build_user: str = "aistack-build"
    test_user: str = "aistack-test"
    sdists: bool | Sequence[str] = False
    install_scripts: bool = False
    build_env: Mapping[str, str] = field(default_factory=dict)
    built_in: Mapping[str, str | None] | None = field(default_factory=dict)
    test_env: Mapping[str, str] = field(default_factory=dict)
    made_up: Mapping[str, str] = field(default_factory=dict)
    alembic_ini: str = "alembic.ini"
    masker: Masker = field(default_factory=Masker)
    test_network: bool = False
    test_sandbox: str = "auto"
    test_memory: str = ""
    build_timeout: float = 900
    test_timeout: float = 300
    image: Mapping[str, Any] = field(default_factory=dict)
    includes: Sequence[Include] = ()

    @property
    def npm(self) -> bool:
        """Whether npm installs and builds it: a site of files does so where it has a lock file."""
        return self.kind == "node" or (self.kind == "static" and bool(self.lock))

    def code(self, tree: Path) -> Path:
        """The component's own folder in a tree that is made."""
        return tree / self.inner if self.inner else tree

    @property
    def kept(self) -> str:
        """The component's folder in the tree of the release, when it is made; empty where that is the tree."""
        return self.inner if self.whole else ""

    def base_env(self, home: Path = Path("/nonexistent")) -> dict[str, str]:
        """Return the environment of installing and building: nothing of root's but how packages are fetched."""
        return {
            **sandbox.fetching(os.environ),
            "LANG": "C.UTF-8",
            **self.environment,
            "PATH": f"{self.tools}:{sandbox.PATH}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "AISTACK_RELEASE": self.tag,
            "AISTACK_COMPONENT": self.component,
        }

    def builder(self) -> Account | None:
        """Who builds; None where this process is not root. Raises ReleaseError."""
        return sandbox.account(self.build_user, f"Installing and building {self.component} {self.tag}")

    def tester(self) -> Account | None:
        """Who tests; None where this process is not root. Raises ReleaseError."""
        return sandbox.account(self.test_user, f"The tests of {self.component} {self.tag}")

    def run(self, argv: Sequence[str], tree: Path, env: Mapping[str, str]) -> proc.Finished:
        """Run a command of installing or building."""
        return proc.run(argv, tree, env, self.build_timeout, self.build_user, umask=0o022, said=self.said)

    def command(self, argv: Sequence[str], tree: Path) -> list[str]:
        """Fill in the placeholders of a command."""
        python = str(tree / ".venv" / "bin" / "python") if self.kind == "python" and (tree / ".venv").exists() else self.python
        filled = []
        for word in argv:
            for name, value in (("python", python), ("release_path", str(tree)), ("tools", str(self.tools))):
                word = word.replace("{" + name + "}", value)
            filled.append(word)
        return filled

    def said(self, output: bytes) -> None:
        """Show the last line that a command of the release has said so far."""
        progress.tell(self.hide(progress.last_line(output)))

    def hide(self, text: str) -> str:
        """Blot the secrets of the component's environment out of a command's output."""
        return self.masker.mask(text)


def missing_tool(finished: proc.Finished) -> str:
    """The program or module that a command is for and that is not installed; empty where it ran."""
    argv = finished.argv
    if finished.rc == 127 and not finished.timed_out:
        found = re.search(r"^(?:\S*/)?(?:sh|bash|dash): (?:[^\n]*: )?([\w./@-]+): (?:command )?not found", finished.output, re.MULTILINE)
        return found[1] if found else argv[0]
    if finished.rc == 1 and "-m" in argv[1:-1]:
        module = argv[argv.index("-m") + 1].partition(".")[0]
        last = (finished.output.strip().splitlines() or [""])[-1]
        if re.search(rf"python[\d.]*: No module named '?{re.escape(module)}\b", last):  # the interpreter's own words, no traceback's
            return module
    return ""


def _checked(recipe: Recipe, step: str, finished: proc.Finished, timeout: float) -> None:
    """Raise ReleaseError when a command failed; ``step`` is what it was for."""
    if finished.rc == 0 and not finished.timed_out:
        return
    output = recipe.hide(finished.output)
    shown = recipe.hide(" ".join(finished.argv))
    extra = {"cmd": shown, "rc": finished.rc, "stdout": proc.tail(output, 60), "step": step}
    if "No space left on device" in output or "ENOSPC" in output or "os error 28" in output:
        raise ReleaseError(
            f"The disk became full while {step} {recipe.component} {recipe.tag} (command: {shown}). "
            "Nothing of it was kept. Free space, for example with backup.yml, which removes old backup sets, and run the same again.",
            **extra,
        )
    if finished.timed_out:
        raise ReleaseError(
            f"{step} {recipe.component} {recipe.tag} took longer than {timeout:g} s and was ended (command: {shown}). "
            f"Last output lines:\n{proc.tail(output, 15)}\n"
            f"Find out what it waits for, or raise {'release_test_timeout' if step == 'Testing' else 'release_build_timeout'}.",
            **extra,
        )
    missing = missing_tool(finished)
    if missing:
        ours = missing in OUR_TOOLS
        way = "The role toolchain installs the tools; run it first." if ours else (
            f"Expected it among what {recipe.lock or 'the lock file'} lists, as it is needed on the node as well: lock it there under a "
            "new tag (uv export without --no-dev, or with the group that has it), or correct the component's build or tests."
        )
        raise ReleaseError(
            f"{step} {recipe.component} {recipe.tag} needs {missing}, which is neither in {recipe.tools} nor on the PATH"
            f"{'' if ours else ', nor installed with the release'} (command: {shown}). Nothing was staged, and the release is not marked. "
            f"{way}",
            **extra,
        )
    if finished.rc == 126:
        raise ReleaseError(
            f"{step} {recipe.component} {recipe.tag}: {finished.argv[0]} may not be run here by the user that should "
            f"({recipe.build_user} for builds, {recipe.test_user} for tests; both must be able to reach the interpreter {recipe.python} "
            f"and the tools in {recipe.tools}). {output.strip()}",
            **extra,
        )
    raise ReleaseError(
        f"{step} {recipe.component} {recipe.tag} failed with exit status {finished.rc} (command: {shown}). "
        f"Last output lines:\n{proc.tail(output, 25)}\nNothing was activated. Correct the release and give it a new tag.",
        **extra,
    )


def refuse_interpreter(recipe: Recipe) -> None:
    """Raise ReleaseError where uv is there and finds no such interpreter; nothing has to be staged to know that."""
    uv = recipe.tools / "uv"
    if recipe.kind != "python" or recipe.brought or not os.access(uv, os.X_OK):
        return
    env = {**recipe.base_env(), "TMPDIR": tempfile.gettempdir(), "UV_NO_CACHE": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    _interpreter(recipe, proc.run([str(uv), "python", "find", "--no-project", recipe.python], "/", env, 60))


def _interpreter(recipe: Recipe, finished: proc.Finished) -> None:
    if finished.rc in (0, 126, 127) or finished.timed_out or not node_python.NO_INTERPRETER.search(finished.output):
        return
    told = f"{recipe.component} {recipe.tag} was not staged: {node_python.none_such(recipe.python, recipe.hide(finished.output))}"
    raise ReleaseError(told, rc=finished.rc, cmd=" ".join(finished.argv), step="interpreter")


def install_python(recipe: Recipe, tree: Path) -> None:
    """Make ``.venv`` with exactly what the lock file names, proven by its hashes; wheels only, unless the recipe allows to build."""
    code = recipe.code(tree)
    if recipe.lock and not (code / recipe.lock).is_file():
        raise ReleaseError(
            f"The release {recipe.tag} of {recipe.component} has no lock file {recipe.lock}. "
            f"{lock_file.missing(recipe.lock, 'python', os.listdir(code))}."
        )
    who = recipe.builder()
    with sandbox.home(tree, "home", who) as home, sandbox.opened(recipe.cache / recipe.component, who) as cache:
        env = recipe.base_env(home)
        env.update(UV_CACHE_DIR=str(cache / "uv"), UV_LINK_MODE="copy", UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", NO_COLOR="1")
        made = None
        if recipe.lock and lock_file.tool(recipe.lock, "python") == "uv":
            made = uv_lock.plan(recipe, code, env, home.parent)
        argv = ["uv", "venv", "--quiet", "--relocatable", "--no-project", "--python", recipe.python, ".venv"]
        finished = recipe.run(argv, code, env)
        _interpreter(recipe, finished)
        _checked(recipe, "Making the virtual environment of", finished, recipe.build_timeout)
        if not recipe.lock:
            return
        env["VIRTUAL_ENV"] = str(code / ".venv")
        python = code / ".venv" / "bin" / "python"
        argv = ["uv", "pip", "sync", "--require-hashes", "--python", str(python), *_wheels(recipe)]
        argv += [*made.indexes, *(["--allow-empty-requirements"] if made.empty else []), str(made.packages)] if made else [recipe.lock]
        finished = recipe.run(argv, made.root if made else code, env)
        _installed(recipe, code, recipe.lock, finished)
        if made:
            uv_lock.install_folders(recipe, made, python, env)


def _installed(recipe: Recipe, code: Path, lock: str, finished: proc.Finished) -> None:
    """Raise ReleaseError where what the lock file names was not installed."""
    argv = finished.argv
    mismatch = hash_mismatch(finished.output)
    if finished.rc != 0 and mismatch:
        package, expected, computed = mismatch
        python, way = node_python.cause(code, lock, recipe.python)
        causes = [
            *([f"{python}. Then {way}"] if python else []),
            f"the lock file was edited. Then {way.partition('; or')[0]}, and give the release a new tag",
            "the package source serves something else than what was locked. Then do not go on before you know why",
        ]
        listed = "".join(f"\n  {number}. {cause}." for number, cause in enumerate(causes, 1))
        raise ReleaseError(
            f"The lock file {lock} of {recipe.component} {recipe.tag} does not fit what was downloaded: {package}. "
            f"Expected {expected}, got {computed}. Nothing was installed, and nothing is marked. What it can be, likeliest first:{listed}",
            package=package,
            expected=expected,
            got=computed,
            rc=finished.rc,
            cmd=" ".join(argv),
            step="dependencies",
        )
    if finished.rc != 0 and (NO_WHEEL.search(finished.output) or OTHER_PYTHON.search(finished.output)):
        wheels = node_python.wheels_for(finished.output)
        python, way = "", ""
        if OTHER_PLATFORM not in finished.output:  # the interpreter fits there
            python, way = node_python.cause(code, lock, recipe.python, wheels)
        raise ReleaseError(
            f"The lock file {lock} of {recipe.component} {recipe.tag} names a package without a wheel for this node. "
            f"Expected wheels only: building a package runs its code. uv said:\n{proc.tail(recipe.hide(finished.output), 15)}\n"
            f"Lock a version that has a wheel, or name the package: aistack_components.{recipe.component}.sdists: [PACKAGE]."
            + (f" {'Why:' if wheels else 'If'} {python}: {way}." if python else ""),
            rc=finished.rc,
            cmd=" ".join(argv),
            step="dependencies",
        )
    _checked(recipe, "Installing the dependencies of", finished, recipe.build_timeout)


def _wheels(recipe: Recipe) -> list[str]:
    """uv's options that say what may be built on the node."""
    if recipe.sdists is True:
        return []
    named = recipe.sdists or ()
    return ["--only-binary", ":all:", *(word for package in named for word in ("--no-binary", package))]


def hash_mismatch(output: str) -> tuple[str, str, str] | None:
    """Return package, expected and computed hash from uv's output; None when it is about something else."""
    found = re.search(r"Hash mismatch for `([^`]+)`\s+Expected:\s+((?:\S+:\S+\s+)+)Computed:\s+((?:\S+:[0-9a-f]+\s*)+)", output)
    if found is None:
        return None
    return found.group(1), " or ".join(found.group(2).split()), " or ".join(found.group(3).split())


def install_node(recipe: Recipe, tree: Path) -> None:
    """Install what the lock file of npm, pnpm or Yarn names."""
    lock, code = recipe.lock or "package-lock.json", recipe.code(tree)
    if not (code / lock).is_file():
        raise ReleaseError(
            f"The release {recipe.tag} of {recipe.component} has no lock file {lock}. {lock_file.missing(lock, 'node', os.listdir(code))}."
        )
    who = recipe.builder()
    with sandbox.home(tree, "home", who) as home, sandbox.opened(recipe.cache / recipe.component, who) as cache:
        finished = node_lock.install(recipe, code, lock, node_env(recipe, home, cache))
    _checked(recipe, f"Installing the dependencies ({' '.join(finished.argv[:2])}) of", finished, recipe.build_timeout)


def node_env(recipe: Recipe, home: Path, cache: Path) -> dict[str, str]:
    """Return the environment of npm and its like, and of a frontend's build."""
    told = node_lock.variables(lock_file.tool(recipe.lock or lock_file.NPM[0], recipe.kind), cache)
    return {**recipe.base_env(home), **told, "NEXT_TELEMETRY_DISABLED": "1", "CI": "1", "NO_COLOR": "1"}


def run_build(recipe: Recipe, tree: Path) -> None:
    """Run the build commands; of the component's variables they get those that it declares as needed at build time."""
    who = recipe.builder()
    code = recipe.code(tree)
    for argv in recipe.build:
        with sandbox.home(tree, "home", who) as home:
            if recipe.npm:
                with sandbox.opened(recipe.cache / recipe.component, who) as cache:
                    finished = recipe.run(recipe.command(argv, code), code, {**node_env(recipe, home, cache), **recipe.build_env})
            else:
                finished = recipe.run(recipe.command(argv, code), code, {**recipe.base_env(home), **recipe.build_env})
        _checked(recipe, "Building", finished, recipe.build_timeout)


def run_tests(recipe: Recipe, tree: Path) -> list[dict[str, object]]:
    """Run the release's own tests as the test user; returns {cmd, seconds, summary, sandbox} per command."""
    if not recipe.tests:
        return []
    results: list[dict[str, object]] = []
    who, code = recipe.tester(), recipe.code(tree)
    systemd = sandbox.sandboxed(recipe.test_sandbox)
    sandbox.show(tree, recipe.builder(), who)
    with sandbox.home(tree, "tests", who) as home:
        env = {
            "PATH": f"{code / '.venv' / 'bin'}:{code / 'node_modules' / '.bin'}:{recipe.tools}:{sandbox.PATH}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "-p no:cacheprovider --color=no",
            "NO_COLOR": "1",
            "CI": "1",
            "AISTACK_RELEASE": recipe.tag,
            "AISTACK_COMPONENT": recipe.component,
            **recipe.test_env,
        }
        for argv in recipe.tests:
            finished = sandbox.run_test(
                recipe.command(argv, code), code, home, env, recipe.test_timeout, who, systemd, recipe.test_network, recipe.test_memory,
                recipe.said,
            )
            if finished.rc not in (0, 126, 127) and not finished.timed_out and not missing_tool(finished):
                raise _tests_failed(recipe, finished)
            _checked(recipe, "Testing", finished, recipe.test_timeout)
            results.append(
                {
                    "cmd": " ".join(argv),
                    "seconds": round(finished.seconds, 1),
                    "summary": proc.tail(recipe.hide(finished.output), 1)[:200],
                    "sandbox": "systemd" if systemd else "none",
                }
            )
    return results


def _tests_failed(recipe: Recipe, finished: proc.Finished) -> TestsFailed:
    output = recipe.hide(finished.output)
    failing = [line.strip() for line in output.splitlines() if FAILING.search(line)][:20]
    shown = "\n".join(failing) or proc.tail(output, 15)
    return TestsFailed(
        f"The own tests of {recipe.component} {recipe.tag} failed (exit status {finished.rc}, command: "
        f"{recipe.hide(' '.join(finished.argv))}):\n{shown}\n"
        "The release is marked bad and was not staged; what is live is untouched. Correct it and give it a new tag.",
        cmd=recipe.hide(" ".join(finished.argv)),
        rc=finished.rc,
        failing=failing,
        stdout=proc.tail(output, 60),
        step="tests",
    )


def compile_python(recipe: Recipe, tree: Path) -> bool:
    """Compile all modules, so that a read-only tree starts fast; False when some file is no Python of this version.

    The compiled files do not depend on the folder or on times, so that releases share them.
    """
    python = recipe.code(tree) / ".venv" / "bin" / "python"
    top = str(tree if recipe.whole else recipe.code(tree))
    argv = [str(python), "-m", "compileall", "-q", "-j", "0", "-s", top, "--invalidation-mode", "unchecked-hash", top]
    with sandbox.home(tree, "home", recipe.builder()) as home:
        return recipe.run(argv, tree, recipe.base_env(home)).rc == 0


def keep_output(recipe: Recipe, tree: Path) -> None:
    """Reduce a built tree, which was taken back, to what runs: for C(next-standalone), the server with its static files; else a folder."""
    code = recipe.code(tree)
    if recipe.output == "next-standalone":
        next_site.keep(recipe.component, recipe.tag, tree, code)
    elif recipe.output != "none":
        _keep_folder(recipe, tree, code / recipe.output)
    elif code != tree and not recipe.whole:
        _refuse_links_out(recipe, tree, code)
        _keep_folder(recipe, tree, code)


def _refuse_links_out(recipe: Recipe, tree: Path, code: Path) -> None:
    """Raise ReleaseError where a link leads from the component's folder to what was laid down beside it, and will not be there."""
    top, own = os.path.realpath(tree), os.path.realpath(code)
    for path in walk(code, installed=False):
        real = os.path.realpath(path)
        if path.is_symlink() and real.startswith(f"{top}{os.sep}") and not f"{real}{os.sep}".startswith(f"{own}{os.sep}"):
            where = os.path.relpath(os.path.dirname(real), top)
            raise ReleaseError(
                f"{path.relative_to(code)} of {recipe.component} {recipe.tag} is a link to {os.path.relpath(real, top)}, which does not "
                "become a part of the release: of a workspace, only what is installed stays. Nothing was staged. Name the folder that it "
                f"leads to, from the root of the repository, in aistack_components.{recipe.component}.context (such as {where}), or put "
                "the file in its place."
            )


def _keep_folder(recipe: Recipe, tree: Path, folder: Path) -> None:
    """Reduce a tree to one of its folders."""
    code = recipe.code(tree)
    sandbox.inside(tree, folder)
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in code.iterdir() if path.is_dir() and path.name != "node_modules"))
        raise ReleaseError(
            f"The build of {recipe.component} {recipe.tag} left no folder {recipe.output}, which its output names. Its folders are: "
            f"{there or 'none'}. Name the one that the build writes, in aistack_components.{recipe.component}.output."
        )
    kept = tree.with_name(f"{tree.name}.output")
    shutil.rmtree(kept, ignore_errors=True)  # of a build that was interrupted; what cannot go makes the rename fail
    os.rename(folder, kept)
    os.chmod(kept, 0o700)
    shutil.rmtree(tree)
    os.rename(kept, tree)
