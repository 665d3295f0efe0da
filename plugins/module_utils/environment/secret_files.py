# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that probes read from files on the node, and the masking of whatever might show them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env, secrets_beside

_BETWEEN = "\n\x1e\n"


class Unreadable(OSError):
    """A file that a probe names is not there, or not for us to read: waiting changes nothing."""


class Secrets:
    """Everything secret that was read during a gate. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masker = Masker()

    def read(self, path: str) -> str:
        """The secret in a file that holds nothing else; white space around it does not count.

        Raises:
            Unreadable: the file cannot be read.
        """
        value = _text(path).strip()
        self.add(value)
        return value

    def environment(self, path: str) -> dict[str, str]:
        """An environment file in systemd's syntax; what is secret in it is masked.

        Raises:
            Unreadable: the file cannot be read.
        """
        values = parse_env(_text(path))
        self.learn(values, secrets_beside(path))
        return values

    def learn(self, values: Mapping[str, str], declared: Collection[str] = ()) -> None:
        """Remember what is secret among the values of an environment; *declared* are the names that its schema calls secret."""
        with self._lock:
            self._masker.learn(values, declared)

    def add(self, value: str, shortest: int = 1) -> None:
        """Remember one secret, unless it is shorter than *shortest* characters."""
        with self._lock:
            self._masker.add(value, shortest)

    def mask(self, text: str) -> str:
        """The text without any secret; passwords in addresses go even where they were never read."""
        with self._lock:
            return self._masker.mask(text)

    def mask_all(self, texts: Sequence[str]) -> list[str]:
        """Each text without any secret; all of them at once, since each look at all that is secret takes its time."""
        found = self.mask(_BETWEEN.join(texts)).split(_BETWEEN)
        if len(found) != len(texts):  # a text has what stands between them
            found = [self.mask(text) for text in texts]
        return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Unreadable(error.errno, error.strerror, str(path)) from error
