# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One dashboard as a picture, SVG: the panels of Grafana's JSON in their grid, over answers of Prometheus. `picture` is what is called.

Only the standard library; the same answers make the same text. An empty answer is written as "no data", a failed one as what failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from html import escape
from typing import Any

Answer = Mapping[str, Any]
Ask = Callable[[str, bool], Answer]
Points = list[tuple[float, float]]

WIDTH, EDGE, GAP = 1000, 16, 10
PLOT, TITLE, TIMES, LINE, STAT = 118, 38, 22, 16, 82
"""Heights in pixels: the field of lines, what is above and below it, a line of the legend, a panel with one figure."""
LEFT, RIGHT, LEGEND_LINES, SWATCH = 56, 12, 6, 18
COLORS = ("#4a7ebb", "#c9803a", "#4f9a63", "#b85c5c", "#8a6db5", "#3f9a9a", "#97764f", "#b8679a", "#6f8f3a", "#6878c4")
REST = "#8a94a0"
"""Of lines that the legend has no room for."""
MARKS = {"blue": "#3b82d6", "orange": "#dd8a2e", "purple": "#9a62d0", "red": "#d04545"}
STYLE = (
    ".b{fill:#f4f5f7}.p{fill:#fff;stroke:#dfe3e8}.t{fill:#1f2933}.m{fill:#5b6775}.g{stroke:#e4e7eb}"
    ".h,.n{font-weight:600}.l{fill:none;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}"
    ".v{stroke-width:1.2}.k{stroke-width:3}"
    "@media (prefers-color-scheme:dark){.b{fill:#111417}.p{fill:#1b1f24;stroke:#2c323a}.t{fill:#dde2e8}.m{fill:#98a3b0}.g{stroke:#2c323a}}"
)
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
NOTE = "Copyright (c) 2026 phasegate contributors, GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"

SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "short": ((1, ""), (1e3, " K"), (1e6, " M"), (1e9, " G")),
    "percentunit": ((0.01, "%"),),
    "bytes": ((1, " B"), (2**10, " KiB"), (2**20, " MiB"), (2**30, " GiB"), (2**40, " TiB")),
    "Bps": ((1, " B/s"), (1e3, " kB/s"), (1e6, " MB/s"), (1e9, " GB/s")),
    "s": ((1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " h"), (86400, " days"), (31557600, " years")),
}
"""Grafana's units: what a figure is divided by, and what stands behind it, from the smallest on."""
SAID = {"short": "", "percentunit": "share", "bytes": "bytes", "Bps": "bytes/s", "s": "time", "reqps": "requests/s", "ops": "operations/s"}
"""What stands in a panel's corner."""


def scale(value: float, unit: str) -> tuple[float, str]:
    """By what a figure of this size is divided, and what stands behind it; 0 has no size, and stands in the first that is at least 1."""
    steps = SCALES.get(unit, SCALES["short"])
    fitting = [step for step in steps if step[0] <= (abs(value) or 1)]
    return fitting[-1] if fitting else steps[0]


def figure(value: float, unit: str) -> str:
    """A figure as people read it."""
    factor, behind = scale(value, unit)
    return digits(value / factor) + behind


def digits(value: float) -> str:
    """Three digits, as far as they are needed."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ticks(top: float, unit: str, whole: bool) -> list[tuple[float, str]]:
    """Values for the lines of the field, from 0 to at least `top`, two to six of them, each as it is written: all in one unit.

    Args:
        top: the highest value that has to have room, over 0.
        unit: Grafana's name of the unit.
        whole: a step of less than 1 makes no sense.
    """
    factor, behind = scale(top, unit)
    rough = top / factor / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough * 0.999) * factor
    step = max(1.0, step) if whole else step
    values = [step * number for number in range(math.ceil(top / step - 0.001) + 1)]
    return [(value, digits(value / factor) + (behind if value else "")) for value in values]


def width(text: str, size: float) -> float:
    """How many pixels a text takes at most, about: fonts differ, and DejaVu is a wide one."""
    return size * sum(
        0.36 if letter in "iljI.,:;|'!()[] -/" else 0.93 if letter in "mwMW%@" else 0.72 if letter.isupper() else 0.62 for letter in text
    )


def cut(text: str, room: float, size: float) -> str:
    """A text that fits, with an ellipsis where it had to be cut."""
    if width(text, size) <= room:
        return text
    while text and width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def wrapped(text: str, room: float, size: float) -> list[str]:
    """A text in lines that fit."""
    lines: list[str] = []
    for word in text.split():
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(cut(word, room, size))
    return lines


def text_at(x: float, y: float, text: str, size: int = 11, kind: str = "m", anchor: str = "") -> str:
    """A text."""
    more = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" font-size="{size}"{more}>{escape(text)}</text>'


def clock(seconds: float) -> str:
    """The time of day."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M")


def named(legend: str, labels: Mapping[str, str]) -> str:
    """A legend with the labels in it; the labels alone where none is given."""
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    while "{{" in legend and "}}" in legend:  # a label that this series lacks
        legend = legend[: legend.index("{{")] + legend[legend.index("}}") + 2 :]
    return " ".join(legend.split()) or ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "value"


def read(target: Mapping[str, Any], answer: Answer) -> tuple[list[tuple[str, Points]], str]:
    """The series of an answer, each with its legend and the points that are numbers; and what failed, else nothing."""
    if answer.get("status") != "success":
        return [], str(answer.get("error") or "no answer")
    found = []
    for one in answer["data"]["result"]:
        values = one.get("values") or [one["value"]]
        points = [(float(when), float(value)) for when, value in values if math.isfinite(float(value))]
        if points:
            found.append((named(str(target.get("legendFormat") or ""), one["metric"]), points))
    return found, ""


def thinned(points: Points) -> Points:
    """The same line with fewer points: none that is left out is further than a quarter of a pixel away from it."""
    if len(points) < 3:
        return points
    (x1, y1), (x2, y2) = points[0], points[-1]
    off = [abs(y1 + (y2 - y1) * (x - x1) / (x2 - x1) - y) for x, y in points[1:-1]]
    worst = max(off)
    if worst <= 0.25:
        return [points[0], points[-1]]
    at = off.index(worst) + 1
    return thinned(points[: at + 1])[:-1] + thinned(points[at:])


def path(points: Points, gap: float, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> str:
    """A line's path; it is broken where nothing was measured for longer than `gap` seconds, and a point alone is a dot."""
    parts: list[Points] = []
    last = -math.inf
    for when, value in points:
        if when - last > gap:
            parts.append([])
        parts[-1].append((x_of(when), y_of(value)))
        last = when
    drawn = ""
    for part in parts:
        (x, y), *more = [(round(x, 1), round(y, 1)) for x, y in thinned(part)]
        drawn += f"M{x:g} {y:g}" + ("L" + " ".join(f"{x:g} {y:g}" for x, y in more) if more else "h.1")
    return drawn


def flow(entries: Iterable[tuple[str, str]], room: float, lines: int) -> list[tuple[float, int, str, str]]:
    """Legends beside each other, wrapped: x, line, colour, text. What has no room is counted in the last, which has no colour."""
    placed: list[tuple[float, int, str, str]] = []
    x, line = 0.0, 0
    for color, text in entries:
        shown = cut(text, room - SWATCH, 11)
        wide = SWATCH + width(shown, 11)
        if x and x + wide > room:
            x, line = 0.0, line + 1
        placed.append((round(x, 1), line, color, shown))
        x += wide + 8
    kept = [one for one in placed if one[1] < lines]
    if len(kept) == len(placed):
        return placed
    while True:
        at, line, _color, text = kept[-1]
        rest = f"and {len(placed) - len(kept)} more"
        x = at + SWATCH + width(text, 11) + 8
        if x + width(rest, 11) <= room:
            return [*kept, (round(x - SWATCH, 1), line, "", rest)]
        kept.pop()
        if not at:
            return [*kept, (-SWATCH, line, "", f"and {len(placed) - len(kept)} more")]


def legend_of(placed: list[tuple[float, int, str, str]], x: float, y: float) -> str:
    """Legends that have their places."""
    made = ""
    for at, line, color, text in placed:
        if color:
            made += f'<path class="l k" stroke="{color}" d="M{x + at:g} {y + line * LINE - 4:g}h12"/>'
        made += text_at(round(x + at + SWATCH, 1), y + line * LINE, text)
    return made


def _moved(one: tuple[str, Points]) -> tuple[float, float, str]:
    values = [value for _when, value in one[1]]
    return min(values) - max(values), -max(values), one[0]


class Panel:
    """A panel with its answers: what it shows, and how much room its legend wants."""

    def __init__(self, panel: Mapping[str, Any], answers: list[Answer], window: tuple[int, int]) -> None:
        self.title, self.about = str(panel["title"]), str(panel.get("description") or "")
        self.stat = panel["type"] == "stat"
        given = panel["fieldConfig"]["defaults"]
        self.unit, self.full, self.window = str(given.get("unit") or "short"), given.get("max"), window
        self.left: float = EDGE + panel["gridPos"]["x"] * (WIDTH - 2 * EDGE + GAP) / 24
        self.wide: float = panel["gridPos"]["w"] * (WIDTH - 2 * EDGE + GAP) / 24 - GAP
        self.series: list[tuple[str, Points]] = []
        self.failed: list[str] = []
        for target, answer in zip(panel["targets"], answers):
            series, failed = read(target, answer)
            self.series += sorted(series, key=lambda one: one[0])
            self.failed += [failed] if failed else []
        self.legend = self._legend()
        if any(not color for _x, _line, color, _text in self.legend):  # those that moved most are named
            self.series.sort(key=_moved)
            self.legend = self._legend()

    def _legend(self) -> list[tuple[float, int, str, str]]:
        entries = [(COLORS[number % len(COLORS)], name) for number, (name, _points) in enumerate(self.series)]
        return [] if self.stat else flow(entries, self.wide - 24, LEGEND_LINES)

    @property
    def height(self) -> int:
        """In pixels, as this panel alone would want it."""
        lines = self.legend[-1][1] + 1 if self.legend else 0
        return STAT if self.stat else TITLE + PLOT + TIMES + lines * LINE + 10

    def draw(self, top: float, height: float, step: int, marks: list[tuple[float, str]]) -> str:
        """The panel at its place.

        Args:
            top: where it begins, in pixels.
            height: how high it is, in pixels.
            step: seconds between two points.
            marks: when something happened, and the colour of that.
        """
        said = SAID.get(self.unit, self.unit)
        made = f'<rect class="p" x="{self.left:g}" y="{top:g}" width="{self.wide:g}" height="{height:g}" rx="5"/>'
        room = self.wide - 24 - (width(said, 11) + 8 if said else 0)
        made += text_at(self.left + 12, top + 21, cut(self.title, room, 13), 13, "t n")
        made += text_at(self.left + self.wide - 12, top + 21, said, anchor="end") if said else ""
        made += self._figures(top) if self.stat else self._lines(top, step, marks)
        return f"<g>{made}</g>\n"

    def _told(self, top: float, bottom: float) -> str:
        """What is written where there is nothing to draw, or not all of it."""
        middle, room = self.left + self.wide / 2, self.wide - 40
        lines = [line for failed in self.failed for line in wrapped(f"not answered: {failed}", room, 12)][:4]
        if not self.series and not self.failed:
            lines = ["no data", *wrapped(self.about, room, 12)[:3]]
        first = (top + bottom) / 2 + 4 - (len(lines) - 1) * 8
        return "".join(text_at(middle, first + 16 * number, line, 12, anchor="middle") for number, line in enumerate(lines))

    def _figures(self, top: float) -> str:
        if self.failed or not self.series:
            return self._told(top + 26, top + STAT - 8)
        shown = "   ".join(figure(points[-1][1], self.unit) for _name, points in self.series)
        made = text_at(self.left + 12, top + 60, cut(shown, self.wide - 80, 28), 28, "t")
        if len(self.series) == 1:
            made += text_at(self.left + 22 + width(shown, 28), top + 60, self.series[0][0], 12)
        return made

    def _lines(self, top: float, step: int, marks: list[tuple[float, str]]) -> str:
        left, right, upper, lower = self.left + LEFT, self.left + self.wide - RIGHT, top + TITLE, top + TITLE + PLOT
        start, end = self.window
        values = [value for _name, points in self.series for _when, value in points]
        whole = self.unit in ("short", "bytes") and all(value == int(value) for value in values)
        at = ticks(max(*values, self.full or 0, 0) or 1, self.unit, whole)
        made = ""

        def x_of(when: float) -> float:
            return left + (right - left) * (when - start) / (end - start)

        def y_of(value: float) -> float:
            return lower - PLOT * min(1.0, max(0.0, value / at[-1][0]))

        for tick, written in at if values else at[:1]:
            made += f'<path class="g" d="M{left:g} {y_of(tick):.1f}H{right:g}"/>'
            made += text_at(left - 6, round(y_of(tick) + 4, 1), written, anchor="end") if values else ""
        minutes = next((one for one in (1, 2, 5, 10, 15, 30, 60) if (end - start) / 60 / one <= 6), 120)
        for when in range(math.ceil(start / 60 / minutes) * 60 * minutes, end + 1, 60 * minutes):
            if left + 12 <= x_of(when) <= right - 12:
                made += text_at(round(x_of(when), 1), lower + 15, clock(when), anchor="middle")
        for mark, color in marks if values else []:
            made += f'<path class="l v" stroke="{color}" stroke-dasharray="3 3" d="M{x_of(mark):.1f} {upper:g}V{lower:g}"/>'
        shown = sum(1 for entry in self.legend if entry[2])
        for number, (_name, points) in reversed([*enumerate(self.series)]):
            color = COLORS[number % len(COLORS)] if number < shown else REST
            made += f'<path class="l" stroke="{color}" d="{path(points, step * 1.5, x_of, y_of)}"/>'
        return made + self._told(upper, lower) + legend_of(self.legend, self.left + 12, lower + TIMES + 15)


def happened(board: Mapping[str, Any], ask: Ask, window: tuple[int, int]) -> tuple[list[tuple[float, str]], list[tuple[str, str]]]:
    """The annotations in the window: when and in which colour; and what the head says of them, one line for what belongs together."""
    lines: set[tuple[float, str]] = set()
    groups: dict[tuple[str, str], list[tuple[float, str]]] = {}
    failed = []
    for one in board["annotations"]["list"]:
        color, answer = MARKS.get(one["iconColor"], REST), ask(one["expr"], False)
        if answer.get("status") != "success":
            failed.append((color, f"{one['name']}: not answered: {answer.get('error') or 'no answer'}"))
            continue
        for found in answer["data"]["result"]:
            labels = found["metric"]
            what = " ".join(filter(None, (labels.get("event", one["name"]), labels.get("release"), labels.get("outcome"))))
            for when in sorted({float(value) / 1000 for _at, value in found["values"]}):
                if window[0] <= when <= window[1]:
                    lines.add((when, color))
                    groups.setdefault((color, what), []).append((when, labels.get("component", "")))
    told = []
    for (color, what), places in sorted(groups.items(), key=lambda item: (min(item[1]), item[0])):
        times = [clock(when) for when, _component in sorted(places)]
        among = ", ".join(sorted({component for _when, component in places if component}))
        told.append((color, f"{what}, {times[0]}{'' if times[0] == times[-1] else f' to {times[-1]}'}{f' ({among})' if among else ''}"))
    return sorted(lines), told + failed


def picture(board: Mapping[str, Any], ask: Ask, window: tuple[int, int], step: int) -> str:
    """A dashboard as SVG.

    Args:
        board: Grafana's JSON.
        ask: gives the answer to an expression, as Prometheus' API says it; at the window's end alone where the second argument is true.
        window: from when to when, in seconds since 1970.
        step: seconds between two points.
    """
    marks, told = happened(board, ask, window)
    until = datetime.fromtimestamp(window[1], timezone.utc)
    head = flow(told, WIDTH - 2 * EDGE, 8)
    made = text_at(EDGE, 34, board["title"], 20, "t h")
    made += text_at(WIDTH - EDGE, 34, f"{clock(window[0])} to {clock(window[1])} UTC, {until.strftime('%Y-%m-%d')}", 12, anchor="end")
    made += text_at(EDGE, 56, str(board.get("description") or ""), 12) + legend_of(head, EDGE, 78) + "\n"
    top: float = 72 + (LINE * (head[-1][1] + 1) if head else 0)
    for y in sorted({panel["gridPos"]["y"] for panel in board["panels"]}):
        row = [panel for panel in board["panels"] if panel["gridPos"]["y"] == y]
        if row[0]["type"] == "row":
            made += text_at(EDGE + 2, top + 20, row[0]["title"], 13, "m h") + "\n"
            top += 30
            continue
        panels = [Panel(one, [ask(to["expr"], one["type"] == "stat") for to in one["targets"]], window) for one in row]
        height = max(panel.height for panel in panels)
        made += "".join(panel.draw(top, height, step, marks) for panel in panels)
        top += height + GAP
    size = f'viewBox="0 0 {WIDTH} {top + 6:g}"'
    label = escape(f"The dashboard {board['title']}: {board.get('description') or ''}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" role="img" aria-label="{label}">\n<!-- {NOTE} -->\n'
            f'<style>{STYLE}</style>\n<rect class="b" width="{WIDTH}" height="{top + 6:g}" rx="10"/>\n{made}</svg>\n')
