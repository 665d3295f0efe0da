# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a gate says to people: one line, and a block for each probe that did not pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ansible_collections.phasegate.aistack.plugins.module_utils.gate import verdict as v


def summary(rows: Sequence[v.ProbeRow], elapsed: float, why: str = "") -> str:
    """One line: how many probes passed, and the first that did not."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    words = {v.PASS: "passed", v.FAIL: "failed", v.ERROR: "could not be judged"}
    said = ", ".join(
        f"{counts[key]} {words.get(key, key)}" for key in (v.PASS, v.WAITING, v.FAIL, v.ERROR, v.INCONCLUSIVE, v.SKIPPED) if key in counts
    )
    bad = next((row for row in rows if row["verdict"] in (v.FAIL, v.ERROR, v.INCONCLUSIVE)), None)
    text = f"{len(rows)} probe{'s' if len(rows) != 1 else ''}: {said or 'nothing to judge'} in {elapsed:.1f} s"
    if bad is not None:
        label = f"{bad['component']}/{bad['name']}" if bad["component"] else bad["name"]
        text += f"; {label}: expected {bad['expected']}, got {bad['got']}"
    return f"{text}; {why}" if why else text


def still_lacks(passes: int, successes: int, held: float, wanted: float) -> str:
    """What a probe that passes lacks yet: passes in a row, or seconds for which it was well; empty where it lacks neither."""
    lacks = [f"{passes} of {successes} passes in a row"] if passes < successes else []
    lacks += [f"healthy for {math.floor(held * 10) / 10:.1f} of {wanted:g} s"] if held < wanted else []
    return f" ({', '.join(lacks)})" if lacks else ""


def failure_text(verdict: str, probes: Sequence[v.ProbeRow], elapsed: float) -> str:
    """The block that an operator reads when a gate did not pass."""
    beside = inventory_says(probes)
    probes = [row for row in probes if not row.get("judged_by")]
    bad = [row for row in probes if row["verdict"] not in (v.PASS, v.SKIPPED)]
    critical = [row for row in bad if row["severity"] != "warning"]
    words = {v.FAIL: "failed", v.ERROR: "could not be judged", v.INCONCLUSIVE: "saw too little by its deadline"}
    blocks = [f"The gate {words.get(verdict, verdict)}: {len(critical)} of {len(probes)} probes did not pass within {elapsed:.1f} s."]
    for row in [*critical, *(one for one in bad if one not in critical)]:
        label = f"{row['component']}/{row['name']}" if row.get("component") else row["name"]
        note = ", only a warning" if row["severity"] == "warning" else ""
        lines = [
            f"{label} ({row['type']}): {row['verdict']}{note}",
            f"  where     {row['where']}",
            f"  expected  {row['expected']}",
            f"  got       {row['got']}",
            f"  attempts  {row['attempts']} in {row['elapsed_s']:.1f} s"
            + (f", failed again {row['flaps']} times after it had passed" if row.get("flaps") else ""),
        ]
        lines += [f"  detail    {line}" for line in str(row.get("detail") or "").splitlines()[:8]]
        if row.get("log_tail"):
            lines.append(f"  log of {row.get('log_unit', 'the unit')}")
            lines += [f"    {line}" for line in row["log_tail"]]
        if row.get("hint"):
            lines.append(f"  what to do: {row['hint']}")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, *beside])


def inventory_says(probes: Sequence[v.ProbeRow]) -> list[str]:
    """A sentence for each component whose live release is judged by its own gate, where the inventory's gate of today says otherwise."""
    said = []
    for component in dict.fromkeys(row["component"] for row in probes if row.get("judged_by")):
        mine = [row for row in probes if row.get("component") == component]
        beside = [row for row in mine if row.get("judged_by")]
        counted = [row for row in mine if not row.get("judged_by") and row["severity"] != "warning"]
        bad = [row for row in beside if row["verdict"] not in (v.PASS, v.SKIPPED)]
        fails = [row for row in counted if row["verdict"] not in (v.PASS, v.SKIPPED)]
        live, does = beside[0]["live"], "does not pass" if fails else "passes"
        begin = f"{component}: {live} is live, and {does} the gate that it was activated with."
        if bad:
            told = "; ".join(f"{row['name']}: expected {row['expected']}, got {row['got']}" for row in bad)
            said.append(f"{begin} The inventory's gate of today says: {told}. What to do: {bad[0].get('hint')}")
        elif fails and all(row["verdict"] == v.PASS for row in beside):
            said.append(f"{begin} What the inventory's gate of today asks instead passes: site.yml makes it the gate of {live}")
    return said
