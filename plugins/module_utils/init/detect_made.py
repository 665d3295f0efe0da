# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Application objects that a function makes, as far as the repository's own code shows it: no I/O, nothing is run or imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("FastAPI", "Starlette", "Flask", "Celery")


@dataclass(frozen=True)
class Made:
    """An object at the top of a module, or a function that makes one when it is called without arguments."""

    path: str
    name: str
    kind: str


class _Module:
    """One file: what its names come from."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.body = tree.body
        self.imported: dict[str, str] = {}
        self.current: set[str] = set()  # names of celery's current_app
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for one in node.names:
                    known = one.asname or one.name
                    if one.name == "current_app" and node.module == "celery":
                        self.current.add(known)
                    self.imported[known] = one.name
        self.own = {node.name for node in self.functions}

    def kind(self, value: ast.expr | None, local: Mapping[str, str], factories: Mapping[str, str]) -> str:
        """What a value is an object of; empty where it is nothing that is known."""
        if isinstance(value, ast.Call):
            called = value.func
            name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            if name in KINDS:
                return name
            if isinstance(called, ast.Name) and name not in self.own:
                name = self.imported.get(name, "")
            return factories.get(name, "")
        if isinstance(value, ast.Name):
            return "Celery" if value.id in self.current else local.get(value.id, "")
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
            owner = value.value.id
            of_web = local.get(owner, "Celery") != "Celery" and "celery" in value.attr.lower()
            return "Celery" if of_web or (owner, value.attr) == ("celery", "current_app") else ""
        return ""

    def assigned(self, body: list[ast.stmt], factories: Mapping[str, str]) -> dict[str, str]:
        """Names and what they are, of assignments in their order."""
        found: dict[str, str] = {}
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            for target in targets:
                if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)):
                    kind = self.kind(node.value, found, factories)
                    if kind:
                        found[target.id] = kind
        return found

    def returned(self, function: ast.FunctionDef, factories: Mapping[str, str]) -> str:
        """What a function makes."""
        said = ast.unparse(function.returns).strip("'\"").rpartition(".")[2] if function.returns is not None else ""
        if said in KINDS:
            return said
        inside = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
        local = self.assigned(sorted(inside, key=lambda node: node.lineno), factories)
        kinds = [self.kind(node.value, local, factories) for node in inside if isinstance(node, ast.Return)]
        return next((kind for kind in kinds if kind), "")


def made(files: Mapping[str, str]) -> tuple[list[Made], list[Made]]:
    """Objects at the top of modules, and functions that need nothing to make one, both in the order of their paths."""
    modules: dict[str, _Module] = {}
    for path, content in sorted(files.items()):
        try:
            modules[path] = _Module(ast.parse(content))
        except (SyntaxError, ValueError, RecursionError):
            continue  # written for another Python than the controller's
    factories: dict[str, str] = {}
    for _round in range(3):  # functions that call functions
        for module in modules.values():
            for function in module.functions:
                kind = module.returned(function, factories)
                if kind:
                    factories.setdefault(function.name, kind)
    objects = [Made(path, name, kind) for path, module in modules.items() for name, kind in module.assigned(module.body, factories).items()]
    functions = [Made(path, function.name, factories[function.name]) for path, module in modules.items() for function in module.functions
                 if module.returned(function, factories) and not _needs(function)]
    return objects, functions


def _needs(function: ast.FunctionDef) -> bool:
    """Whether it cannot be called without arguments."""
    taken = function.args
    return len(taken.posonlyargs) + len(taken.args) > len(taken.defaults) or any(default is None for default in taken.kw_defaults)
