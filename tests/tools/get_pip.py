# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip.py that `ansible-test --venv` downloads from a host of its own.

`ensurepip` brings the pip of the interpreter, which then installs the pip that was asked for from the machine's own
package index. ansible-test finds this file as ~/.ansible/test/cache/get_pip_<version>.py of a private HOME.
"""

from __future__ import annotations

import ensurepip
import subprocess
import sys

NOT_FOR_PIP = ("--no-setuptools", "--no-wheel")


def main() -> int:
    """Install pip into the interpreter that runs this; return the exit status."""
    ensurepip.bootstrap()
    arguments = [argument for argument in sys.argv[1:] if argument not in NOT_FOR_PIP]
    return subprocess.run([sys.executable, "-m", "pip", "install", "--upgrade", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
