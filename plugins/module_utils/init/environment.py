# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environments of a first inventory: what the stack's own servers fill, which secrets are made, what nobody can guess. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import Application
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_env import URL_OF_DATABASE, URL_OF_REDIS, Variable

_POSTGRES = ("psycopg", "psycopg2", "psycopg2-binary", "psycopg[binary]", "asyncpg", "pg8000")
_PART = re.compile(
    r"(?:\A|_)(?P<server>POSTGRES|POSTGRESQL|PG|DB|DATABASE|REDIS)_?"
    r"(?P<part>HOST|SERVER|HOSTNAME|PORT|USER|USERNAME|PASSWORD|PASS|DB|NAME|DATABASE)\Z"
)
_OWN_SECRET = re.compile(
    r"(?:\A|_)(?:SECRET(?:_KEY)?|SESSION_KEY|JWT_\w+|SIGNING_KEY|ENCRYPTION_KEY|SALT)\Z|_SECRET\Z|PASSWORD\Z|PASSWD\Z"
)
_OTHERS_SECRET = re.compile(
    r"OPENAI|ANTHROPIC|AWS|STRIPE|SENTRY|GITHUB|GOOGLE|SMTP|MAIL|HUGGING|HF_|CLIENT_SECRET|OAUTH|WEBHOOK|S3_|MINIO|TWILIO|SLACK"
)
_ADDRESS_OF = {
    "web": re.compile(r"(?:(?:\A|_)FRONTEND|\A(?:NEXT_PUBLIC_)?(?:WEB|UI|CLIENT|SITE))_(?:BASE_)?(?:URL|URI|ORIGIN|HOST)\Z"),
    "api": re.compile(r"\A(?:APP_)?(?:API|BACKEND)_(?:BASE_)?(?:URL|URI|ORIGIN|HOST)\Z"),
}
"""Names of variables that hold the address of a component of the stack itself, where no example shows another one."""
_OWN_HOST = re.compile(r"https?://(?:[\w-]+|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])(?::\d+)?(?:/.*)?\Z")
_ORIGINS = re.compile(r"ORIGINS?\Z|(?:\A|_)CORS(?:_\w+)?\Z")
"""Names of lists of addresses that pages come from; as JSON, or with commas."""
_OTHERS_ORIGIN = re.compile(r"(?:https?://)?[A-Za-z0-9.*:_-]+\Z")
_OF_TESTS = re.compile(r"(?:\A|_)(?:TESTS?|TESTING|PYTEST)(?:_|\Z)")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*\Z")
_SCHEMES = re.compile(r"[a-z][a-z0-9+.-]*\Z")
DOTTED = "{{ %s }}"


class Environment:
    """What the services' and the page's environments hold."""

    def __init__(self, found: Application, database: str) -> None:
        self._found, self._database = found, database
        page = found.frontend.variables if found.frontend else []
        # tests empty the database that they are given, which must never be the stack's
        self.left_out = list(dict.fromkeys(one.name for one in [*found.variables, *page] if _OF_TESTS.search(one.name.upper())))
        said = [one for one in found.variables if one.name not in self.left_out]
        urls = [one for one in said if _is_database(one)]
        parts = {match["server"] for one in said if (match := _PART.search(one.name.upper()))}
        self.postgres = bool(urls or found.uses(*_POSTGRES) or parts - {"REDIS"})
        self.redis = any(_is_redis(one) for one in said) or "REDIS" in parts or found.uses("redis", "celery[redis]", "arq", "rq")
        needed = []
        if self.postgres and not urls and not parts - {"REDIS"}:
            needed.append(Variable("DATABASE_URL", "dsn", secret=True))
        if self.redis and "REDIS" not in parts and not any(_is_redis(one) for one in said):
            needed.append(Variable("REDIS_URL", "dsn", secret=True))
        self.service = [*needed, *said] if found.web or found.celery or found.image else []
        self.page = [one for one in page if one.name not in self.left_out]
        self.database_variable = next((one.name for one in self.service if _is_database(one)), "")
        brokers = sorted((one.name for one in self.service if _is_redis(one)), key=lambda name: ("BROKER" not in name, "RESULT" in name))
        self.broker_variable = brokers[0] if brokers else ""

    def described(self) -> bool:
        """Whether any component has an environment."""
        return bool(self.service or self.page)

    def secrets(self) -> list[str]:
        """Names of the secrets that are made on first use."""
        names = [name for name, used in (("postgres", self.postgres), ("redis", self.redis), ("redis_backup", self.redis),
                                         ("redis_admin", self.redis)) if used]
        return [*names, *dict.fromkeys(one.name.lower() for one in [*self.service, *self.page] if self._made(one))]

    def schema_lines(self, one: Variable, text: Callable[[str], str]) -> list[str]:
        """The variable's entry in the schema."""
        unknown = self._unknown(one)
        said = [f"name: {one.name}", f"type: {one.type}"]
        said += [f"choices: [{', '.join(map(text, one.choices))}]"] if one.choices else []
        said += ["required: true"] if one.required and not one.listed and not unknown else []
        said += ["secret: true"] if one.secret or self._made(one) else []
        entry = f"- {{{', '.join(said)}}}"
        return [f"# {unknown}", entry] if unknown else [entry]

    def value_lines(self, one: Variable, text: Callable[[str], str]) -> list[str]:
        """Its value; nothing where the application's own default holds, or where nobody here can know it."""
        value = self._value(one)
        if value is not None:
            return [f"{one.name}: {_quoted(value)}"] if len(value) < 100 else [f"{one.name}: >-", *(f"  {line}" for line in _folded(value))]
        return [f"{one.name}: {text(one.example)}"] if one.example and not one.secret else []

    def _made(self, one: Variable) -> bool:
        """Whether it is a secret of the application's own, which anything long and random will do for."""
        upper = one.name.upper()
        return (one.secret and one.type == "str" and not _PART.search(upper) and not _OTHERS_SECRET.search(upper)
                and bool(_OWN_SECRET.search(upper)))

    def _unknown(self, one: Variable) -> str:
        """Why its value cannot be known here; empty where it is, or where none is needed."""
        if not one.required or self._value(one) is not None or (one.example and not one.secret):
            return ""
        where = "under values, from a vault" if one.secret else "under values"
        return f"TODO: nobody but you knows {one.name}: give it {where}, and say required: true."

    def _value(self, one: Variable) -> str | None:
        """A template for its value, where the stack knows one."""
        upper = one.name.upper()
        if _is_database(one):
            scheme = self._scheme(one, "postgresql")
            return ("{{ aistack_secrets.postgres | phasegate.aistack.dsn(" + f"'{scheme}', user='{self._database}', "
                    + "host=aistack_addresses.data, " + f"port=aistack_ports.postgres, database='{self._database}'" + ") }}")
        if _is_redis(one):
            number = urlsplit(one.example).path.strip("/") if _SCHEMES.match(one.example.partition(":")[0]) else ""
            return ("{{ aistack_secrets.redis | phasegate.aistack.dsn(" + f"'redis', user='{self._database}', host=aistack_addresses.data, "
                    + f"port=aistack_ports.redis, database={number if number.isdigit() else 0}" + ") }}")
        part = _PART.search(upper)
        if part and (self.redis if part["server"] == "REDIS" else self.postgres):
            return self._part("redis" if part["server"] == "REDIS" else "postgres", part["part"])
        if self._made(one):
            return DOTTED % f"aistack_secrets.{one.name.lower()}"
        if one in self.page and self._found.web and re.search(r"(?:API|BACKEND)_(?:\w+_)?(?:URL|BASE)\Z|_API\Z", upper):
            return _address("api", one)
        for name, there in (("web", self._found.frontend), ("api", self._found.web)):
            if there and one.type in ("str", "url") and not one.secret and _ADDRESS_OF[name].search(upper):
                bare_host = not one.example and upper.endswith("_HOST")
                return _address(name, one) if _OWN_HOST.match(one.example) or not (one.example or bare_host) else None
        return _origins(one) if self._found.frontend and not one.secret and _ORIGINS.search(upper) else None

    def _part(self, server: str, part: str) -> str | None:
        if part in ("HOST", "SERVER", "HOSTNAME"):
            return DOTTED % "aistack_addresses.data"
        if part == "PORT":
            return DOTTED % f"aistack_ports.{server}"
        if part in ("PASSWORD", "PASS"):
            return DOTTED % f"aistack_secrets.{server}"
        if part in ("USER", "USERNAME"):
            return self._database
        return "0" if server == "redis" else self._database

    def _scheme(self, one: Variable, default: str) -> str:
        said = one.example.partition("://")[0]
        if "://" in one.example and _SCHEMES.match(said):
            return said
        if not self._found.uses("sqlalchemy", "sqlalchemy[asyncio]", "sqlmodel", "alembic"):
            return default
        if self._found.uses("asyncpg"):
            return f"{default}+asyncpg"
        if self._found.uses("psycopg", "psycopg[binary]"):
            return f"{default}+psycopg"
        # said, because SQLAlchemy 2.1 takes an address without a driver for psycopg 3
        return f"{default}+psycopg2" if self._found.uses("psycopg2", "psycopg2-binary") else default


def _is_database(one: Variable) -> bool:
    return bool(re.match(r"postgres(?:ql)?(?:\+\w+)?://", one.example)) or (
        "://" not in one.example and bool(URL_OF_DATABASE.search(one.name.upper()))
    )


def _is_redis(one: Variable) -> bool:
    return bool(re.match(r"rediss?://", one.example)) or ("://" not in one.example and bool(URL_OF_REDIS.search(one.name.upper())))


def _address(component: str, one: Variable) -> str:
    """Where the edge answers for this component, with the path of the example."""
    path = re.sub(r"\Ahttps?://[^/?#]*|[?#].*\Z", "", one.example).rstrip("/") if "://" in one.example else ""
    # it becomes a part of a template, so that nothing in it may be one
    return f"http://{{{{ aistack_address }}}}:{{{{ aistack_ports.{component} }}}}" + (path if _PLAIN_PATH.match(path) else "")


def _origins(one: Variable) -> str | None:
    """The example's list with where the edge answers for the page, in place of the developer's machine; None where it has none of those."""
    try:
        listed = json.loads(one.example)
        form = "json"
    except ValueError:  # then it is written with commas
        listed, form = one.example.split(","), "commas"
    items = [item.strip() for item in listed if isinstance(item, str)] if isinstance(listed, list) else []
    own = [item for item in items if _OWN_HOST.match(item)]
    # what stays becomes a part of a template, so that nothing in it may be one
    if not own or not all(item in own or _OTHERS_ORIGIN.match(item) for item in items):
        return None
    page = _address("web", Variable(one.name))
    said = list(dict.fromkeys(page if item in own else item for item in items))
    return json.dumps(said) if form == "json" else ",".join(said)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folded(value: str) -> list[str]:
    """A long template on two lines, as ``>-`` joins them."""
    head, comma, rest = value.partition("host=")
    return [head.rstrip(), f"{comma}{rest}"] if comma else [value]
