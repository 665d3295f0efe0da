# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the dashboards: how they are drawn of answers, and that those that are committed show what there is."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURES, FILES = ROOT / "docs/pictures", ROOT / "roles/grafana/files/dashboards"
DRAWN = runpy.run_path(str(PICTURES / "board.py"))
ASKED = runpy.run_path(str(PICTURES / "dashboards.py"))
AGAIN = "draw them again on a lab: make dashboards-picture"
WINDOW = (1_796_040_000, 1_796_043_600)
EMPTY = {"status": "success", "data": {"resultType": "matrix", "result": []}}


def matrix(*series: tuple[dict[str, str], list[float | str]]) -> dict[str, Any]:
    """An answer: a value each minute from the window's begin on."""
    result = [
        {"metric": labels, "values": [[WINDOW[0] + 60 * at, str(value)] for at, value in enumerate(values)]} for labels, values in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def board(*panels: dict[str, Any]) -> dict[str, Any]:
    """A dashboard of such panels below a heading, with one annotation."""
    heading = {"type": "row", "title": "A row", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}}
    marks = [{"name": "Deployments", "expr": "marks", "iconColor": "blue"}]
    return {"title": "Shop", "description": "What is sold", "panels": [heading, *panels], "annotations": {"list": marks}}


def panel(title: str, x: int = 0, unit: str = "short", kind: str = "timeseries", **more: Any) -> dict[str, Any]:
    """A panel with one query, which is called like the panel."""
    return {"type": kind, "title": title, "gridPos": {"x": x, "y": 1, "w": 8, "h": 8},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}},
            "targets": [{"expr": title, "legendFormat": "{{node}}"}], **more}


def drawn(answers: dict[str, Any], *panels: dict[str, Any]) -> ElementTree.Element:
    text = DRAWN["picture"](board(*panels), lambda expr, _instant: answers.get(expr, EMPTY), WINDOW, 60)
    assert text == DRAWN["picture"](board(*panels), lambda expr, _instant: answers.get(expr, EMPTY), WINDOW, 60)
    return ElementTree.fromstring(text)


def texts(picture: ElementTree.Element, kind: str = "") -> list[str]:
    return [str(one.text) for one in picture.iter("{http://www.w3.org/2000/svg}text") if not kind or kind in one.attrib["class"].split()]


def lines(picture: ElementTree.Element, kind: str = "l") -> list[str]:
    found = picture.iter("{http://www.w3.org/2000/svg}path")
    return [one.attrib["d"] for one in found if one.attrib["class"] == kind]


def test_a_matrix_is_lines_with_a_legend() -> None:
    answers = {"Load": matrix(({"node": "b"}, [0, 1, 0]), ({"node": "a"}, [2, 2, 2]))}
    picture = drawn(answers, panel("Load"))
    assert texts(picture, "h") == ["Shop", "A row"]
    assert texts(picture, "n") == ["Load"]
    assert len(lines(picture)) == len(lines(picture, "l k")) == 2
    assert [text for text in texts(picture) if text in "ab"] == ["a", "b"]
    assert "12:00 to 13:00 UTC, 2026-11-30" in texts(picture)
    level = min(lines(picture), key=len)  # what does not change is two points
    assert re.fullmatch(r"M[\d.]+ ([\d.]+)L[\d.]+ \1", level)


def test_series_in_another_order_make_the_same_text() -> None:
    one, other = ({"node": "a"}, [1.0, 2.0]), ({"node": "b"}, [3.0, 1.0])
    made = [DRAWN["picture"](board(panel("Load")), lambda expr, _now, given=given: {"Load": given}.get(expr, EMPTY), WINDOW, 60)
            for given in (matrix(one, other), matrix(other, one))]
    assert made[0] == made[1]


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    (line,) = lines(drawn({"Load": matrix(({"node": "a"}, [1, 1, "NaN", "+Inf", 1]))}, panel("Load")))
    assert line.count("M") == 2
    assert line.endswith("h.1")


def test_an_empty_answer_is_written() -> None:
    picture = drawn({}, panel("Certificates", description="Empty where nothing speaks TLS."))
    assert texts(picture)[-2:] == ["no data", "Empty where nothing speaks TLS."]
    assert lines(picture) == []
    only_nan = drawn({"Load": matrix(({"node": "a"}, ["NaN"]))}, panel("Load"))
    assert "no data" in texts(only_nan)


def test_a_failed_query_is_written_beside_what_answered() -> None:
    both = [{"expr": "good", "legendFormat": "{{node}}"}, {"expr": "bad", "legendFormat": "{{node}}"}]
    answers = {"good": matrix(({"node": "a"}, [1, 2])), "bad": {"status": "error", "error": "parse error: unexpected <by>"}}
    picture = drawn(answers, panel("Load", targets=both))
    assert len(lines(picture)) == 1
    assert "not answered: parse error: unexpected <by>" in " ".join(texts(picture))
    assert "no data" not in texts(picture)
    assert "not answered: no answer" in " ".join(texts(drawn({"Load": {}}, panel("Load"))))


def test_a_stat_is_its_figure() -> None:
    answer = {"status": "success", "data": {"result": [{"metric": {"node": "a"}, "value": [WINDOW[1], "2048"]}]}}
    picture = drawn({"Free": answer}, panel("Free", unit="bytes", kind="stat"))
    assert texts(picture)[-2:] == ["2 KiB", "a"]
    assert "no data" in texts(drawn({}, panel("Free", kind="stat")))
    assert "not answered: too slow" in texts(drawn({"Free": {"status": "error", "error": "too slow"}}, panel("Free", kind="stat")))


def test_what_happened_is_a_line_in_each_panel_and_told_once() -> None:
    labels = {"event": "deployment", "release": "v2", "outcome": "ok"}
    at = (WINDOW[0] + 600) * 1000
    before = {**labels, "component": "old", "release": "v1"}
    marks = matrix(({**labels, "component": "worker"}, [at + 60_000]), ({**labels, "component": "api"}, [at, at]),
                   (before, [(WINDOW[0] - 60) * 1000]))
    values = matrix(({"node": "a"}, [1, 2]))
    picture = drawn({"marks": marks, "Load": values, "Disk": values}, panel("Load"), panel("Disk", 8))
    assert len(lines(picture, "l v")) == 2 * 2
    assert [text for text in texts(picture) if "deployment" in text] == ["deployment v2 ok, 12:10 to 12:11 (api, worker)"]
    failed = drawn({"marks": {"status": "error", "error": "too many samples"}}, panel("Load"))
    assert "Deployments: not answered: too many samples" in texts(failed)


def test_more_series_than_the_legend_has_room_for_are_counted_and_those_that_moved_are_named() -> None:
    many = [({"node": f"a rather long name of a node, number {at:02}"}, [1.0, 1.0]) for at in range(30)]
    picture = drawn({"Load": matrix(*many, ({"node": "the one that moved"}, [0, 1]))}, panel("Load"))
    assert "the one that moved" in texts(picture)
    (rest,) = [text for text in texts(picture) if text.startswith("and ")]
    assert len(lines(picture)) == 31 == len(lines(picture, "l k")) + int(rest.split()[1])


def test_what_is_too_long_is_cut() -> None:
    picture = drawn({"Load" * 30: matrix(({"node": "n" * 200}, [1]))}, panel("Load" * 30))
    assert all(DRAWN["width"](text, 11) < 1000 / 3 for text in texts(picture, "m"))
    assert [text[-1] for text in texts(picture, "n")] == ["…"]


@pytest.mark.parametrize(("value", "unit", "shown"), [
    (0, "short", "0"), (1234, "short", "1.23 K"), (0.25, "short", "0.25"),
    (0.1234, "percentunit", "12.3%"), (1, "percentunit", "100%"), (12, "percentunit", "1200%"),
    (1536, "bytes", "1.5 KiB"), (0, "bytes", "0 B"), (1500, "Bps", "1.5 kB/s"),
    (0.0042, "s", "4.2 ms"), (0, "s", "0 s"), (90, "s", "1.5 min"), (7200, "s", "2 h"), (172800, "s", "2 days"),
    (3, "reqps", "3"), (3, "nobody knows", "3"),
])
def test_a_figure_has_its_unit(value: float, unit: str, shown: str) -> None:
    assert DRAWN["figure"](value, unit) == shown


@pytest.mark.parametrize(("top", "unit", "whole", "shown"), [
    (1, "short", True, "0 1"), (3, "short", True, "0 1 2 3"), (1, "percentunit", False, "0 25% 50% 75% 100%"),
    (300 * 2**20, "bytes", True, "0 100 MiB 200 MiB 300 MiB"), (5400, "s", False, "0 0.5 h 1 h 1.5 h"),
    (75_300, "s", False, "0 10 h 20 h 30 h"), (0.0093, "s", False, "0 2.5 ms 5 ms 7.5 ms 10 ms"), (5300, "short", True, "0 2 K 4 K 6 K"),
])
def test_the_field_ends_at_a_round_figure(top: float, unit: str, whole: bool, shown: str) -> None:
    made = DRAWN["ticks"](top, unit, whole)
    assert " ".join(text for _value, text in made) == shown
    assert made[-1][0] >= top * 0.999
    assert all(DRAWN["width"](text, 11) <= DRAWN["LEFT"] - 6 for _value, text in made)


STAND_IN = """
import re, sys, urllib.parse
assert sys.argv[1:] == ["curl", "-K", "-"], sys.argv
for url in re.findall('url = "(.*)"', sys.stdin.read()):
    at = urllib.parse.urlsplit(url)
    asked = dict(urllib.parse.parse_qsl(at.query))
    good = '{"status": "success", "at": "%s %s"}' % (at.path, asked.get("time") or asked["step"])
    print({"a{}": good, "b": "<html>", "c": ""}[asked["query"]])
"""


def test_all_is_asked_by_one_command_elsewhere() -> None:
    on = shlex.join([sys.executable, "-c", STAND_IN])
    answers = ASKED["asked"](["query_range a{}", "query a{}", "query b", "query c"], "http://127.0.0.1:9090", on, WINDOW, 30)
    assert answers == {
        "query_range a{}": {"status": "success", "at": "/api/v1/query_range 30"},
        "query a{}": {"status": "success", "at": f"/api/v1/query {WINDOW[1]}"},
        "query b": {"status": "error", "error": "no JSON: <html>"},
        "query c": {"status": "error", "error": "no answer"},
    }


def test_nobody_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    on = shlex.join([sys.executable, "-c", "import sys; sys.exit('nobody there')"])
    assert ASKED["main"](["--on", on, "--to", str(tmp_path)]) == 1
    assert re.search(r"no Prometheus at http://127\.0\.0\.1:9090: 0 of \d+ answers, status 1; nobody there", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_saved_answers_are_drawn_and_those_that_failed_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in FILES.glob("*.json")]
    questions = [one for given in boards for one in ASKED["wanted"](given, "shop")]
    assert not [one for one in questions if re.search(r"\$[\w{]", one)], "a variable without a value"
    answers = {**dict.fromkeys(questions, EMPTY), questions[0]: {"status": "error", "error": "too slow"}}
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"application": "shop", "window": WINDOW, "step": 30, "answers": answers}), encoding="utf-8")
    assert ASKED["main"](["--saved", str(saved), "--to", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{questions[0]}: too slow\n"
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == sorted(f"dashboard-{path.stem}" for path in FILES.glob("*.json"))
    assert "it was not asked" not in "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg"))


def test_each_dashboard_has_a_picture() -> None:
    names = {f"dashboard-{path.stem}.svg" for path in FILES.glob("*.json")}
    assert {path.name for path in PICTURES.glob("dashboard-*.svg")} == names, AGAIN
    guide = (ROOT / "docs/guide-monitoring.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(pictures/(dashboard-[^)]+)\)", guide)) == names


@pytest.mark.parametrize("path", sorted(FILES.glob("*.json")), ids=lambda path: path.stem)
def test_the_picture_shows_each_panel_with_data(path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    file = PICTURES / f"dashboard-{path.stem}.svg"
    picture = ElementTree.fromstring(file.read_text(encoding="utf-8"))
    assert texts(picture, "n") == [panel["title"] for panel in given["panels"] if panel["type"] != "row"], AGAIN
    assert texts(picture, "h") == [given["title"], *(panel["title"] for panel in given["panels"] if panel["type"] == "row")], AGAIN
    assert file.stat().st_size <= 150_000
    assert not [text for text in texts(picture) if "not answered" in text], AGAIN
    assert texts(picture).count("no data") == (2 if path.stem == "system" else 0), "no door speaks TLS, and its night is to come"
    assert lines(picture, "l v"), "nothing had happened on that lab"
