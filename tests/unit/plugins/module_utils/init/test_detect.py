# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tree of files shows of the application in it."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import READ, Application, detect
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_env import Variable, variables
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect_project import requires_python, unfit
from ansible_collections.phasegate.aistack.plugins.module_utils.init.inventory import Inventory, Place
from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file

FASTAPI = "import fastapi\napp: fastapi.FastAPI = fastapi.FastAPI()\n"


def shown(found: Application) -> tuple[str, str, str, str]:
    assert found.web is not None
    return found.web.framework, found.web.path, found.web.app, found.web.source


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main.py": FASTAPI, "requirements.txt": ""}, ("FastAPI", "", "main:app", "")),
        ({"backend/app/main.py": FASTAPI, "backend/pyproject.toml": "", "pyproject.toml": ""}, ("FastAPI", "backend", "app.main:app", "")),
        ({"src/shop/__init__.py": "api = FastAPI()\n", "pyproject.toml": ""}, ("FastAPI", "", "shop:api", "src")),
        ({"app/main.py": FASTAPI, "tests/main.py": FASTAPI, "docs/main.py": FASTAPI}, ("FastAPI", "", "app.main:app", "")),
        ({"app/tool.py": FASTAPI, "app/main.py": FASTAPI}, ("FastAPI", "", "app.main:app", "")),
        ({"wsgi.py": "from flask import Flask\napp = Flask(__name__)\n"}, ("Flask", "", "wsgi:app", "")),
        (
            {"site/manage.py": "", "site/shop/asgi.py": "application = get_asgi_application()\n"},
            ("Django", "site", "shop.asgi:application", ""),
        ),
        ({"main.py": "def make():\n    app = FastAPI()\n", "app.py": FASTAPI}, ("FastAPI", "", "app:app", "")),
    ],
)
def test_the_application(files: dict[str, str], expected: tuple[str, ...]) -> None:
    assert shown(detect(files)) == expected


def test_nothing_is_made_up() -> None:
    found = detect({"README.md": "FastAPI()", "lib/x.py": "print(1)\n", "package.json": "{not json"})
    assert (found.web, found.celery, found.frontend, found.alembic, found.lock, found.variables) == (None, None, None, None, None, [])


@pytest.mark.parametrize(
    ("files", "name", "make"),
    [
        ({"requirements.txt": "a==1 --hash=sha256:00"}, "requirements.txt", ""),
        ({"requirements-dev.txt": "a --hash=sha256:00", "requirements.lock": "a --hash=sha256:00"}, "requirements.lock", ""),
        ({"requirements.txt": "a==1"}, "requirements.lock",
         lock_file.COMPILE.format(source="requirements.txt")),
        ({"requirements-dev.txt": "a==1", "requirements.txt": "a==1", "pyproject.toml": "[tool.ruff]"}, "requirements.lock",
         lock_file.COMPILE.format(source="requirements.txt")),
        ({"pyproject.toml": ""}, "requirements.lock", lock_file.COMPILE.format(source="pyproject.toml")),
        ({"uv.lock": "", "pyproject.toml": ""}, "uv.lock", ""),
        ({"pylock.toml": "", "pyproject.toml": ""}, "pylock.toml", ""),
        ({"uv.lock": "", "pyproject.toml": "", "requirements.txt": "a==1 --hash=sha256:00"}, "requirements.txt", ""),
        ({"poetry.lock": "", "pyproject.toml": ""}, "requirements.lock", lock_file.EXPORTS["poetry.lock"]),
    ],
)
def test_the_lock_file_or_how_to_make_one(files: dict[str, str], name: str, make: str) -> None:
    lock = detect({"main.py": FASTAPI, **files}).lock
    assert lock is not None
    assert (lock.name, lock.there, lock.make) == (name, not make, make)


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ('app = FastAPI()\n@app.get("/health")\n', "/health"),
        ('app = FastAPI()\n@app.get("/items")\n@app.get("/api/healthz")\n', "/api/healthz"),
        ('app = FastAPI()\nrouter = APIRouter()\n@router.get("/health")\n', ""),
        ("app = FastAPI()\n", ""),
    ],
    ids=["plain", "below a prefix", "a router's prefix is not known", "none"],
)
def test_the_path_of_its_health(code: str, path: str) -> None:
    assert detect({"main.py": code}).health == path


@pytest.mark.parametrize(
    ("files", "config"),
    [
        ({"alembic.ini": ""}, "alembic.ini"),
        ({"db/alembic.ini": ""}, "db/alembic.ini"),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = 'x'\n"}, "pyproject.toml"),
        ({"other/alembic.iniX": ""}, None),
    ],
)
def test_migrations(files: dict[str, str], config: str | None) -> None:
    assert detect({"main.py": FASTAPI, **files}).alembic == config


def test_tasks_and_their_schedule() -> None:
    found = detect({"main.py": FASTAPI, "tasks.py": 'celery_app = Celery("x")\ncelery_app.conf.beat_schedule = {}\n'})
    assert found.celery is not None
    assert (found.celery.app, found.beat) == ("tasks:celery_app", True)
    assert not detect({"main.py": FASTAPI, "tasks.py": 'app = Celery("x")\n'}).beat


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"package.json": '{"dependencies": {"next": "15"}}', "package-lock.json": "", "next.config.js": 'output: "standalone"'},
         ("", True, True)),
        ({"apps/web/package.json": '{"dependencies": {"next": "15"}}', "bun.lock": ""}, ("apps/web", False, False)),
    ],
)
def test_a_page(files: dict[str, str], expected: tuple[str, bool, bool]) -> None:
    page = detect(files).frontend
    assert page is not None
    assert (page.path, page.lock.there, page.standalone) == expected


def test_variables_of_an_example() -> None:
    text = '# comment\nexport A=1\nB="x y"\nC=\nD=true # shown\nAPI_TOKEN=abc\nURL=https://example.com\nDB=postgresql://u:p@h/d\n'
    assert variables({".env.example": text}, "") == [
        Variable("A", "int", example="1", listed=True), Variable("B", example="x y", listed=True), Variable("C", listed=True),
        Variable("D", "bool", example="true", listed=True), Variable("API_TOKEN", secret=True, example="abc", listed=True),
        Variable("URL", "url", example="https://example.com", listed=True),
        Variable("DB", "dsn", secret=True, example="postgresql://u:p@h/d", listed=True),
    ]


def test_variables_of_settings_classes() -> None:
    text = (
        "class Settings(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='SHOP_')\n    pages: int\n"
        "    token: str | None = None\n"
        "    cache: Optional[RedisDsn] = None\n    mode: Literal['a', 'b'] = 'a'\n    secret_key: str = Field(min_length=8)\n"
        "    limit: int = Field(default=3)\n    named: str = Field(alias='NAMED')\n    _private: int = 1\n    LIST: ClassVar[int] = 2\n"
    )
    assert variables({"app/settings.py": text}, "") == [
        Variable("SHOP_PAGES", "int"), Variable("SHOP_TOKEN", required=False, secret=True),
        Variable("SHOP_CACHE", "dsn", required=False, secret=True), Variable("SHOP_MODE", "enum", required=False, choices=("a", "b")),
        Variable("SHOP_SECRET_KEY", secret=True), Variable("SHOP_LIMIT", "int", required=False), Variable("NAMED"),
    ]


def test_code_that_the_controllers_python_cannot_read_is_passed_over() -> None:
    assert variables({"a.py": "class S(BaseSettings):\n    a: int\n    def f(: pass\n"}, "") == []


def test_no_secret_of_an_example_is_written_down() -> None:
    example = "OPENAI_API_KEY=sk-abcdef\nDATABASE_URL=postgresql://me:hunter2@db/x\nJWT_SECRET=hunter3\nREDIS_PASSWORD=hunter4\n"
    inventory = Inventory(detect({"main.py": FASTAPI, ".env.example": example}), Place("shop", "https://git.example.com/shop.git", "v1"))
    text = "".join(inventory.files().values())
    assert [word for word in ("sk-abcdef", "hunter") if word in text] == []
    assert any("OPENAI_API_KEY" in todo for todo in inventory.todos())


FACTORY = {
    "main.py": "from project import create_app\n\napp = create_app()\ncelery = app.celery_app\n",
    "project/__init__.py": "from fastapi import FastAPI\n\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n",
    "project/celery_utils.py": (
        "from celery import current_app as current_celery_app\n\n\ndef create_celery():\n    celery_app = current_celery_app\n"
        "    return celery_app\n"
    ),
    "project/config.py": 'import os\nfrom kombu import Queue\nQUEUES = (Queue("default"), Queue("low"))\nCELERY_BEAT_SCHEDULE = {}\n'
                         'BROKER = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")\n',
    "alembic.ini": "[alembic]\n", "alembic/env.py": "from project import create_app\nfastapi_app = create_app()\n",
    "requirements.txt": "fastapi\n",
}


def written(files: dict[str, str], app: str = "") -> str:
    return "".join(Inventory(detect(files, app), Place("shop", "https://git.example.com/shop.git", "v1")).files().values())


def test_an_application_that_a_function_makes() -> None:
    found = detect(FACTORY)
    assert shown(found) == ("FastAPI", "", "main:app", "")
    assert found.celery is not None
    assert (found.celery.app, found.beat, found.alembic, found.queues) == ("main:celery", True, "alembic.ini", ["default", "low"])
    text = written(FACTORY)
    wanted = ["celery: \"main:celery\"", "broker: CELERY_BROKER_URL", "queues: [default, low]", "migrations: {", "app: \"main:app\""]
    assert [words for words in wanted if words not in text] == []


@pytest.mark.parametrize(
    ("files", "web", "celery"),
    [
        ({"wsgi.py": "import shop\napp = shop.create_app('x')\n",
          "shop.py": "def create_app(name):\n    return Flask(name)\n"}, "wsgi:app", None),
        ({"main.py": "def make():\n    return build()\ndef build():\n    a = fastapi.FastAPI()\n    return a\napp = make()\n"},
         "main:app", None),
        ({"main.py": "from elsewhere import create_app\napp = create_app()\n"}, None, None),
        ({"w.py": "from .c import create_celery as make\ncelery = make()\n", "c.py": FACTORY["project/celery_utils.py"]}, None, "w:celery"),
        ({"w.py": "from celery import current_app\nqueue = current_app\n"}, None, "w:queue"),
        ({"main.py": "from x import create_app\napp = create_app()\n", "x.py": "def create_app(: pass\n"}, None, None),
        ({"shop/web.py": "def create_app():\n    return FastAPI()\n"}, "shop.web:create_app", None),
        ({"shop/web.py": "def create_app(settings):\n    return FastAPI()\n"}, None, None),
    ],
    ids=["of a module", "by another function", "of a package", "celery, renamed", "current_app", "not readable", "the function alone",
         "which needs something"],
)
def test_what_functions_make(files: dict[str, str], web: str | None, celery: str | None) -> None:
    found = detect(files)
    assert (found.web and found.web.app, found.celery and found.celery.app) == (web, celery)


def test_a_function_is_called_by_the_server() -> None:
    assert "--factory" in written({"shop/web.py": "def create_app():\n    return FastAPI()\n"})


def test_migrations_stay_where_no_application_is_found() -> None:
    files = {"backend/alembic.ini": "", "backend/requirements.txt": "psycopg2-binary\n", "backend/strange.py": "app = Strange()\n"}
    found = detect(files)
    assert (found.web, found.alembic, found.packages) == (None, "alembic.ini", {"psycopg2-binary"})
    text = written(files)
    assert "-e app=module:object" in text
    assert "#   migrations: {}" in text
    assert "postgres: {role: postgres" in text or "role: postgres" in text
    named = detect(files, "strange:app")
    assert shown(named) == ("application", "backend", "strange:app", "")
    assert "    migrations: {}" in written(files, "strange:app")


@pytest.mark.parametrize("app", ["strange", "other:app", "strange:a b"])
def test_an_application_that_is_named_and_not_there(app: str) -> None:
    with pytest.raises(LookupError, match="app: "):
        detect({"strange.py": "app = Strange()\n"}, app)


def test_nothing_recognised_says_how_to_name_it() -> None:
    inventory = Inventory(detect({"README.md": "words"}), Place("shop", "https://git.example.com/shop.git", "v1"))
    assert [todo for todo in inventory.todos() if "-e app=module:object" in todo]


def test_variables_that_code_reads() -> None:
    text = (
        "import os\nfrom os import environ, getenv\nfrom decouple import config\nA = os.environ['A_KEY_OF']\nB = os.environ.get('B', 'x')\n"
        "C = getenv('C')\nD = int(environ['D'])\nE = config('E', default=1, cast=int)\nF = config('F')\nG = os.getenv('G') or 'x'\n"
        "environ['SET'] = '1'\nH = os.environ['HOME']\nDATABASE_URL = os.environ.get('DATABASE_URL', f'sqlite:///{A}')\n"
        "Q = os.environ.get('QUEUE', 'redis://127.0.0.1:6379/0')\nI = os.environ.get('not a name')\n"
    )
    assert variables({"app/config.py": text, "tests/test_x.py": "import os\nos.environ['T']\n"}, "") == [
        Variable("A_KEY_OF", secret=True), Variable("B", required=False), Variable("C"), Variable("D", "int"),
        Variable("E", "int", required=False), Variable("F"), Variable("G", required=False),
        Variable("DATABASE_URL", "dsn", required=False, secret=True),
        Variable("QUEUE", "dsn", required=False, secret=True, example="redis://127.0.0.1:6379/0"),
    ]


def test_an_example_knows_better_than_code() -> None:
    assert variables({".env.example": "B=7\n", "a.py": "import os\nos.environ.get('B')\n"}, "") == [Variable("B", "int", example="7")]


def files_of(files: dict[str, str]) -> dict[str, str]:
    return Inventory(detect(files), Place("shop", "/repo", "v1.0.0", "", "", False)).files()


def stack(files: dict[str, str]) -> str:
    return files_of(files)["group_vars/all/stack.yml"]


UV = """
[project]
name = "shop"
requires-python = ">=3.12,<3.14"
dependencies = ["fastapi>=0.115", "uvicorn"%s]
[dependency-groups]
dev = [
  "pytest",
  "alembic>=1.13",
]
[tool.alembic]
script_location = "alembic"
"""
POETRY = """
[tool.poetry.dependencies]
python = "^3.11"
fastapi = "*"
%s
[tool.poetry.group.dev.dependencies]
alembic = "^1.13"
"""
OLD = '[project]\ndependencies = ["fastapi"%s]\n[tool.uv]\nindex-strategy = "alembic"\ndev-dependencies = [\n  "alembic>=1",\n]\n'


@pytest.mark.parametrize(
    ("project", "more", "told"),
    [(UV, "", True), (UV, ', "alembic"', False), (POETRY, "", True), (POETRY, 'alembic = "1"', False), (OLD, "", True),
     (OLD, ", 'alembic[tz]>=1'", False), ("[project]\ndependencies = [%s]\n", "", False)],
)
def test_alembic_in_a_group_for_development_is_told(project: str, more: str, told: bool) -> None:
    files = {"main.py": FASTAPI, "alembic.ini": "", "uv.lock": "", "pyproject.toml": project % more}
    text = stack(files)
    assert ("TODO: alembic is in a group for development" in text) is told


@pytest.mark.parametrize(("lock", "told"), [("fastapi==1 --hash=sha256:0", True), ("alembic==1 --hash=sha256:0", False)])
def test_a_lock_without_alembic_is_told(lock: str, told: bool) -> None:
    text = stack({"main.py": FASTAPI, "alembic.ini": "", "requirements.lock": lock})
    assert ("TODO: requirements.lock does not name alembic" in text) is told


@pytest.mark.parametrize(
    ("said", "spec", "others"),
    [
        (UV % "", ">=3.12,<3.14", ["Debian 12 (3.11)"]), (POETRY % "", "^3.11", []), ("[project]\n", "", []),
        ("[project]\nrequires-python = '>=3.14'\n", ">=3.14", ["Debian 12 (3.11)", "Debian 13 (3.13)"]),
        ("[project]\nrequires-python = '==3.11.*'\n", "==3.11.*", ["Debian 13 (3.13)"]),
        ("[project]\nrequires-python = '~=3.12'\n", "~=3.12", ["Debian 12 (3.11)"]),
        ("[project]\nrequires-python = '>3.11, <=3.12.4'\n", ">3.11, <=3.12.4", ["Debian 13 (3.13)"]),
        ("[project]\nrequires-python = 'whatever'\n", "whatever", []), ("[project]\nrequires-python = '>=3'\n", ">=3", []),
    ],
)
def test_the_pythons_that_a_project_takes(said: str, spec: str, others: list[str]) -> None:
    assert requires_python(said) == spec
    assert unfit(spec) == others
    services = files_of({"main.py": FASTAPI, "pyproject.toml": said})["group_vars/all/services.yml"] if others else ""
    assert all(other in services for other in others)
    assert ("# release_python: " in services) is bool(others)


def test_a_lock_that_nothing_reads_is_named() -> None:
    files = {"apps/web/package.json": '{"dependencies": {"next": "15"}}', "bun.lock": ""}
    told = "no tool of a node reads this bun.lock: make package-lock.json, commit it, tag: npm install --package-lock-only"
    assert told in stack(files)
    del files["bun.lock"]
    assert "reads this yarn.lock" in stack({**files, "apps/web/yarn.lock": "__metadata:\n"}), "of Yarn 2 or newer"


@pytest.mark.parametrize(
    ("more", "lock"),
    [
        ({"apps/web/pnpm-lock.yaml": ""}, "pnpm-lock.yaml"),
        ({"apps/web/yarn.lock": "# yarn lockfile v1\n"}, "yarn.lock"),
        ({"pnpm-lock.yaml": "", "pnpm-workspace.yaml": "packages: [apps/*]\n"}, "../../pnpm-lock.yaml"),
        ({"package-lock.json": "", "package.json": '{"workspaces": ["apps/*"]}'}, "../../package-lock.json"),
    ],
)
def test_the_lock_of_a_page_or_of_its_workspace(more: dict[str, str], lock: str) -> None:
    page = detect({"apps/web/package.json": '{"dependencies": {"next": "15"}}', **more}).frontend
    assert page is not None
    assert (page.lock.name, page.lock.there) == (lock, True)


def test_the_lock_of_a_uv_workspace() -> None:
    own = {"services/api/main.py": FASTAPI, "services/api/pyproject.toml": "[project]\nname = 'api'\n"}
    files = {**own, "uv.lock": "", "pyproject.toml": ""}
    found = detect(files)
    assert found.lock is not None
    assert (found.path, found.lock.name, found.lock.there) == ("services/api", "../../uv.lock", True)


ROUTED = {
    "requirements.txt": "fastapi\ncelery\n",
    "app/main.py": "from fastapi import FastAPI\nfrom app.api.health import router as health_router\nfrom app.api import things\n\n"
                   'app = FastAPI()\napp.include_router(health_router)\napp.include_router(things.router, prefix="/v1")\n',
    "app/api/health.py": 'from fastapi import APIRouter\nrouter = APIRouter(tags=["health"])\n\n@router.get("/healthz")\n'
                         'def health(): ...\n',
    "app/api/things.py": 'from fastapi import APIRouter\nrouter = APIRouter()\n\n@router.get("/status")\ndef status(): ...\n',
    "app/tasks.py": 'from celery import Celery\ncelery_app = Celery("x")\n'
                    'celery_app.conf.update(task_routes={"app.tasks.one": {"queue": "slow"}})\n',
}


@pytest.mark.parametrize(
    ("more", "queues"),
    [
        ({}, ["celery", "slow"]),
        ({"docker-compose.yml": "command: celery -A app.tasks worker --queues=default,slow --concurrency=4\n"}, ["default", "slow"]),
        ({"compose.prod.yaml": 'command: ["celery", "-A", "app.tasks", "worker", "-Q", "fast,slow"]\n'}, ["fast", "slow"]),
        ({"Procfile": "worker: celery -A app.tasks worker -Qfast\n"}, ["fast"]),
        ({"Dockerfile": "CMD dig -Q nothing\n"}, ["celery", "slow"]),
        ({"app/config.py": '"""Celery."""\ntask_default_queue = "first"\n'}, ["first", "slow"]),
    ],
)
def test_the_queues_that_tasks_go_to(more: dict[str, str], queues: list[str]) -> None:
    assert detect({**ROUTED, **more}).queues == queues
    assert all(READ.search(path) for path in more)


def test_the_health_of_a_router_that_is_taken_as_it_is() -> None:
    assert detect(ROUTED).health == "/healthz"
    prefixed = {**ROUTED, "app/api/health.py": ROUTED["app/api/health.py"].replace("APIRouter(", 'APIRouter(prefix="/api", ')}
    assert detect(prefixed).health == ""
    inside = {**ROUTED, "app/main.py": ROUTED["app/main.py"].replace("(health_router)", '(health_router, prefix="/api")')}
    assert detect(inside).health == ""
    whole = ROUTED["app/main.py"].replace("from app.api.health import router as health_router", "from app.api import health")
    assert detect({**ROUTED, "app/main.py": whole.replace("health_router", "health.router")}).health == "/healthz"
