# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines a store has already: asked where they may be sent for the second time, so that it gets those that it has lost.

VictoriaLogs keeps a line twice that comes twice, and says what it has. Loki drops the second one by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import Line
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.store import Away, Store

PUSH = "/insert/loki/api/v1/push"
"""Where VictoriaLogs takes lines; the rest of its paths stand beside it."""
QUERY, FLUSH = "/select/logsql/query", "/internal/force_flush"
LONGEST = 8 * 1024 * 1024
"""Bytes of an answer that are read; a portion of lines has far fewer numbers."""


class There:
    """Args:
        store: connected.
        stack, node: labels of the lines.
        say: gets a sentence where it cannot be asked.
    """

    def __init__(self, store: Store, stack: str, node: str, say: Callable[[str], None]) -> None:
        path = store.parts.path
        self._base = path[: -len(PUSH)] if path.endswith(PUSH) else None
        self._store, self._say = store, say
        self._whose = f"{{stack={json.dumps(stack)},node={json.dumps(node)}}}"
        self._until = 0
        self._late = False

    def doubt(self, until: int) -> None:
        """What was said before may be there: have the store show all that it has taken.

        Args:
            until: microseconds since 1970.

        Raises:
            Away: see there.
        """
        late, self._late = self._late, False
        self._until = 0 if late else until
        if self._base is not None and not late:  # a store that is lost over a question is not asked it again and again
            self._ask(FLUSH, {})

    def missing(self, lines: Sequence[Line]) -> list[Line]:
        """The lines that the store does not have, as far as it says.

        Raises:
            Away: see there.
        """
        doubtful = [line.time for line in lines if line.time <= self._until and self._base is not None]
        if not doubtful:
            return list(lines)
        start, end = min(doubtful) * 1000, (max(doubtful) + 1) * 1000
        status, said = self._ask(QUERY, {"query": f"{self._whose} | fields id", "start": str(start), "end": str(end)})
        try:
            if status != 200 or len(said) >= LONGEST:
                raise ValueError(f"status {status}: {excerpt(said, 120)}")
            there = {json.loads(row)["id"] for row in said.splitlines() if row != "{}"}
        except (ValueError, KeyError, TypeError) as no:
            self._until = 0
            self._say(f"{self._store.place} does not say which lines it has ({no}): some may be there twice")
            return list(lines)
        return [line for line in lines if line.id not in there]

    def _ask(self, path: str, form: dict[str, str]) -> tuple[int, str]:
        try:
            return self._store.ask(f"{self._base}{path}", form, LONGEST)
        except Away:
            self._late = True
            raise
