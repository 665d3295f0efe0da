# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print this machine's effective pip configuration as a pip.conf.

ansible-test hands neither PIP_* variables nor the user's own configuration on to the environments that it makes: this
carries them over. Usage: python tests/tools/pip_conf.py > HOME/.config/pip/pip.conf
"""

from __future__ import annotations

import ast
import subprocess
import sys


def main() -> int:
    """Merge `pip config list` into one section; what pip names first (the environment) wins."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        name, _, value = line.partition("=")
        settings.setdefault(name.rpartition(".")[2], str(ast.literal_eval(value)))
    print("[global]")
    for name, value in settings.items():
        print(f"{name} = " + value.replace("\n", "\n    "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
