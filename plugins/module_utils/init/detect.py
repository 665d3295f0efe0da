# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an application is made of, as far as its files show it: no I/O, nothing is run or imported.

A tree is a mapping of paths (``backend/app/main.py``) to contents; a file that nobody has to read may have an empty one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from posixpath import basename, dirname

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_env import PASSED_OVER, Variable, variables
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_image import Image, image_of
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_made import made
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_project import only_for_development, requires_python, unfit
from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file

READ = re.compile(
    r"\.py\Z|(?:^|/)(?:package\.json|yarn\.lock|pyproject\.toml|alembic\.ini|requirements[\w.-]*\.(?:txt|lock|in)|\.?env[\w.-]*\.(?:example|sample|template)"
    r"|\.env\.dist|next\.config\.\w+|(?:docker-)?compose[\w.-]*\.ya?ml|Procfile|fly\.toml|[\w.-]*Dockerfile[\w.-]*)\Z"
)
"""Paths of files whose content is looked into."""

_OBJECT = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(FastAPI|Starlette|Flask|Celery)\(", re.MULTILINE)
_INSIDE = re.compile(r"^[ \t]*(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(?:FastAPI|Starlette|Flask)\(", re.MULTILINE)
_QUEUE = re.compile(r"""\bQueue\(\s*["']([\w.-]+)["']""")
_ROUTED = re.compile(r"""["']?\bqueue["']?\s*[:=]\s*["']([\w.-]+)["']""")
_DEFAULT_QUEUE = re.compile(r"""\btask_default_queue["']?\s*[:=]\s*["']([\w.-]+)["']""")
_STARTED = re.compile(r"""(?:^|[\s"'\[,])(?:--queues|-Q)(?:=|["',\s]*)([\w.-]+(?:,[\w.-]+)*)""")
"""The queues of a worker as a command names them, in one string or as a list of words."""
_ROUTER = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?APIRouter\(([^)]*)\)", re.MULTILINE)
_INCLUDED = re.compile(r"\b(\w+)\.include_router\(\s*([\w.]+)([^)]*)\)")
_IMPORTED = re.compile(r"^from\s+[\w.]*?(\w+)\s+import\s+(.+)$", re.MULTILINE)
_FACTORY = re.compile(r"app|create|make|build|factory")
_HEALTH = re.compile(r"""@(\w+)\.(?:get|route|api_route)\(\s*["'](/[\w/-]*(?:health|live|ready|ping|status)[\w/-]*)["']""")
_PROJECT = ("pyproject.toml", "requirements.lock", "requirements.txt", "requirements.in", "setup.py", "Pipfile")
_NODE_LOCKS = ("pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb")


@dataclass(frozen=True)
class Found:
    """An application object: where its project is, how it is imported, in which framework it is made."""

    path: str
    module: str
    name: str
    framework: str
    source: str = ""  # a folder of the project that has to be on Python's path, such as src
    factory: bool = False  # a function that makes it, which the server calls

    @property
    def app(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class Lock:
    """A component's lock file; where there is none, how to make one, and which of other tools are there."""

    name: str
    there: bool = True
    make: str = ""
    others: str = ""


@dataclass
class Frontend:
    """A Next.js application."""

    path: str
    lock: Lock
    standalone: bool
    variables: list[Variable] = field(default_factory=list)


@dataclass
class Application:
    """Everything that was found. What was not is None or empty."""

    web: Found | None = None
    others: list[Found] = field(default_factory=list)
    lock: Lock | None = None
    health: str = ""
    knows_release: bool = False  # its code reads AISTACK_RELEASE, so that an answer may tell it
    celery: Found | None = None
    queues: list[str] = field(default_factory=list)
    beat: bool = False
    path: str = ""  # of the project, whichever of these showed where it is
    alembic: str | None = None  # its configuration, below the project
    frontend: Frontend | None = None
    image: Image | None = None  # what it is released as, where that is no tree
    packages: set[str] = field(default_factory=set)
    variables: list[Variable] = field(default_factory=list)

    without_alembic: str = ""  # why the lock file cannot have Alembic, and what to do
    unfit: str = ""  # which nodes' Python the project does not take, and what to do

    def uses(self, *names: str) -> bool:
        """Whether one of these packages is named by what the project needs."""
        return any(name in self.packages for name in names)


def detect(files: Mapping[str, str], app: str = "", image: bool | None = None) -> Application:
    """Look at a tree; *app* names the web application (``module:object``) where its people know it.

    *image* says whether it is released as an image. None: where it has a Dockerfile, and no lock file that it could be released by.

    Raises:
        LookupError: the tree has no such module, or *app* is none; or it has no Dockerfile, and is to be an image.
    """
    web, celery = _objects(files)
    best = sorted(web, key=lambda one: (one.factory, _rank(one)))
    if app:
        best = [_named(files, app, best), *(one for one in best if one.app != app)]
    found = Application(web=best[0] if best else None, others=[one for one in best[1:] if not one.factory])
    tasks = sorted(celery, key=lambda one: (found.web is not None and one.path != found.web.path, _rank(one)))
    found.celery = tasks[0] if tasks else None
    project = found.web or found.celery
    configs = sorted((path for path in files if basename(path) == "alembic.ini"), key=lambda path: (path.count("/"), path))
    if project is not None or configs:
        folder = found.path = project.path if project is not None else dirname(configs[0])
        inside = {path: text for path, text in files.items() if _below(path, folder)}
        found.lock = _python_lock(inside, folder, files)
        found.packages = _packages([*inside.items(), *((path, text) for path, text in files.items() if "/" not in path)])
        modules = {path: text for path, text in sorted(inside.items()) if path.endswith(".py") and not PASSED_OVER.search(path)}
        code = list(modules.values())
        found.health = _health(modules)
        found.knows_release = any("AISTACK_RELEASE" in text for text in code)
        found.beat = found.celery is not None and any(re.search(r"(?i:beat_schedule)|add_periodic_task|crontab\(", text) for text in code)
        found.queues = _queues(code, [text for path, text in sorted(files.items()) if not path.endswith(".py")])
        configs = [path for path in configs if path in inside]
        found.alembic = _relative(configs[0], folder) if configs else None
        if found.alembic is None and re.search(r"(?m)^\[tool\.alembic\]", files.get(_join(folder, "pyproject.toml"), "")):
            found.alembic = "pyproject.toml"
        found.variables = variables(files, folder)
        project_file = files.get(_join(folder, "pyproject.toml"), "")
        found.without_alembic = _without_alembic(found.lock, files.get(_join(folder, found.lock.name), ""), project_file)
        spec = requires_python(project_file)
        others = unfit(spec)
        if others:
            found.unfit = (f"the project requires Python {spec}, which is not that of {' and '.join(others)}; where the node is one, put an"
                           " interpreter there and name it in release_python, as below")
    found.frontend = _frontend(files)
    if image is not False:
        found.image = _as_image(found, files, bool(image))
    return found


def _as_image(found: Application, files: Mapping[str, str], asked: bool) -> Image | None:
    made = image_of(files, found.path)
    if made is None and asked:
        raise LookupError("It is to be released as an image (image=true), and the repository has no Dockerfile in this tag.")
    page = found.frontend is not None and made is not None and made.path == found.frontend.path and found.web is None
    if made is None or (not asked and (page or (found.lock is not None and found.lock.there))):
        return None
    if found.web is None and found.celery is None and not found.variables:
        found.path, found.variables = made.path, variables(files, made.path)
    return made


def _objects(files: Mapping[str, str]) -> tuple[list[Found], list[Found]]:
    """Objects that serve requests, and those that run tasks."""
    code = {path: text for path, text in sorted(files.items()) if path.endswith(".py") and not PASSED_OVER.search(path)}
    objects, functions = made(code)
    seen = {(path, name): kind for path, text in code.items() for name, kind in _OBJECT.findall(text)}
    for one in objects:
        seen.setdefault((one.path, one.name), one.kind)
    found = [_found(files, path, name, kind) for (path, name), kind in sorted(seen.items())]
    found += [_found(files, path, "application", "Django") for path, text in code.items()
              if basename(path) == "asgi.py" and "get_asgi_application" in text]
    web = [one for one in found if one.framework != "Celery"]
    if not web:
        web = [replace(_found(files, one.path, one.name, one.kind), factory=True) for one in functions
               if one.kind != "Celery" and _FACTORY.search(one.name)]
    return web, [one for one in found if one.framework == "Celery"]


def _named(files: Mapping[str, str], app: str, known: Iterable[Found]) -> Found:
    module, _colon, name = app.partition(":")
    if not re.fullmatch(r"\w+(?:\.\w+)*", module) or not name.isidentifier():
        raise LookupError(f"app: expected module:object as a server takes it, such as app.main:app, got {app!r}.")
    for one in known:
        if one.app == app:
            return one
    inner = module.replace(".", "/")
    ends = (f"/{inner}.py", f"/{inner}/__init__.py")
    paths = sorted((path for path in files if f"/{path}".endswith(ends)), key=lambda path: (path.count("/"), path))
    if not paths:
        raise LookupError(f"app: the tag has no file {inner}.py or {inner}/__init__.py, in no folder; expected a module of the repository.")
    found = _found(files, paths[0], name, "application")
    above = f"/{paths[0]}"[: -len(next(end for end in ends if f"/{paths[0]}".endswith(end)))].strip("/")
    return found if found.module == module else replace(found, path=above, module=module, source="")


def _found(files: Mapping[str, str], path: str, name: str, framework: str) -> Found:
    project = dirname(path)
    while project and not any(_join(project, known) in files for known in _PROJECT) and not (
        framework == "Django" and _join(project, "manage.py") in files
    ):
        project = dirname(project)
    inner = _relative(path, project)
    source = "src" if inner.startswith("src/") else ""
    module = (inner[len(source) + 1 :] if source else inner)[: -len(".py")].replace("/", ".")
    return Found(project, module[: -len(".__init__")] if module.endswith(".__init__") else module, name, framework, source)


def _rank(found: Found) -> tuple[int, int, int, str]:
    last = found.module.rpartition(".")[2]
    names = ["main", "app", "api", "asgi", "wsgi", "server", "celery_app", "celery", "worker", "tasks"]
    return (
        names.index(last) if last in names else len(names),
        0 if found.name in ("app", "application", "api", "celery") else 1,
        found.path.count("/") + found.module.count("."),
        found.module,
    )


def _python_lock(inside: Mapping[str, str], project: str, files: Mapping[str, str]) -> Lock:
    def hashed(path: str) -> bool:
        return "--hash=sha256:" in inside[path]

    texts = [path for path in sorted(inside) if re.fullmatch(r"requirements[\w.-]*\.(?:txt|lock)", _relative(path, project))]
    usable = [path for path in texts if hashed(path)]
    usable.sort(key=lambda path: (bool(re.search(r"dev|test|doc|lint", basename(path))), not path.endswith(".lock"), path))
    if usable:
        return Lock(_relative(usable[0], project))
    own = [path for path in sorted(files) if dirname(path) == project and lock_file.PYLOCK.fullmatch(basename(path))]
    if _join(project, lock_file.UV) in files or own:
        return Lock(lock_file.UV if _join(project, lock_file.UV) in files else basename(own[0]))
    if lock_file.UV in files and _join(project, "pyproject.toml") in files:  # of a workspace
        return Lock(_above(project) + lock_file.UV)
    at = f" (in {project})" if project else ""
    beside = [name for name in lock_file.EXPORTS if _join(project, name) in files or (name in files and name.endswith(".lock"))]
    beside += [_relative(path, project) for path in files if dirname(path) == project]
    return Lock(lock_file.MADE, False, f"{lock_file.way(lock_file.MADE, beside)}{at}")


def _above(folder: str) -> str:
    """The way from a folder to the root of the repository."""
    return "../" * len([name for name in folder.split("/") if name])


def _node_lock(files: Mapping[str, str], folder: str) -> Lock:
    """The lock file of a package, or that of its workspace; where there is none that is read, how to make one."""
    for at in dict.fromkeys((folder, "")):
        if at != folder and "pnpm-workspace.yaml" not in files and '"workspaces"' not in files.get("package.json", ""):
            continue
        for name in (lock_file.NPM[0], lock_file.PNPM, lock_file.YARN):
            path = _join(at, name)
            if path in files and not (name == lock_file.YARN and lock_file.yarn_problem(files[path])):
                return Lock(name if at == folder else _above(folder) + name)
    others = sorted({name for name in _NODE_LOCKS for at in (folder, "") if _join(at, name) in files})
    return Lock(lock_file.NPM[0], False, f"{lock_file.NPM_MAKE}{f' (in {folder})' if folder else ''}", ", ".join(others))


def _without_alembic(lock: Lock, text: str, project: str) -> str:
    listed = lock_file.tool(lock.name, "python") == "list"
    if lock.there and listed and lock_file.lacks(text, "alembic"):
        return f"{lock.name} does not name alembic, which runs the migrations: make it a dependency of the application, lock again."
    if (not lock.there or not listed) and only_for_development(project, "alembic"):
        return "alembic is in a group for development, which the lock leaves out: move it to the application's dependencies first."
    return ""


def _packages(files: Iterable[tuple[str, str]]) -> set[str]:
    """Names of packages that requirements and pyproject.toml name, extras as ``name[extra]`` besides."""
    found: set[str] = set()
    for path, text in files:
        if basename(path) == "pyproject.toml":
            lines = re.findall(r"""["']([A-Za-z][\w.-]*(?:\[[\w, -]+\])?)[^"'\n]*["']""", text)
            lines += re.findall(r"(?m)^([A-Za-z][\w.-]*)\s*=", text)
        elif re.fullmatch(r"requirements[\w.-]*", basename(path)):
            lines = re.findall(r"(?m)^([A-Za-z][\w.-]*(?:\[[\w, -]+\])?)", text)
        else:
            continue
        for line in lines:
            name, _bracket, extras = line.lower().replace("_", "-").partition("[")
            found.add(name)
            found |= {f"{name}[{extra.strip()}]" for extra in extras.rstrip("]").split(",") if extra.strip()}
    return found


def _queues(code: Iterable[str], others: Iterable[str]) -> list[str]:
    """Where tasks go: as a command starts its worker, as the application defines its queues, as it routes; empty where none of it says."""
    started = [name for text in others if "celery" in text for names in _STARTED.findall(text) for name in names.split(",")]
    texts = [text for text in code if "kombu" in text or "celery" in text.lower()]
    defined = [name for text in texts for name in _QUEUE.findall(text)]
    routed = [name for text in texts for name in _ROUTED.findall(text)]
    default = [name for text in texts for name in _DEFAULT_QUEUE.findall(text)]
    if not started and not defined and (routed or default):
        routed = [*(default[:1] or ["celery"]), *routed]
    return list(dict.fromkeys(started or defined or routed))


def _health(modules: Mapping[str, str]) -> str:
    """A path that stands at the application object itself, or at a router that it takes as it is; with a prefix it is not known here."""
    bare = _routers(modules)
    for path, text in modules.items():
        direct = {*_INSIDE.findall(text), *(owner for at, owner in bare if at == path)}
        for owner, found in _HEALTH.findall(text):
            if owner in direct:
                return str(found)
    return ""


def _routers(modules: Mapping[str, str]) -> set[tuple[str, str]]:
    """Routers without a prefix that an application object includes without one: the module's path, and their name there."""
    found = set()
    for text in modules.values():
        objects = set(_INSIDE.findall(text))
        names = {}
        for module, listed in _IMPORTED.findall(text):
            for name, alias in re.findall(r"(\w+)(?:\s+as\s+(\w+))?", listed):
                names[alias or name] = (module, name)
        for owner, what, more in _INCLUDED.findall(text):
            if owner not in objects or "prefix" in more:
                continue
            module, _dot, name = what.rpartition(".")
            stem, name = (module.rpartition(".")[2], name) if module else names.get(what, ("", ""))
            found |= {(path, name) for path in modules if basename(path) == f"{stem}.py" or path.endswith(f"{stem}/__init__.py")}
    plain = {(path, name) for path, text in modules.items() for name, given in _ROUTER.findall(text) if "prefix" not in given}
    return found & plain


def _frontend(files: Mapping[str, str]) -> Frontend | None:
    for path in sorted((name for name in files if basename(name) == "package.json"), key=lambda name: (name.count("/"), name)):
        if PASSED_OVER.search(path):
            continue
        try:
            described = json.loads(files[path])
        except ValueError:  # a template of one, or broken: npm says so where it is meant to be built
            continue
        if not isinstance(described, dict) or "next" not in (described.get("dependencies") or {}):
            continue
        folder = dirname(path)
        lock = _node_lock(files, folder)
        configs = [files[name] for name in sorted(files) if re.fullmatch(r"next\.config\.\w+", _relative(name, folder))]
        standalone = any(re.search(r"""output\s*:\s*["'`]standalone""", text) for text in configs)
        return Frontend(folder, lock, standalone, [one for one in variables(files, folder, near=True) if _of_a_page(one, folder)])
    return None


def _of_a_page(variable: Variable, folder: str) -> bool:
    return bool(folder) or variable.name.startswith("NEXT_")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _relative(path: str, folder: str) -> str:
    return path[len(folder) + 1 :] if folder and path.startswith(f"{folder}/") else path


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
