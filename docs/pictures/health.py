# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Picture of the health table, from a real run on the running lab: docs/pictures/health.svg."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "ansible-playbook phasegate.aistack.healthcheck"
TARGET = ROOT / "docs" / "pictures" / "health.svg"


def main() -> int:
    """Run the command, draw what it printed; the status is that of the command."""
    name, *arguments = COMMAND.split()
    done = subprocess.run(
        [str(ROOT / ".venv" / "bin" / name), *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env=dict(os.environ, ANSIBLE_FORCE_COLOR="1"), stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        return done.returncode
    console = Console(record=True, width=86, file=io.StringIO())
    console.print(Text.from_ansi(f"$ {COMMAND}\n\n{done.stdout.strip()}"))
    picture = console.export_svg(title=COMMAND, theme=MONOKAI)
    # fonts come from the reader's own machine, not from the network
    picture = re.sub(r"@font-face \{.*?\}\n", "", picture, flags=re.DOTALL).replace("Fira Code", "monospace")
    TARGET.write_text(picture, encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(picture)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
