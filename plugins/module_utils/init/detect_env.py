# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables an application reads, as far as its example of an environment, its settings classes and its code show it. No I/O."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import basename, dirname

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import NAME

EXAMPLE = re.compile(r"\.?env(?:\.[\w-]+)*\.(?:example|sample|template|dist)\Z")
SECRET = re.compile(r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASS|TOKEN|APIKEY|PRIVATE)(?:_|\Z)|_KEY(?:_\w+)?\Z|(?:^|_)DSN\Z")
_MEASURE = re.compile(
    r"_(?:(?:MILLI)?SECONDS?|SECS?|MS|MINUTES?|MINS?|HOURS?|DAYS?|WEEKS?|EXPIR(?:E|ES|Y|ATION)|EXPIRES?_IN|TTL|AGE|LIFETIME|TIMEOUT|LEEWAY"
    r"|LENGTH|LEN|SIZE|COUNT|LIMIT|MIN|MAX|ROUNDS|ITERATIONS)\Z"
)
"""Ends of names that tell of a secret's measure: ACCESS_TOKEN_EXPIRE_SECONDS."""
PASSED_OVER = re.compile(
    r"(?:^|/)(?:tests?|docs?|examples?|node_modules|\.venv|venv|site-packages|migrations|alembic|versions|scripts|build|dist)/"
    r"|(?:^|/)(?:test_[^/]*|conftest|setup)\.py\Z"
)
URL_OF_DATABASE = re.compile(r"(?:\A|_)(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|SQLALCHEMY_DATABASE)_(?:URL|URI|DSN)\Z")
URL_OF_REDIS = re.compile(r"(?:\A|_)(?:REDIS|BROKER|CELERY_RESULT|CACHE)_(?:URL|URI|DSN|BACKEND)\Z|\ACELERY_(?:BROKER|BACKEND)\Z")
_READS = ("os.environ.get", "environ.get", "os.getenv", "getenv", "config")
_OF_THE_MACHINE = re.compile(
    r"(?:PATH|HOME|USER|LOGNAME|PWD|SHELL|LANG|LC_\w+|TERM|TMPDIR|TEMP|TMP|HOSTNAME|VIRTUAL_ENV|PYTHON\w+|CI|AISTACK_\w+)\Z"
)
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_TYPES = {"int": "int", "bool": "bool", "PostgresDsn": "dsn", "RedisDsn": "dsn", "AmqpDsn": "dsn", "HttpUrl": "url", "AnyUrl": "url",
          "AnyHttpUrl": "url"}
_DSN = re.compile(r"(?:postgres(?:ql)?|mysql|rediss?|amqps?|mongodb)(?:\+\w+)?://")
_OF_A_VALUE = ((r"-?\d+", "int"), (r"(?i:true|false)", "bool"), (_DSN.pattern + ".*", "dsn"), (r"https?://[^\s,]+", "url"))


@dataclass(frozen=True)
class Variable:
    """A variable of an environment: its type in the schema's words, whether it has to be there, what its example says."""

    name: str
    type: str = "str"
    required: bool = True
    secret: bool = False
    example: str = ""
    choices: tuple[str, ...] = ()
    listed: bool = False  # only the example names it: nothing shows that the application cannot do without


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
                                           type=field.type if field.type != "str" else example.type)
                    found[known] = _numbers_are_plain(found[known])
                else:
                    found[field.name] = field
    known_names = {name.upper() for name in found}
    for path, text in sorted(files.items()):
        inside = path.endswith(".py") and (not folder or path.startswith(f"{folder}/"))
        read_here = not PASSED_OVER.search(path) or basename(path) == "env.py"  # Alembic's own, which every deployment runs
        if not near and inside and read_here and re.search(r"environ|getenv|config\(", text):
            for read in _of_code(text):
                if read.name.upper() in known_names:
                    said = found.get(read.name)
                    if said is not None and said.listed:
                        kind = read.type if read.type in ("int", "bool") else said.type
                        found[read.name] = _numbers_are_plain(replace(said, type=kind, listed=not read.required))
                else:
                    before = found.get(read.name, read)
                    found[read.name] = replace(before, required=before.required or read.required, example=before.example or read.example,
                                               type=before.type if before.type != "str" else read.type,
                                               secret=before.secret or read.secret)
                    found[read.name] = _numbers_are_plain(found[read.name])
    return list(found.values())


def _names_a_secret(name: str) -> bool:
    return bool(SECRET.search(name.upper())) and not _MEASURE.search(name.upper())


def _numbers_are_plain(variable: Variable) -> Variable:
    return replace(variable, secret=False) if variable.type in ("int", "bool") else variable


def _bare(raw: str) -> str:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'":
        return raw[1:-1]
    return "" if raw.startswith("#") else re.sub(r"\s+#.*\Z", "", raw)


def _of_an_example(name: str, value: str) -> Variable:
    secret = _names_a_secret(name) and not name.upper().startswith("NEXT_PUBLIC_")
    kind = next((kind for pattern, kind in _OF_A_VALUE if re.fullmatch(pattern, value)), "str")
    if secret and kind == "int":
        kind = "str"  # digits make a password as well
    secret = secret or bool(re.search(r"://[^/@\s]*@", value)) or kind == "dsn"
    return _numbers_are_plain(Variable(name, kind, True, secret, value, listed=True))


def _of_settings(text: str) -> Iterator[Variable]:
    """The fields of classes made of pydantic's BaseSettings; nothing where the controller's Python cannot read the file."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # written for another Python than the controller's
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
    secret = "Secret" in annotation or kind == "dsn" or _names_a_secret(name)
    return _numbers_are_plain(Variable(name, kind, not has_default and not optional, secret, "", choices))


def _of_code(text: str) -> Iterator[Variable]:
    """What ``os.environ``, ``os.getenv`` and ``config`` of decouple or Starlette are asked for, in the order of the code."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # likewise
        return
    configured = bool(re.search(r"\b(?:decouple|starlette\.config)\b", text))
    kinds: dict[ast.AST, str] = {}
    optional: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) == 1 and ast.unparse(node.func) in ("int", "bool"):
            kinds[node.args[0]] = ast.unparse(node.func)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            optional.update(node.values[:-1])
    reads = [node for node in ast.walk(tree) if isinstance(node, (ast.Call, ast.Subscript))]
    for node in sorted(reads, key=lambda one: (one.lineno, one.col_offset)):
        asked = _asked(node, configured)
        if asked is not None:
            name, default, kind = asked
            yield _of_a_read(name, default, kind or kinds.get(node, ""), default is None and node not in optional)


def _asked(node: ast.Call | ast.Subscript, configured: bool) -> tuple[str, ast.expr | None, str] | None:
    """Name, default and type of a read; None where it is none, or where nobody can see the name."""
    if isinstance(node, ast.Subscript):
        read = isinstance(node.ctx, ast.Load) and ast.unparse(node.value) in ("os.environ", "environ")
        key, default, kind = node.slice, None, ""
    else:
        function = ast.unparse(node.func)
        read = bool(node.args) and function in _READS and (function != "config" or configured)
        key = node.args[0] if node.args else node.func
        named = {word.arg: word.value for word in node.keywords}
        second = node.args[1] if len(node.args) > 1 else None
        default = named.get("default", second)
        kind = ast.unparse(named["cast"]) if "cast" in named else ""
    if not read or not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        return None
    if not NAME.fullmatch(key.value) or _OF_THE_MACHINE.match(key.value):
        return None
    return key.value, default, kind if kind in ("int", "bool") else ""


def _of_a_read(name: str, default: ast.expr | None, kind: str, required: bool) -> Variable:
    """A default is an example only where it is an address, which the stack's own servers take the place of."""
    said = default.value if isinstance(default, ast.Constant) and isinstance(default.value, str) else ""
    said = said if "://" in said and not said.startswith("sqlite") else ""
    server = bool(URL_OF_DATABASE.search(name.upper()) or URL_OF_REDIS.search(name.upper()))
    dsn = bool(_DSN.match(said)) or (server and not said)
    secret = dsn or _names_a_secret(name)
    return _numbers_are_plain(Variable(name, "dsn" if dsn else kind or "str", required, secret, said if dsn or server else ""))
