# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first inventory of an application nobody told anything about: written from its repository alone, and valid as it is."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .test_inventories import ROOT, validate

SHOP = {
    "backend/app/main.py": 'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/healthz")\ndef health():\n    return {}\n',
    "backend/app/worker.py": 'from celery import Celery\n\ncelery = Celery("shop")\ncelery.conf.beat_schedule = {}\n',
    "backend/app/config.py": (
        "from typing import Literal\nfrom pydantic import HttpUrl, PostgresDsn, SecretStr\nfrom pydantic_settings import BaseSettings\n\n\n"
        "class Settings(BaseSettings):\n    DATABASE_URL: PostgresDsn\n    secret_key: SecretStr\n"
        "    stage: Literal['local', 'production'] = 'local'\n    pages: int = 10\n    openai_api_key: str\n    public_url: HttpUrl\n"
    ),
    "backend/alembic.ini": "[alembic]\nscript_location = migrations\n",
    "backend/pyproject.toml": '[project]\ndependencies = ["fastapi[standard]>=0.115", "sqlalchemy", "asyncpg", "celery[redis]>=5"]\n',
    "backend/requirements.lock": "fastapi==0.115.0 --hash=sha256:" + "0" * 64 + "\n",
    "backend/.env.example": (
        "DATABASE_URL=postgresql+asyncpg://shop:changethis@localhost/shop\nREDIS_URL=redis://localhost:6379/1\nSECRET_KEY=changethis\n"
        "TEST_DATABASE_URL=postgresql://shop:changethis@localhost/test\nFRONTEND_URL=http://localhost:3000\nTOKEN_EXPIRE_SECONDS=60\n"
        'PUBLIC_URL="http://localhost:3000"\nGREETING=hello {{ user }} # shown\n'
    ),
    "frontend/package.json": '{"dependencies": {"next": "15.0.0", "react": "19.0.0"}}',
    "frontend/package-lock.json": "{}",
    "frontend/next.config.mjs": "export default { output: 'standalone' };\n",
    "frontend/.env.example": "NEXT_PUBLIC_API_URL=http://localhost:8000/api\n",
}
DJANGO = {
    "manage.py": "",
    "shop/asgi.py": "from django.core.asgi import get_asgi_application\n\napplication = get_asgi_application()\n",
    "requirements.txt": "django==5.2\npsycopg[binary]\n",
    ".env.example": "POSTGRES_SERVER=localhost\nPOSTGRES_PORT=5432\nPOSTGRES_USER=me\nPOSTGRES_PASSWORD=changethis\nPOSTGRES_DB=app\n",
}
FACTORY = {
    "main.py": "from project import create_app\n\napp = create_app()\ncelery = app.celery_app\n",
    "project/__init__.py": "from fastapi import FastAPI\n\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n",
    "project/config.py": (
        'import os\n\nDATABASE_URL = os.environ.get("DATABASE_URL", "sqlite:///./db.sqlite3")\nKEY = os.environ["PARTNER_KEY"]\n'
        'CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")\nCELERY_BEAT_SCHEDULE = {}\n'
    ),
    "alembic.ini": "[alembic]\nscript_location = alembic\n",
    "requirements.txt": "fastapi\nuvicorn\ncelery\nredis\nalembic\npsycopg2-binary\n",
}
GUIDE = runpy.run_path(str(ROOT / "docs/site/guide_stack.py"))["FILES"]
UNSEEN = {"alembic.ini": "[alembic]\n", "requirements.txt": "psycopg2-binary\n", "odd.py": "app = Odd()\n"}
TESTED = {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", ".env.example": "TEST_DATABASE_URL=postgresql://a:b@h/d\n"}
NOTHING = {"README.md": "words"}
IMAGE = {"Dockerfile": "FROM python:3.13\nEXPOSE 9000\n", ".env.example": "DATABASE_URL=postgresql://h/d\n",
         "main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "alembic.ini": "",
         "jobs.py": "from celery import Celery\napp = Celery('jobs')\napp.conf.beat_schedule = {}\n"}


def repository(folder: Path, files: dict[str, str], *tags: str) -> Path:
    """A repository with these files and tags."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "first"], *(["tag", tag] for tag in tags)):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True, timeout=30)
    return folder


def init(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verb, as a pipeline runs it: without a terminal."""
    return subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", str(ROOT / "playbooks/init.yml"),
         "-e", f"dest={tmp_path / 'inventory'}", *arguments], cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )


def read(inventory: Path, name: str) -> Any:
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!unsafe", lambda this, node: this.construct_scalar(node))
    return yaml.load((inventory / "group_vars" / "all" / name).read_text(encoding="utf-8"), loader)


@pytest.mark.parametrize(
    "files", [SHOP, DJANGO, FACTORY, GUIDE, UNSEEN, TESTED, NOTHING, IMAGE],
    ids=["FastAPI, Celery, Next.js", "Django", "made by a function", "the guide", "migrations alone", "a database of tests alone",
         "nothing that is known", "an image"],
)
def test_what_it_writes_is_valid_as_it_is(tmp_path: Path, files: dict[str, str]) -> None:
    repo = repository(tmp_path / "repo", files, "v1.0.0")
    done = init(tmp_path, "-e", "stack=shop", "-e", f"repo={repo}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = validate(tmp_path / "inventory", tmp_path, "-e", f"aistack_secrets_dir={tmp_path / 'secrets'}")
    assert found.returncode == 0, found.stdout + found.stderr


SHOWN = """
- hosts: aistack
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: "{{ shown }}/{{ inventory_hostname }}.json"
        content: "{{ [aistack_env.api['values'], postgres_clients | map(attribute='address') | flatten] | to_json }}"
      delegate_to: localhost
"""


def test_a_second_node_finds_the_servers_of_the_first(tmp_path: Path) -> None:
    """It becomes one more line of a group: the application is on both, what there is once stays where it was and is found from both."""
    done = init(tmp_path, "-e", "stack=shop", "-e", f"repo={repository(tmp_path / 'repo', SHOP, 'v1.0.0')}", "-e", "address=192.0.2.7")
    assert done.returncode == 0, done.stdout + done.stderr
    hosts = tmp_path / "inventory" / "hosts.yml"
    lines = hosts.read_text(encoding="utf-8").splitlines()
    (node,) = [line for line in lines if "ansible_host: " in line]
    more = node.replace("node-1", "node-2").replace("192.0.2.7", "192.0.2.8")
    hosts.write_text("\n".join(two for line in lines for two in ([line, more] if line == node else [line])), encoding="utf-8")
    secrets = ("-e", f"aistack_secrets_dir={tmp_path / 'secrets'}")
    found = validate(tmp_path / "inventory", tmp_path, *secrets)
    assert found.returncode == 0, found.stdout + found.stderr
    play = tmp_path / "shown.yml"
    play.write_text(SHOWN, encoding="utf-8")
    shown = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(tmp_path / "inventory"), str(play), "-e", f"shown={tmp_path}", *secrets,
         "-e", "ansible_become=false", "-e", "ansible_python_interpreter={{ ansible_playbook_python }}"], cwd=ROOT, capture_output=True,
        text=True, timeout=60, check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    (first, clients), (second, _same) = (json.loads((tmp_path / f"node-{one}.json").read_text(encoding="utf-8")) for one in (1, 2))
    assert "@192.0.2.7:5432/" in first["DATABASE_URL"]
    assert (second["DATABASE_URL"], second["REDIS_URL"]) == (first["DATABASE_URL"], first["REDIS_URL"])
    assert clients == ["192.0.2.7/32", "192.0.2.8/32"], "it is let in"


def test_what_was_found_stands_where_it_belongs(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SHOP, "v1.9.0", "v1.10.0", "nightly")
    done = init(tmp_path, "-e", "stack=shop", "-e", f"repo={repo}", "-e", "address=192.0.2.7", "-e", "user=ops")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "reserved name" not in " ".join((done.stdout + done.stderr).split())
    wanted = ["shop at v1.10.0:", "FastAPI app.main:app", "Celery app.worker:celery, with a schedule", "Next.js in frontend", "left to do"]
    assert [words for words in wanted if words not in said] == []
    inventory = tmp_path / "inventory"
    stack, env = read(inventory, "stack.yml"), read(inventory, "env.yml")["aistack_env"]
    assert stack["aistack_applications"] == {"shop": {"repo": str(repo), "release": "v1.10.0"}}
    assert stack["aistack_phases"]["phase0"]["components"] == ["toolchain", "postgres", "redis", "edge", "backup"]
    assert stack["aistack_phases"]["phase1"]["components"] == ["api", "worker", "beat", "web"]
    api, worker, web = (stack["aistack_components"][name] for name in ("api", "worker", "web"))
    assert (api["path"], api["lock"], api["options"]) == ("backend", "requirements.lock", {"app": "app.main:app"})
    assert api["migrations"] == {}
    assert api["gate"][0] == {"name": "health", "http": "http://127.0.0.1:${port}/healthz"}
    assert (worker["release_from"], worker["env"], worker["options"]["app"]) == ("api", "api", "app.worker")
    assert (web["path"], web["lock"], web["output"], web["build_env"]) == (
        "frontend", "package-lock.json", "next-standalone", ["NEXT_PUBLIC_API_URL"],
    )
    schema = {entry["name"]: entry for entry in env["api"]["schema"]}
    assert schema["DATABASE_URL"] == {"name": "DATABASE_URL", "type": "dsn", "required": True, "secret": True}
    assert schema["STAGE"] == {"name": "STAGE", "type": "enum", "choices": ["local", "production"]}
    assert (schema["PAGES"]["type"], schema["PUBLIC_URL"]["type"]) == ("int", "url")
    assert "required" not in schema["OPENAI_API_KEY"], "nobody here knows it: a TODO"
    values = env["api"]["values"]
    assert "phasegate.aistack.dsn('postgresql+asyncpg'" in values["DATABASE_URL"]
    assert "database=1)" in values["REDIS_URL"]
    assert values["SECRET_KEY"] == "{{ aistack_secrets.secret_key }}"
    assert values["FRONTEND_URL"] == "http://{{ aistack_address }}:{{ aistack_ports.web }}"
    assert schema["TOKEN_EXPIRE_SECONDS"] == {"name": "TOKEN_EXPIRE_SECONDS", "type": "int"}
    assert "TEST_DATABASE_URL" not in {**schema, **values}
    assert values["GREETING"] == "hello {{ user }}"
    assert env["web"]["values"]["NEXT_PUBLIC_API_URL"] == "http://{{ aistack_address }}:{{ aistack_ports.api }}/api"
    written = "".join(path.read_text(encoding="utf-8") for path in inventory.rglob("*.yml"))
    assert "changethis" not in written
    todos = [line for line in written.splitlines() if "TODO: " in line]
    assert [line for line in todos if "OPENAI_API_KEY" in line], todos
    assert "192.0.2.7" in (inventory / "hosts.yml").read_text(encoding="utf-8")
    assert not (tmp_path / ".config").exists(), "secrets are made when they are used"


def test_an_application_that_is_not_found_is_missed_and_can_be_named(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", UNSEEN, "v1.0.0")
    named = ("-e", "stack=shop", "-e", f"repo={repo}")
    done = init(tmp_path, *named, "--check")
    said = " ".join(done.stdout.split())
    wanted = ["migrations by Alembic (alembic.ini)", "no web application was found (sought: FastAPI", "-e app=module:object"]
    assert [words for words in wanted if words not in said] == [], said
    refused = init(tmp_path, *named, "-e", "app=even:app")
    assert refused.returncode != 0
    assert "the tag has no file even.py" in " ".join(refused.stdout.split())
    done = init(tmp_path, *named, "-e", "app=odd:app")
    assert done.returncode == 0, done.stdout + done.stderr
    api = read(tmp_path / "inventory", "stack.yml")["aistack_components"]["api"]
    assert (api["options"], api["migrations"]) == ({"app": "odd:app"}, {})
    found = validate(tmp_path / "inventory", tmp_path, "-e", f"aistack_secrets_dir={tmp_path / 'secrets'}")
    assert found.returncode == 0, found.stdout + found.stderr


def test_what_is_there_stays(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", NOTHING, "v1.0.0")
    kept = tmp_path / "inventory" / "hosts.yml"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    done = init(tmp_path, "-e", "stack=shop", "-e", f"repo={repo}")
    assert done.returncode != 0
    assert "has hosts.yml already" in " ".join(done.stdout.split())
    assert [path.name for path in kept.parent.rglob("*")] == ["hosts.yml"]
    assert kept.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "has to know stack and repo: say -e stack=… -e repo=…"),
        (["-e", "stack=shop", "-e", "repo=/nope"], "that this user may see: check -e repo=…."),
        (["-e", "stack=shop", "-e", "repo=REPO"], "has no tags; releases are tags. Make one (git tag v1.0.0)"),
        (["-e", "stack=shop", "-e", "repo=REPO", "-e", "relase=v9"], "did you mean 'release'?"),
        (["-e", "name=shop", "-e", "repo=REPO"], "name: init.yml knows no such variable; did you mean 'stack'?"),
    ],
)
def test_what_it_cannot_do_is_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    repo = repository(tmp_path / "repo", NOTHING)
    done = init(tmp_path, *(argument.replace("REPO", str(repo)) for argument in arguments))
    assert done.returncode != 0
    assert words in " ".join(done.stdout.split()), done.stdout
    assert not (tmp_path / "inventory").exists()


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SHOP, "v1.0.0")
    done = init(tmp_path, "-e", "stack=shop", "-e", f"repo={repo}", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would write:" in done.stdout
    assert not (tmp_path / "inventory").exists()
