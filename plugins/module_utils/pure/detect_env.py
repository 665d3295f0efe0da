# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables an application reads, as far as its example of an environment and its settings classes show it. No I/O."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import basename, dirname

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.env_schema import NAME

EXAMPLE = re.compile(r"\.?env(?:\.[\w-]+)*\.(?:example|sample|template|dist)\Z")
SECRET = re.compile(r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASS|TOKEN|APIKEY|PRIVATE)(?:_|\Z)|_KEY(?:_\w+)?\Z|(?:^|_)DSN\Z")
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_TYPES = {"int": "int", "bool": "bool", "PostgresDsn": "dsn", "RedisDsn": "dsn", "AmqpDsn": "dsn", "HttpUrl": "url", "AnyUrl": "url",
          "AnyHttpUrl": "url"}  # fmt: skip
_DSN = re.compile(r"(?:postgres(?:ql)?|mysql|rediss?|amqps?|mongodb)(?:\+\w+)?://")
_OF_A_VALUE = ((r"-?\d+", "int"), (r"(?i:true|false)", "bool"), (_DSN.pattern + ".*", "dsn"), (r"https?://\S+", "url"))


@dataclass(frozen=True)
class Variable:
    """A variable of an environment: its type in the schema's words, whether it has to be there, what its example says."""

    name: str
    type: str = "str"
    required: bool = True
    secret: bool = False
    example: str = ""
    choices: tuple[str, ...] = ()


def variables(files: Mapping[str, str], folder: str, near: bool = False) -> list[Variable]:
    """Those of the project in *folder*, in the order in which they are written; of the whole repository's example unless *near*."""
    examples = [path for path in sorted(files) if EXAMPLE.fullmatch(basename(path)) and dirname(path) == folder]
    if not examples and not near:
        examples = [path for path in sorted(files) if EXAMPLE.fullmatch(basename(path)) and "/" not in path]
    found: dict[str, Variable] = {}
    for path in examples[:1]:
        for name, raw in _LINE.findall(files[path]):
            found[name] = _of_an_example(name, _bare(raw))
    for path, text in sorted(files.items()):
        inside = not folder or path.startswith(f"{folder}/")
        if not near and inside and path.endswith(".py") and "BaseSettings" in text and not re.search(r"(?:^|/)tests?/", path):
            for field in _of_settings(text):
                known = next((name for name in found if name.upper() == field.name.upper()), "")
                if known:
                    example = found[known]
                    found[known] = replace(field, name=known, example=example.example, secret=field.secret or example.secret,
                                           type=field.type if field.type != "str" else example.type)  # fmt: skip
                else:
                    found[field.name] = field
    return list(found.values())


def _bare(raw: str) -> str:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'":
        return raw[1:-1]
    return "" if raw.startswith("#") else re.sub(r"\s+#.*\Z", "", raw)


def _of_an_example(name: str, value: str) -> Variable:
    secret = bool(SECRET.search(name.upper())) and not name.upper().startswith("NEXT_PUBLIC_")
    kind = next((kind for pattern, kind in _OF_A_VALUE if re.fullmatch(pattern, value)), "str")
    if secret and kind in ("int", "bool"):
        kind = "str"
    return Variable(name, kind, True, secret or bool(re.search(r"://[^/@\s]*@", value)) or kind == "dsn", value)


def _of_settings(text: str) -> Iterator[Variable]:
    """The fields of classes made of pydantic's BaseSettings; nothing where the controller's Python cannot read the file."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("BaseSettings") for base in node.bases):
            body = ast.unparse(node)
            prefix = re.search(r"env_prefix\s*=\s*['\"](\w*)['\"]", body)
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    found = _of_field(field, prefix.group(1) if prefix else "")
                    if found is not None:
                        yield found


def _of_field(field: ast.AnnAssign, prefix: str) -> Variable | None:
    """One field; None where it is no variable. Its default is no example: it holds without being said."""
    own = ast.unparse(field.target)
    annotation = ast.unparse(field.annotation)
    value = ast.unparse(field.value) if field.value is not None else ""
    alias = re.search(r"(?:validation_)?alias\s*=\s*['\"](\w+)['\"]", value)
    name = alias.group(1) if alias else f"{prefix}{own}".upper()
    if own.startswith("_") or own == "model_config" or "ClassVar" in annotation or not NAME.fullmatch(name):
        return None
    bare = re.sub(r"Optional\[|\]|\|?\s*None\s*\|?|Annotated\[|\s", "", annotation).partition(",")[0]
    kind, choices = _TYPES.get(bare.rpartition(".")[2], "str"), ()
    if annotation.startswith(("Literal[", "typing.Literal[")) and "None" not in annotation:
        choices = tuple(re.findall(r"['\"]([^'\"]*)['\"]", annotation))
        kind = "enum" if choices else "str"
    bare_field = re.match(r"(?:pydantic\.)?Field\(\s*(?:\.\.\.|(?!default)\w+\s*=(?!.*\bdefault(?:_factory)?\s*=)|\))", value)
    has_default = bool(value) and not bare_field
    optional = "None" in annotation and not value
    secret = "Secret" in annotation or kind == "dsn" or bool(SECRET.search(name))
    return Variable(name, kind, not has_default and not optional, secret, "", choices)
