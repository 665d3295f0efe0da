# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of the benchmark: printed and written as they come, so that none is lost when something fails later."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class PartError(Exception):
    """A part of the benchmark cannot go on; the figures that it has so far, and the other parts, stand."""


class Figures:
    """Rows with part, at (UTC), name, value, unit, limit, ok, samples; a part that failed has one with the value null and an error.

    Args:
        path: JSON file; a table for people goes beside it, with the suffix ``.md``.
        fresh: ignore what the file holds; else the rows of parts that are not measured again stay.
    """

    def __init__(self, path: Path, fresh: bool) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = [] if fresh else _rows(path)
        self.part = ""
        self.measured: list[dict[str, Any]] = []

    def begin(self, part: str) -> None:
        """What comes now belongs to *part*; what it said earlier is forgotten."""
        self.part = part
        self.rows = [row for row in self.rows if row["part"] != part]
        self.write()

    def add(self, name: str, value: float, unit: str, limit: float | None, samples: Sequence[float] = ()) -> None:
        """Note a figure; ``limit`` None means that it is reported only."""
        ok = limit is None or value <= limit
        self._note(name, round(value, 3), unit, limit, ok, [round(sample, 3) for sample in samples])
        bound = "" if limit is None else f"limit {limit:g}"
        print(f"{'ok ' if ok else 'MISS'}  {name:<72} {value:>9.2f} {unit:<9} {bound}", flush=True)

    def fail(self, problem: str) -> None:
        """Note that the present part did not come to its end."""
        self._note("the part failed", None, "", None, False, [])
        self.rows[-1]["error"] = problem
        self.write()
        print(f"FAIL  {self.part}: {problem}", flush=True)

    def _note(self, name: str, value: float | None, unit: str, limit: float | None, ok: bool, samples: list[float]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        row = {"part": self.part, "at": at, "name": name, "value": value, "unit": unit, "limit": limit, "ok": ok, "samples": samples}
        self.rows.append(row)
        self.measured.append(row)
        self.write()

    def write(self) -> None:
        """Write all figures as JSON, and as a table."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for path, text in ((self.path, json.dumps(self.rows, indent=1) + "\n"), (self.path.with_suffix(".md"), self.markdown())):
            partial = path.with_name(f".{path.name}.part")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)

    def markdown(self) -> str:
        """The table for people."""
        lines = [f"Measured on {os.cpu_count()} processors. P: a one-task playbook on the same nodes.", ""]
        lines += ["| what | measured | limit | | samples | at (UTC) |", "| --- | ---: | ---: | --- | --- | --- |"]
        for row in self.rows:
            name = str(row["name"]).strip()
            value = f"{row['value']:.2f} {row['unit']}" if row["value"] is not None else ""
            limit = "" if row["limit"] is None else f"{row['limit']:g}"
            said = str(row.get("error", "")).split("\n", 1)[0].replace("|", "\\|") or ", ".join(f"{sample:g}" for sample in row["samples"])
            verdict = "missed" if not row["ok"] else "" if row["limit"] is None else "ok"
            what = f"{row['part']}: {name}" if row["value"] is None else name
            lines.append(f"| {what} | {value} | {limit} | {verdict} | {said} | {row['at'][:16].replace('T', ' ')} |")
        return "\n".join(lines) + "\n"


def _rows(path: Path) -> list[dict[str, Any]]:
    """What an earlier run left; nothing where it left nothing that has parts."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as problem:
        raise SystemExit(f"bench: {path} is not JSON ({problem}). Remove it, or measure everything") from problem
    return [row for row in rows if isinstance(row, dict) and "part" in row]
