# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that probes read from files on the node, and the masking of whatever might show them."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from ansible_collections.phasegate.aistack.plugins.module_utils.release.env_file import parse_env

MASK = "****"
_SECRET_KEY = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN|_URL$|_URI$|SALT", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:(?P<password>[^@\s/]+)@", re.IGNORECASE)
_SHOWN_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^@\s/]+(?P<tail>@)", re.IGNORECASE)
_SHORTEST = 4
"""Shorter values out of environment files are not masked: they would black out ordinary words."""


class Secrets:
    """Everything secret that was read during a gate. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()

    def read(self, path: str) -> str:
        """The secret in a file that holds nothing else; white space around it does not count.

        Raises:
            OSError: the file cannot be read.
        """
        value = Path(path).read_text(encoding="utf-8", errors="replace").strip()
        self.add(value)
        return value

    def environment(self, path: str) -> dict[str, str]:
        """An environment file in systemd's syntax; what its names say is secret, and passwords in addresses, are masked.

        Raises:
            OSError: the file cannot be read.
        """
        values = parse_env(Path(path).read_text(encoding="utf-8", errors="replace"))
        self.learn(values)
        return values

    def learn(self, values: Mapping[str, str]) -> None:
        """Remember what is secret among the values of an environment."""
        for name, value in values.items():
            inside = _URL_PASSWORD.search(value)
            if inside:
                for shown in (inside.group("password"), unquote(inside.group("password")), value):
                    self.add(shown, _SHORTEST)
            elif _SECRET_KEY.search(name) and "://" not in value:
                self.add(value, _SHORTEST)

    def add(self, value: str, shortest: int = 1) -> None:
        """Remember one secret, and each of its lines where it has several."""
        with self._lock:
            self._values.update(part for part in {value, *value.splitlines()} if len(part) >= shortest and part.strip())

    def mask(self, text: str) -> str:
        """The text without any secret; passwords in addresses go even where they were never read."""
        with self._lock:
            values = sorted(self._values, key=len, reverse=True)
        for value in values:
            text = text.replace(value, MASK)
        return _SHOWN_PASSWORD.sub(rf"\g<head>{MASK}\g<tail>", text)
