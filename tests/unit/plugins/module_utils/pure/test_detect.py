# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tree of files shows of the application in it."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.detect import Application, detect
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.detect_env import Variable, variables
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.inventory_text import Inventory, Place

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
         "uv pip compile --universal --generate-hashes --output-file requirements.lock requirements.txt"),
        ({"uv.lock": "", "pyproject.toml": ""}, "requirements.lock",
         "uv export --frozen --no-dev --no-emit-workspace --output-file requirements.lock"),
        ({"poetry.lock": "", "pyproject.toml": ""}, "requirements.lock", "poetry export --only main --output requirements.lock"),
    ],
)  # fmt: skip
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
        ({"apps/web/package.json": '{"dependencies": {"next": "15"}}', "pnpm-lock.yaml": ""}, ("apps/web", False, False)),
    ],
)  # fmt: skip
def test_a_page(files: dict[str, str], expected: tuple[str, bool, bool]) -> None:
    page = detect(files).frontend
    assert page is not None
    assert (page.path, page.lock.there, page.standalone) == expected


def test_variables_of_an_example() -> None:
    text = '# comment\nexport A=1\nB="x y"\nC=\nD=true # shown\nAPI_TOKEN=abc\nURL=https://example.com\nDB=postgresql://u:p@h/d\n'
    assert variables({".env.example": text}, "") == [
        Variable("A", "int", example="1"), Variable("B", example="x y"), Variable("C"), Variable("D", "bool", example="true"),
        Variable("API_TOKEN", secret=True, example="abc"), Variable("URL", "url", example="https://example.com"),
        Variable("DB", "dsn", secret=True, example="postgresql://u:p@h/d"),
    ]  # fmt: skip


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
    ]  # fmt: skip


def test_code_that_the_controllers_python_cannot_read_is_passed_over() -> None:
    assert variables({"a.py": "class S(BaseSettings):\n    a: int\n    def f(: pass\n"}, "") == []


def test_no_secret_of_an_example_is_written_down() -> None:
    example = "OPENAI_API_KEY=sk-abcdef\nDATABASE_URL=postgresql://me:hunter2@db/x\nJWT_SECRET=hunter3\nREDIS_PASSWORD=hunter4\n"
    inventory = Inventory(detect({"main.py": FASTAPI, ".env.example": example}), Place("shop", "https://git.example.com/shop.git", "v1"))
    text = "".join(inventory.files().values())
    assert [word for word in ("sk-abcdef", "hunter") if word in text] == []
    assert any("OPENAI_API_KEY" in todo for todo in inventory.todos())
