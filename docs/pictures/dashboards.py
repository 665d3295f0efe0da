# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pictures of Grafana's dashboards, docs/pictures/dashboard-<name>.svg: the panels' own queries, asked of a Prometheus.

    docs/pictures/dashboards.py --api http://127.0.0.1:9090 --on "lab/bin/lab ssh backend-1"
    docs/pictures/dashboards.py --saved build/dashboards.json

The answers are left in build/dashboards.json, from which the same pictures are drawn again without a Prometheus.
"""

from __future__ import annotations

import argparse
import json
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".collections"))  # before what is imported from there, so that those lines cannot stand on top

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import dashboards  # noqa: E402 - see path

FILES, PICTURES, SAVED = ROOT / "roles/grafana/files/dashboards", ROOT / "docs/pictures", ROOT / "build/dashboards.json"
EVERYTHING = dict.fromkeys(("stack", "node", "component", "slot"), ".*")
"""What Grafana puts in where everything is chosen."""


def question(expr: str, application: str, instant: bool) -> str:
    """A question as it is asked and as its answer is kept: the way, and the expression with values in the place of its variables."""
    values = {**EVERYTHING, "application": application, "__rate_interval": "1m"}
    return f"{'query' if instant else 'query_range'} {dashboards.filled(expr, values)}"


def wanted(board: Mapping[str, Any], application: str) -> list[str]:
    """The questions of a dashboard's panels and annotations."""
    found = [
        question(target["expr"], application, panel["type"] == "stat")
        for panel in board["panels"] for target in panel.get("targets", [])
    ]
    return found + [question(one["expr"], application, False) for one in board["annotations"]["list"]]


def asked(questions: list[str], api: str, on: str, window: tuple[int, int], step: int) -> dict[str, Any]:
    """The answers of a Prometheus, all by one curl; what is no JSON is an answer that failed.

    Args:
        questions: what `question` makes.
        api: the address of Prometheus, as where curl runs sees it.
        on: a command that runs another one elsewhere, and passes on its input and output; nothing for here.
        window: from when to when, in seconds since 1970.
        step: seconds between two points.

    Raises:
        RuntimeError: Prometheus is not reached.
    """
    lines = []
    for one in questions:
        way, expr = one.split(" ", 1)
        when = {"start": window[0], "end": window[1], "step": step} if way == "query_range" else {"time": window[1]}
        url = f"{api}/api/v1/{way}?{urlencode({'query': expr, **when})}"
        lines += [f'url = "{url}"', 'write-out = "\\n"', "silent", "show-error", "max-time = 30", "next"]
    command = [*shlex.split(on), "curl", "-K", "-"]
    done = subprocess.run(command, input="\n".join(lines[:-1]) + "\n", capture_output=True, text=True, check=False)
    answers = done.stdout.split("\n")[:-1]
    if len(answers) != len(questions) or not any(answers):
        raise RuntimeError(f"{shlex.join(command)}: no Prometheus at {api}: {len([*filter(None, answers)])} of {len(questions)} answers, "
                           f"status {done.returncode}; {done.stderr.strip()[-300:]}")
    return {one: _parsed(text) for one, text in zip(questions, answers)}


def _parsed(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return {"status": "error", "error": f"no JSON: {text[:80]}" if text else "no answer"}
    return found if isinstance(found, dict) else {"status": "error", "error": f"no answer of a Prometheus: {text[:80]}"}


def main(arguments: list[str] | None = None) -> int:
    """Ask, keep the answers, draw; 1 where a question failed or nobody answers."""
    parser = argparse.ArgumentParser(description="Draw pictures of Grafana's dashboards.")
    parser.add_argument("--api", default="http://127.0.0.1:9090", help="the address of Prometheus")
    parser.add_argument("--on", default="", help='a command that runs curl where that address is, e.g. "lab/bin/lab ssh backend-1"')
    parser.add_argument("--minutes", type=int, default=60, help="how far back it goes, 60 if left out, as the dashboards do")
    parser.add_argument("--application", default="sparklio", help="what the application calls its figures")
    parser.add_argument("--saved", type=Path, help="answers of an earlier run: nobody is asked")
    parser.add_argument("--to", type=Path, default=PICTURES, help="the folder of the pictures")
    given = parser.parse_args(arguments)
    boards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FILES.glob("*.json"))}
    if given.saved:
        kept = json.loads(given.saved.read_text(encoding="utf-8"))
    else:
        step = max(15, given.minutes // 2)
        end = int(time.time()) // step * step
        window = (end - given.minutes * 60, end)
        questions = list(dict.fromkeys(one for board in boards.values() for one in wanted(board, given.application)))
        try:
            answers = asked(questions, given.api, given.on, window, step)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        kept = {"application": given.application, "window": window, "step": step, "answers": answers}
        SAVED.parent.mkdir(exist_ok=True)
        SAVED.write_text(json.dumps(kept, indent=0), encoding="utf-8")
    picture = runpy.run_path(str(PICTURES / "board.py"))["picture"]
    nothing = {"status": "error", "error": "it was not asked"}

    def ask(expr: str, instant: bool) -> Any:
        return kept["answers"].get(question(expr, kept["application"], instant), nothing)

    for name, board in boards.items():
        target = given.to / f"dashboard-{name}.svg"
        target.write_text(picture(board, ask, tuple(kept["window"]), kept["step"]), encoding="utf-8")
        print(f"{target.name}: {target.stat().st_size} bytes")
    failed = [f"{one}: {answer.get('error')}" for one, answer in kept["answers"].items() if answer.get("status") != "success"]
    print("\n".join(failed), file=sys.stderr, end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
