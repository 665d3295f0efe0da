# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a stack is removed whose node has nothing of it any more, what the controller keeps is left: it is shown, consented to, gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .test_inventories import ROOT

STACK = "removed-by-a-test"


def test_what_was_built_for_a_removed_stack_goes_from_the_controller(tmp_path: Path) -> None:
    built, secrets = tmp_path / "artefacts/shop/api", tmp_path / "secrets"
    for folder in (built, secrets):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    variables = {
        "aistack_name": STACK, "aistack_root": str(tmp_path / "opt"), "aistack_state": str(tmp_path / "state"),
        "aistack_address": "127.0.0.1", "aistack_ports": {"api": 8080, "api_blue": 18080, "api_green": 18081},
        "aistack_applications": {"shop": {"repo": "/none/shop.git", "release": "v1"}},
        "aistack_components": {
            "api": {"role": "backend", "hosts": "aistack", "application": "shop", "lock": "requirements.lock",
                    "options": {"app": "main:app"}},
        },
        "aistack_phases": {"phase0": {"title": "Service", "components": ["api"]}},
        "aistack_artefacts": {"folder": str(tmp_path / "artefacts")}, "aistack_secrets_dir": str(secrets),
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": {"aistack": {"hosts": {"node-1": {}}}}}}))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}

    def remove(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(tmp_path / "hosts.json"), "playbooks/remove.yml", "-e", f"stack={STACK}",
             *words], cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
            env={**clean, "ANSIBLE_NOCOLOR": "1"},
        )
        return done.returncode, done.stdout + done.stderr

    rc, said = remove()
    assert rc != 0
    assert f"this controller\n  would remove {built}\n" in said
    assert built.is_dir()
    rc, said = remove("-e", f"confirm={STACK}")
    assert rc == 0, said
    assert not built.exists()
    assert secrets.is_dir()
    assert f"stays: {secrets}: the stack's secrets" in said
