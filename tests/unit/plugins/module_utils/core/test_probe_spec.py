# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes: the short form, the canonical one, and what is said about those that make no sense."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import COMMON, Option, ProbeError, TypeSpec, normalise_with
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

ROOT = Path(sys.modules[normalise.__module__].__file__ or "").parents[6]
"""The folder that holds ansible_collections."""


def test_short_form_of_the_documentation():
    short = {"name": "health", "http": "http://127.0.0.1:${port}/health", "json": {"status": "ok"}, "severity": "critical"}
    assert normalise(short, "backend") == {
        "name": "health",
        "type": "http",
        "target": "http://127.0.0.1:${port}/health",
        "json": {"status": "ok"},
        "severity": "critical",
        "component": "backend",
    }


@pytest.mark.parametrize(
    "probe",
    [
        {"name": "a", "tcp": "h:1"},
        {"name": "a", "postgres": {"host": "h", "user": "u"}, "value": 1, "timeout": 3},
        {"name": "a", "redis": "h:1", "command": ["LLEN", "q"], "value": {"ge": 1}, "from": "web", "from_all": True},
        {"name": "a", "sequence": [{"tcp": "h:1"}, {"http": "http://h/", "until": True}]},
        {"name": "a", "port": 80, "unit": "haproxy.service"},
        {"name": "a", "port": 80, "process": "haproxy"},
        {"name": "a", "command": ["node", "--version"], "version": {"ge": "20"}},
        {"name": "a", "port": "${port}"},
        {"name": "a", "log": "x.service", "absent": "E", "log_unit": "y.service", "hosts": ["h"]},
    ],
)
def test_canonical_form_stays_as_it_is(probe):
    once = normalise(probe, "backend")
    assert normalise(once, None) == once
    assert normalise(once, "backend") == once


@pytest.mark.parametrize(
    ("probe", "key", "canonical"),
    [
        ({"http": "http://h", "status": "200"}, "status", 200),
        ({"http": "http://h", "status": [200, "204"]}, "status", {"in": [200, 204]}),
        ({"http": "http://h", "status": {"ge": "200", "lt": 300}}, "status", {"ge": 200, "lt": 300}),
        ({"http": "http://h", "status": "${port}"}, "status", "${port}"),
        ({"command": ["x"], "rc": [0, 1]}, "rc", {"in": [0, 1]}),
        ({"command": ["x"], "rc": "0"}, "rc", 0),
        ({"command": ["x"], "stdout": ["a", "b"]}, "stdout", {"in": ["a", "b"]}),
        ({"disk": "/", "free_gib": "2.5"}, "free_gib", 2.5),
        ({"unit": "x.service", "state": ["active", "activating"]}, "state", {"in": ["active", "activating"]}),
        ({"unit": "x.service", "restarts": "0"}, "restarts", 0),
        ({"usage": "cpu", "percent": "70"}, "percent", 70),
        ({"http": "http://h", "json": True}, "json", True),
        ({"http": "http://h", "json": {"a": [1, 2]}}, "json", {"a": [1, 2]}),
    ],
)
def test_what_is_expected_of_one_value_means_what_it_says(probe, key, canonical):
    once = normalise({"name": "a", **probe}, None)
    assert once[key] == canonical
    assert type(once[key]) is type(canonical)
    assert normalise(once, None) == once


def test_a_mapping_behind_the_type_is_its_options():
    assert normalise({"name": "a", "postgres": {"host": "h", "port": "5432"}}, None) == {
        "name": "a", "type": "postgres", "host": "h", "port": 5432, "severity": "critical",
    }


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"name": "a", "htp": "http://h"}, "no type: 'htp' (did you mean http?)"),
        ({"name": "a"}, "no type; give one of: alertmanager, backup, celery"),
        ({"name": "a", "type": "postgress", "target": "x"}, "unknown type 'postgress' (did you mean postgres?)"),
        ({"name": "a", "http": "http://h", "tcp": "h:1"}, "more than one type: http, tcp"),
        ({"name": "a", "http": "http://h", "jsn": {}}, "unknown key 'jsn' (did you mean json?)"),
        ({"name": "a", "http": "http://h", "severty": "warning"}, "unknown key 'severty' (did you mean severity?)"),
        ({"name": "a", "tcp": "h:1", "zzz": 1}, "unknown key 'zzz'; 'tcp' knows: host, port, refused"),
        ({"http": "http://h"}, "'name' is missing"),
        ({"name": "a", "http": "http://h", "severity": "fatal"}, "'fatal' is not one of critical, warning"),
        ({"name": "a", "http": "http://h", "status": "ok"}, "status: 'ok' is no number"),
        ({"name": "a", "http": "http://h", "status": True}, "status: true is no number"),
        ({"name": "a", "http": "http://h", "status": [200, "2xx"]}, "status: '2xx' is no number"),
        ({"name": "a", "http": "http://h", "status": []}, "status: an empty list says nothing"),
        ({"name": "a", "http": "http://h", "json": {}}, "json: an empty mapping says nothing"),
        ({"name": "a", "command": ["x"], "version": 3.1}, "version: 3.1 is a number to YAML, and 3.10 would be the same one; quote it"),
        ({"name": "a", "command": ["x"], "version": {"ge": 3.1}}, "version: 3.1 is a number to YAML"),
        ({"name": "a", "http": "http://h", "timeout": "soon"}, "timeout: 'soon' is not a number"),
        ({"name": "a", "http": "http://h", "json": {"a": {"gte": 1}}}, "json: a: unknown operator 'gte' (did you mean ge?)"),
        ({"name": "a", "http": "http://h", "json": "ok"}, "json: must be a mapping"),
        ({"name": "a", "http": "ftp://h"}, "does not begin with http"),
        ({"name": "a", "http": None}, "'http' needs a value"),
        ({"name": "a", "http": "http://h", "body": "("}, "is no regular expression"),
        ({"name": "a", "http": "http://h", "username": "u"}, "username and password_file belong together"),
        ({"name": "a", "process": "["}, "is no regular expression"),
        ({"name": "a", "port": 1.5}, "is not a whole number"),
        ({"name": "a", "tcp": "h:1", "refused": "yes"}, "must be true or false"),
        ({"name": "a", "command": "node --version"}, "must be a list"),
        ({"name": "a", "http": "http://h:${prot}/"}, "${prot} is not known (did you mean port?)"),
        ({"name": "a", "s3": "http://h"}, "'s3' needs bucket"),
        ({"name": "a", "postgres": {"host": "h"}, "host": "i"}, "'host' is given twice"),
        ({"name": "a", "log": "x"}, "needs present, absent"),
        ("health", "a probe is a mapping, this is a text"),
    ],
)
def test_problems_name_the_remedy(probe, said):
    with pytest.raises(ProbeError) as caught:
        normalise(probe, None)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "probe",
    [
        {"name": "a", "postgres": "h:1", "password": "x"},
        {"name": "a", "http": "http://user:pw@h/"},
        {"name": "a", "http": "http://h/", "headers": {"Authorization": "Bearer x"}},
        {"name": "a", "http": "http://h/", "headers": {"X-Api-Key": "x"}},
        {"name": "a", "http": "http://h/", "data": {"user": {"password": "x"}}},
        {"name": "a", "command": ["psql", "postgresql://u:p@h/d"]},
        {"name": "a", "command": ["env"], "environment": {"PGPASSWORD_TOKEN": "x"}},
        {"name": "a", "sequence": [{"redis": "redis://:p@h:1"}]},
    ],
)
def test_secrets_do_not_stand_in_probes(probe):
    with pytest.raises(ProbeError):
        normalise(probe, None)


def test_all_problems_at_once():
    with pytest.raises(ProbeError) as caught:
        normalise({"http": "http://h", "severity": "x", "jsn": 1, "timeout": -1}, None)
    assert len(caught.value.problems) == 4


def test_every_type_declares_what_can_be_judged():
    kinds = {"str", "int", "number", "bool", "list", "dict", "any", "regex", "expect", "scalar", "figure", "version", "answer", "paths",
             "tree", "probes", "capture"}
    for name, probe in REGISTRY.items():
        assert name == probe.type
        assert probe.hint, name
        options = [*probe.options.values(), *([probe.target] if probe.target else [])]
        assert all(option.kind in kinds and option.help for option in options), name
        assert not set(probe.options) & set(COMMON), name


def test_another_table_of_types_does_without_the_classes():
    types = {"ping": TypeSpec(Option("str", "host", required=True), {"count": Option("int", "how often")})}
    assert normalise_with(types, {"name": "a", "ping": "h", "count": 3}, None)["count"] == 3
    code = (
        "import sys; from ansible_collections.phasegate.aistack.plugins.module_utils.core import probe_spec; "
        "sys.exit(any('.probes' in name or name in ('socket', 'subprocess') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(ROOT)}, check=False).returncode == 0
