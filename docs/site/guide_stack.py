#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print docs/guide-stack.md: a whole stack, as init writes it for the repository that is shown there."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".collections"))  # before what is imported from there, so that those lines cannot stand on top

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import detect  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.init.inventory import Inventory, Place  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.release.lock_file import (  # noqa: E402 - see path
    COMPILE,
    EXPORTS,
    NPM_MAKE,
    NPM_WAY,
)

PAGE = ROOT / "docs" / "guide-stack.md"
TEXT = ROOT / "docs" / "site" / "guide-stack.md.in"
FILES = {
    "main.py": "from shop import create_app\n\napp = create_app()\ncelery = app.celery_app\n",
    "shop/__init__.py": (
        "from fastapi import FastAPI\n\nfrom shop.tasks import create_celery\n\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n"
        '    app.celery_app = create_celery()\n\n    @app.get("/health")\n    def health():\n'
        '        return {"status": "ok"}\n\n    return app\n'
    ),
    "shop/tasks.py": (
        "from celery import Celery\n\nfrom shop import config\n\n\ndef create_celery():\n"
        '    celery = Celery("shop", broker=config.CELERY_BROKER_URL)\n'
        '    celery.conf.beat_schedule = {"tidy": {"task": "shop.tidy", "schedule": 3600}}\n    return celery\n'
    ),
    "shop/config.py": (
        'import os\n\nDATABASE_URL = os.environ["DATABASE_URL"]\nCELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]\n'
        'SECRET_KEY = os.environ["SECRET_KEY"]\nPAGE_SIZE = int(os.environ.get("PAGE_SIZE", "20"))\n'
    ),
    "alembic.ini": "[alembic]\nscript_location = alembic\n",
    "requirements.txt": "alembic\ncelery\nfastapi\npsycopg2-binary\nredis\nsqlalchemy\nuvicorn\n",
    "requirements.lock": "fastapi==0.115.6 --hash=sha256:…\n",
}
"""The repository. What is made elsewhere (the lock file, Alembic's folder) is shown shortened."""
PLACE = Place("shop", "https://git.example.com/shop.git", "v1.0.0", "192.0.2.10", "ops")


def blocks(files: dict[str, str], folder: str = "") -> str:
    """Files, each below its path."""
    kinds = {".py": "python", ".yml": "yaml", ".ini": "ini"}
    return "".join(f"`{folder}{path}`\n\n```{kinds.get(Path(path).suffix, 'text')}\n{content}```\n\n" for path, content in files.items())


def locks() -> str:
    """What there is to the command that makes a lock file of it, as messages say it."""
    others = {"a lock of Bun": NPM_MAKE, "a lock of Yarn 2 or newer": "pnpm import"}
    ways = {"requirements.txt": COMPILE.format(source="requirements.txt"), **EXPORTS, **others}
    rows = [f"| {source if ' ' in source else '`' + source + '`'} | `{way}` |" for source, way in ways.items()]
    return "\n".join(["| there is | the command |", "| --- | --- |", *rows, "", f"Node.js: {NPM_WAY}.", ""])


def page() -> str:
    """The whole page."""
    written = Inventory(detect(FILES), PLACE).files()
    text = TEXT.read_text(encoding="utf-8")
    text = text.replace("@LOCKS@\n", locks())
    return text.replace("@REPOSITORY@\n", blocks(FILES)).replace("@INVENTORY@\n", blocks(written, "inventory/"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
