# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository is somebody else's text: what an inventory takes over of it is data, and never a template or a line of its own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import detect
from ansible_collections.phasegate.aistack.plugins.module_utils.init.inventory import Inventory, Place
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack

EVIL = "{{lookup('pipe','id')}}"
SETTINGS = f"""
from typing import Literal
from fastapi import FastAPI
from pydantic_settings import BaseSettings
app = FastAPI()
class Settings(BaseSettings):
    stage: Literal["{EVIL}", "b"]
"""
FILES = {
    "main.py": SETTINGS, "requirements.lock": "", f"{EVIL}/tasks.py": "from celery import Celery\napp = Celery('x')\n",
    f"web-{EVIL}/package.json": '{"dependencies": {"next": "15"}}', f"web-{EVIL}/.env.example": f"NEXT_PUBLIC_API_URL=http://h:8000/{EVIL}\nB={EVIL}\n",
}


class Loader(yaml.SafeLoader):
    """What is marked as no template, as such."""


Loader.add_constructor("!unsafe", lambda _this, node: ("unsafe", node.value))


def texts(value: Any) -> list[str]:
    """All texts that would be filled in."""
    if isinstance(value, dict):
        return [text for key, one in value.items() for text in [str(key), *texts(one)]]
    return [text for one in value for text in texts(one)] if isinstance(value, list) else [value] if isinstance(value, str) else []


def test_nothing_of_it_is_filled_in() -> None:
    made = Inventory(detect(FILES), Place("shop", "/repo", "v1.0.0", "", "", False)).files()
    assert "lookup('pipe'" in "".join(made.values()), "it is there, as data"
    for path, content in made.items():
        assert [text for text in texts(yaml.load(content, Loader)) if "pipe" in text] == [], path


@pytest.mark.parametrize("path", ["api/v1", "", "a~b.c-d"])
def test_the_path_of_an_address_stays(path: str) -> None:
    files = {"main.py": SETTINGS, "web/package.json": '{"dependencies": {"next": "15"}}', "web/.env.example": f"NEXT_PUBLIC_API_URL=http://h:8000/{path}\n"}
    made = Inventory(detect(files), Place("shop", "/repo", "v1.0.0", "", "", False)).files()
    value = yaml.load(made["group_vars/all/env.yml"], Loader)["aistack_env"]["web"]["values"]["NEXT_PUBLIC_API_URL"]
    assert value == "http://{{ aistack_address }}:{{ aistack_ports.api }}" + (f"/{path}" if path else "")


class Plain(Loader):
    """Comments gone, what is no template as its text."""


Plain.add_constructor("!unsafe", lambda _this, node: node.value)

SHOP = "from fastapi import FastAPI\nfrom pydantic_settings import BaseSettings\napp = FastAPI()\nclass Settings(BaseSettings):\n"
PAGE = {"web/package.json": '{"dependencies": {"next": "15"}}'}


def made(files: dict[str, str]) -> Inventory:
    return Inventory(detect(files), Place("shop", "/repo", "v1.0.0", "192.0.2.7", "ops"))


def environment(files: dict[str, str], component: str = "api") -> tuple[dict[str, Any], dict[str, Any]]:
    """Entries of the schema by name, and values."""
    section = yaml.load(made(files).files()["group_vars/all/env.yml"], Plain)["aistack_env"][component]
    return {entry["name"]: entry for entry in section["schema"]}, section["values"]


OF_TESTS = [
    "TEST_DATABASE_URL=postgresql://a:b@localhost/test", "DATABASE_TEST_URL=postgresql://a:b@localhost/test",
    "DATABASE_URL_TEST=postgresql://a:b@localhost/test", "test_redis_url=redis://localhost/9", "TEST_POSTGRES_HOST=localhost",
    "APP_TEST_POSTGRES_PASSWORD=x", "TEST_SECRET_KEY=x", "PYTEST_DATABASE_URL=",
]


@pytest.mark.parametrize("line", OF_TESTS)
def test_what_tests_read_is_never_pointed_at_the_stack(line: str) -> None:
    name = line.partition("=")[0]
    inventory = made({"main.py": SHOP + "    DATABASE_URL: str\n", ".env.example": f"{line}\nDATABASE_URL=postgresql://a:b@h/d\n"})
    files = inventory.files()
    described = {path: yaml.load(content, Plain) for path, content in files.items()}
    assert name not in str(described)
    assert name.lower() not in str(described)
    assert [todo for todo in inventory.todos() if todo.startswith("group_vars/all/env.yml: ") and name in todo]
    assert inventory.env.database_variable == "DATABASE_URL", "which migrations and backups take"


def test_a_database_of_tests_alone_makes_no_server() -> None:
    inventory = made({"main.py": SHOP, ".env.example": OF_TESTS[0]})
    files = inventory.files()
    assert "role: postgres" not in files["group_vars/all/stack.yml"]
    assert [todo for todo in inventory.todos() if "TEST_DATABASE_URL" in todo]
    assert yaml.load(files["group_vars/all/env.yml"], Plain) == {"aistack_env": {}}


def test_a_word_that_only_begins_like_test_stays() -> None:
    schema, values = environment({"main.py": SHOP, ".env.example": "TESTIMONIALS=3\nLATEST_PAGE=x\n"})
    assert list(schema) == ["TESTIMONIALS", "LATEST_PAGE"]
    assert values == {"TESTIMONIALS": "3", "LATEST_PAGE": "x"}


NUMBERS = (
    "    ACCESS_TOKEN_EXPIRE_SECONDS: int\n    SECRET_ROTATION: bool\n    TOKEN_LEEWAY: int | None = None\n"
    "    PASSWORD_MIN_LENGTH: float\n"
)


def test_a_number_is_no_secret() -> None:
    example = "ACCESS_TOKEN_EXPIRE_SECONDS=3600\nSECRET_ROTATION=true\nPASSWORD_MIN_LENGTH=8\n"
    typed, said = {"main.py": SHOP + NUMBERS}, {".env.example": example}
    for files in (typed, {**typed, **said}, {"main.py": SHOP, **said}):
        schema, values = environment(files)
        assert [name for name, entry in schema.items() if "secret" in entry] == [], files
        if ".env.example" in files:
            assert values["ACCESS_TOKEN_EXPIRE_SECONDS"] == "3600"
    code = "import os\nA = int(os.environ['ACCESS_TOKEN_EXPIRE_SECONDS'])\nB = int(os.environ['TOKEN_LEEWAY'])\n"
    for said in ("", "TOKEN_LEEWAY=3\n", "SECRET_NUMBER=3\n"):
        schema, _values = environment({"main.py": SHOP, "conf.py": code + "C = int(os.environ['SECRET_NUMBER'])\n", ".env.example": said})
        assert [name for name, entry in schema.items() if "secret" in entry] == [], said


@pytest.mark.parametrize("name", ["DB_PASSWORD", "API_TOKEN", "SECRET_KEY", "STRIPE_KEY"])
def test_a_secret_whose_example_is_a_number_is_one(name: str) -> None:
    files = {"main.py": SHOP, ".env.example": f"{name}=12345678\n"}
    schema, _values = environment(files)
    assert schema[name] == {"name": name, "type": "str", "secret": True}
    assert "12345678" not in "".join(made(files).files().values())


def test_what_only_the_example_names_is_not_required() -> None:
    files = {
        "main.py": SHOP + "    A: str\n    d: str\n", "conf.py": "import os\nB = os.environ['B']\nE = os.environ.get('E', 'x')\n",
        ".env.example": "A=1\nB=2\nC=x\nD=y\nE=z\nOPENAI_API_KEY=k\nREDIS_URL=redis://localhost\nEMPTY=\n",
    }
    schema, values = environment(files)
    assert [name for name, entry in schema.items() if entry.get("required")] == ["A", "B", "D"]
    assert (values["C"], values["E"]) == ("x", "z")
    todos = made(files).todos()
    assert [name for name in ("OPENAI_API_KEY", "EMPTY") if not any(f"knows {name}:" in todo for todo in todos)] == []


WEB = "http://{{ aistack_address }}:{{ aistack_ports.web }}"
API = "http://{{ aistack_address }}:{{ aistack_ports.api }}"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("FRONTEND_URL=http://localhost:3000", WEB), ("APP_FRONTEND_BASE_URL=http://127.0.0.1:3000/in/", f"{WEB}/in"),
        ("FRONTEND_HOST=http://localhost:5173", WEB), ("FRONTEND_ORIGIN=", WEB), ("WEB_URL=http://web:3000", WEB),
        ("API_BASE_URL=http://localhost:8000/v1", f"{API}/v1"), ("BACKEND_URL=http://localhost:8000", API),
        ("FRONTEND_URL=https://shop.example.com", "https://shop.example.com"), ("FRONTEND_HOST=localhost", "localhost"),
        ("PARTNER_API_URL=https://partner.example.com/v1", "https://partner.example.com/v1"),
        ("PARTNER_API_URL=", None), ("FRONTEND_HOST=", None), ("FRONTEND_URL=http://localhost:3000/in?from=x#top", f"{WEB}/in"),
        ("OPENAI_API_BASE=http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("FRONTEND_URL=http://localhost:3000/{{lookup('pipe','id')}}", WEB),
    ],
)
def test_addresses_of_the_stacks_own_components(line: str, value: str | None) -> None:
    _schema, values = environment({"main.py": SHOP, **PAGE, ".env.example": line + "\n"})
    assert values.get(line.partition("=")[0]) == value


@pytest.mark.parametrize(
    ("example", "value"),
    [
        ("http://localhost:3000", WEB), ("http://localhost,http://localhost:5173,https://localhost", WEB),
        ('["http://localhost:3000","http://127.0.0.1:3000"]', f'["{WEB}"]'), ('["*"]', '["*"]'), ("*", "*"),
        ("http://localhost:3000, https://shop.example.com", f"{WEB},https://shop.example.com"),
        ("http://localhost:3000,https://{{ lookup('pipe','id') }}", "http://localhost:3000,https://{{ lookup('pipe','id') }}"),
        ("https://shop.example.com", "https://shop.example.com"),
    ],
)
def test_lists_of_origins_name_the_stacks_page(example: str, value: str) -> None:
    for name in ("CORS_ORIGINS", "BACKEND_CORS_ORIGINS", "ALLOWED_ORIGINS", "CORS"):
        schema, values = environment({"main.py": SHOP, **PAGE, ".env.example": f"{name}={example}\n"})
        assert values[name] == value
        assert schema[name]["type"] in ("str", "url")
        assert "," not in example or schema[name]["type"] == "str"
    _schema, values = environment({"main.py": SHOP, ".env.example": f"CORS_ORIGINS={example}\n"})
    assert values["CORS_ORIGINS"] == example


def test_a_settings_class_asks_for_the_pages_address() -> None:
    _schema, values = environment({"main.py": SHOP + "    FRONTEND_URL: str = 'http://localhost:3000'\n", **PAGE})
    assert values["FRONTEND_URL"] == WEB


def test_without_a_page_its_address_stays_what_the_example_says() -> None:
    _schema, values = environment({"main.py": SHOP, ".env.example": "FRONTEND_URL=http://localhost:3000\n"})
    assert values["FRONTEND_URL"] == "http://localhost:3000"


def test_a_page_knows_its_own_address() -> None:
    example = "NEXT_PUBLIC_FRONTEND_URL=http://localhost:3000\nNEXT_PUBLIC_API_URL=http://localhost\n"
    files = {"main.py": SHOP, **PAGE, "web/.env.example": example}
    _schema, values = environment(files, "web")
    assert values == {"NEXT_PUBLIC_FRONTEND_URL": WEB, "NEXT_PUBLIC_API_URL": API}


def test_the_nodes_python_is_named() -> None:
    node = yaml.load(made({"main.py": SHOP}).files()["hosts.yml"], Plain)["all"]["children"]["aistack"]["vars"]
    assert node["ansible_python_interpreter"] == "/usr/bin/python3"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "have it tell AISTACK_RELEASE, and expect it"),
        ("os.environ['AISTACK_RELEASE']", "where it tells AISTACK_RELEASE, which its code reads, expect it"),
    ],
)
def test_where_no_answer_tells_the_release_its_process_does(code: str, told: str) -> None:
    files = {"main.py": f'{SETTINGS}\n@app.get("/health")\ndef health(): ...\n{code}\n'}
    stack = Inventory(detect(files), Place("shop", "/repo", "v1.0.0", "", "", False)).files()["group_vars/all/stack.yml"]
    assert f"# TODO: {told}" in stack
    gate = yaml.load(stack, Loader)["aistack_components"]["api"]["gate"]
    assert gate[-1] == {"name": "this release runs without restarts", "unit": "${unit}", "release": "${release}", "restarts": 0}


DOCKERFILE = {"Dockerfile": "FROM python:3.13\nEXPOSE 9000\n"}
TASKS = {"tasks.py": "from celery import Celery\napp = Celery('x')\napp.conf.beat_schedule = {}\n"}


def checked(files: dict[str, str], image: bool | None = None) -> tuple[dict[str, Any], list[str]]:
    """The stack that an inventory describes, which the check has nothing against, with a second node as well; and what is left to do."""
    inventory = Inventory(detect(files, image=image), Place("shop", "/repo", "v1.0.0", "192.0.2.10", "ops", False))
    said: dict[str, Any] = {}
    for path, content in inventory.files().items():
        said.update(yaml.load(content, Plain) if path != "hosts.yml" else {})
    stack = {key: said.get(f"aistack_{key}") or {} for key in ("phases", "components", "applications", "ports", "env")}
    described = yaml.load(inventory.files()["hosts.yml"], Plain)["all"]["children"]
    groups = {name: list(group["hosts"]) for name, group in described.items()}
    for nodes in (groups["aistack"], [*groups["aistack"], "node-2"]):
        assert check_stack({**stack, "acceptance": {}, "groups": {**groups, "aistack": nodes, "all": nodes}}) == []
    return said, inventory.todos()


def test_what_has_a_dockerfile_and_no_lock_file_is_an_image() -> None:
    said, todos = checked({**DOCKERFILE, "main.py": SHOP, "alembic.ini": "", ".env.example": "DATABASE_URL=postgresql://h/d\n"})
    api = said["aistack_components"]["api"]
    assert (api["role"], api["kind"], api["runtime"], api["options"]) == ("container", "image", "compose", {"port": 9000})
    assert (api["after"], api["migrations"]) == (["postgres", "docker", "edge"], {})
    assert "lock" not in api
    assert said["aistack_phases"]["phase0"]["components"][:3] == ["toolchain", "docker", "postgres"]
    assert "172.30.0.0/16" in [client["address"] for client in said["postgres_clients"]], "its containers reach the database of the node"
    assert [todo for todo in todos if "alembic.ini and its scripts are in the image" in todo]
    assert not [todo for todo in todos if "lock file" in todo]


def test_a_lock_file_goes_first_where_nobody_says_otherwise() -> None:
    files = {**DOCKERFILE, "main.py": SHOP, "requirements.txt": "fastapi==1 --hash=sha256:00\n"}
    assert checked(files)[0]["aistack_components"]["api"]["role"] == "backend"
    assert checked(files, True)[0]["aistack_components"]["api"]["role"] == "container"
    assert "docker" not in checked(files, False)[0]["aistack_components"]
    with pytest.raises(LookupError, match="no Dockerfile"):
        detect({"main.py": SHOP}, image=True)


def test_a_dockerfile_alone_is_an_application_in_whatever_language() -> None:
    said, todos = checked({"server/docker/Dockerfile": "FROM golang\n", "server/go.mod": ""})
    api = said["aistack_components"]["api"]
    assert (api["path"], api["options"]) == ("server/docker", {"port": 8000})
    assert api["gate"][0] == {"name": "listens", "tcp": "127.0.0.1:${port}"}
    assert [todo for todo in todos if "which port its process listens on (EXPOSE)" in todo]
    other = checked({"Dockerfile.dev": "", "Dockerfile.run": "EXPOSE 80"})[0]["aistack_components"]["api"]
    assert (other["image"], other["options"]) == ({"build": "Dockerfile.run"}, {"port": 80})


def test_tasks_run_the_same_image() -> None:
    components = checked({**DOCKERFILE, "main.py": SHOP, **TASKS})[0]["aistack_components"]
    worker, beat = components["worker"], components["beat"]
    assert (worker["release_from"], worker["runtime"], worker["options"]["command"][:3]) == ("api", "compose", ["celery", "-A", "tasks"])
    assert (beat["release_from"], beat["strategy"], beat["options"]["command"][3]) == ("api", "recreate", "beat")


def test_a_page_of_its_own_is_no_image_because_it_has_a_dockerfile() -> None:
    page = {"Dockerfile": "FROM node", "package.json": '{"dependencies": {"next": "15"}}', "package-lock.json": "{}"}
    assert checked(page)[0]["aistack_components"]["web"]["role"] == "frontend"
    assert "api" not in checked(page)[0]["aistack_components"]
