# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate's action plugin: its choice of hosts, its slices, what it prints."""

from __future__ import annotations

import json

import pytest

from ansible_collections.phasegate.aistack.plugins.action import gate as action

EVERYWHERE = {"name": "open", "tcp": "127.0.0.1:1"}
GROUPS = {"all": ["b1", "b2", "g1", "w1"], "backend": ["b1", "b2"], "gpu": ["g1"], "web": ["w1"]}


@pytest.mark.parametrize(
    ("probe", "in_play", "hosts"),
    [
        ({}, None, None),
        ({"hosts": "backend"}, None, ["b1", "b2"]),
        ({"hosts": ["gpu", "w1"]}, None, ["g1", "w1"]),
        ({"hosts": "gpu", "from": "backend"}, None, ["b1"]),
        ({"from": "backend", "from_all": True}, None, ["b1", "b2"]),
        ({"from": "w1"}, None, ["w1"]),
        ({"from": "backend"}, ["b2", "g1"], ["b2"]),
        ({"from": "web"}, ["b2", "g1"], []),
        ({"hosts": []}, None, []),
    ],
)
def test_which_hosts_ask(probe, in_play, hosts):
    assert action.Places(GROUPS, in_play or GROUPS["all"]).of(probe) == hosts


@pytest.mark.parametrize(
    ("probe", "absent"),
    [
        ({}, []),
        ({"hosts": "backend"}, ["b1"]),
        ({"from": "backend"}, []),
        ({"from": "backend", "from_all": True}, ["b1"]),
        ({"from": "web"}, ["w1"]),
    ],
)
def test_who_is_left_out(probe, absent):
    assert action.Places(GROUPS, ["b2", "g1"]).without(probe) == absent


def test_group_that_does_not_exist():
    with pytest.raises(LookupError, match="no group or host 'bakend' in the inventory"):
        action.Places(GROUPS, GROUPS["all"]).of({"from": "bakend"})


DESCRIBED = {
    "aistack_components": {"api": {"port": "api", "gate": []}, "web": {"unit": "{{ web }}.service"}, "beat": {}},
    "aistack_ports": {"api": 8000, "api_blue": 18000},
}


class FakeTask:
    check_mode = False
    async_val = 0

    def __init__(self, args):
        self.args = args


class Templar:
    """Fills in one name, as a stand-in for Ansible's."""

    def template(self, value):
        return json.loads(json.dumps(value).replace("{{ web }}", "nginx"))


@pytest.fixture
def act(monkeypatch):
    """Run the action plugin for a host; module calls are answered by ``answers`` in turn."""
    printed, calls, asked = [], [], []
    monkeypatch.setattr(action.display, "display", lambda text, *_a, **_k: printed.append(text))
    monkeypatch.setattr(action.display, "warning", lambda text, *_a, **_k: printed.append(text))
    monkeypatch.setattr(action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})

    def run(host, args, *answers, check=False, there=None, facts=None, own=None):
        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._task = FakeTask(args)
        plugin._task.check_mode = check
        waiting = iter(answers)

        def command(line, in_data, executable):
            printed.append(line)
            asked.append(json.loads(in_data))
            return {"rc": 127, "stdout": ""} if there is None else {"rc": 0, "stdout": json.dumps(there) + "\n"}

        def execute(module_name, module_args, task_vars, wrap_async):
            calls.append(module_args)
            return dict(next(waiting))

        plugin._execute_module = execute
        plugin._low_level_execute_command = command
        plugin._templar = Templar()
        variables = {"inventory_hostname": host, "groups": GROUPS, "ansible_play_hosts_all": GROUPS["all"], **DESCRIBED}
        variables["hostvars"] = {name: {"ansible_facts": found} for name, found in (facts or {}).items()}
        variables["ansible_facts"] = own or {}
        return plugin.run(task_vars=variables), calls, printed

    return run


def row(verdict, **more):
    return {
        "name": "health", "component": "backend", "type": "http", "severity": "critical", "verdict": verdict, "expected": "status 200",
        "got": "connection refused", "where": "vm", "attempts": 4, "elapsed_s": 3.0, **more,
    }


def answer(verdict, **more):
    return {"changed": False, "verdict": verdict, "probes": [row(verdict)], "elapsed_s": 3.0, "summary": "s", "msg": "m", **more}


def test_a_host_without_probes_is_not_contacted(act):
    result, calls, _printed = act("g1", {"probes": [{**EVERYWHERE, "hosts": "backend"}]})
    assert calls == []
    assert (result["verdict"], result["probes"]) == ("pass", [])


ABSENT = {
    "probes": [{**EVERYWHERE, "component": "backend"}, {**EVERYWHERE, "name": "two", "component": "edge"}, {**EVERYWHERE, "name": "whole"}],
    "absent": ["backend"],
}


def test_check_mode_does_not_ask_what_would_only_be_made(act):
    result, calls, _printed = act("g1", ABSENT, answer("pass"), check=True)
    assert [probe["name"] for probe in calls[0]["probes"]] == ["two"]
    assert "absent" not in calls[0]
    assert [(row["name"], row["verdict"]) for row in result["probes"][1:]] == [(EVERYWHERE["name"], "skipped"), ("whole", "skipped")]
    assert result["summary"] == "s; 2 probes not asked: nothing of it is there yet"


def test_check_mode_contacts_nobody_where_nothing_is_there(act):
    result, calls, _printed = act("g1", {**ABSENT, "absent": ["backend", "edge"]}, check=True)
    assert (calls, result["verdict"], len(result["probes"])) == ([], "skipped", 3)


def test_all_are_asked_once_they_are_made(act):
    _result, calls, _printed = act("g1", ABSENT, answer("pass"))
    assert len(calls[0]["probes"]) == 3


def test_settings_as_one_mapping(act):
    given = {"probes": [EVERYWHERE], "settings": {"deadline": 7, "interval": 2}, "deadline": 3}
    _result, calls, _printed = act("g1", given, answer("pass"))
    assert (calls[0]["deadline"], calls[0]["interval"]) == (3, 2)
    assert "settings" not in calls[0]


def test_only_the_probes_of_the_host_are_sent(act):
    probes = [{**EVERYWHERE, "hosts": "backend"}, {**EVERYWHERE, "name": "two", "from": "gpu"}, {**EVERYWHERE, "name": "three"}]
    result, calls, _printed = act("g1", {"probes": probes}, answer("pass", invocation={"module_args": {}}))
    assert [probe["name"] for probe in calls[0]["probes"]] == ["two", "three"]
    assert "invocation" not in result
    assert result["probes"][0]["where"] == "g1"


def test_ports_and_units_come_from_the_description(act):
    _result, calls, _printed = act("g1", {"probes": [EVERYWHERE]}, answer("pass"))
    assert (calls[0]["ports"], calls[0]["units"]) == ({"api": 8000}, {"web": "nginx.service"})
    _result, calls, _printed = act("g1", {"probes": [EVERYWHERE], "ports": {"api": 9000}}, answer("pass"))
    assert calls[-1]["ports"] == {"api": 9000}


def test_a_node_with_its_own_command_is_asked_through_it(act):
    result, calls, printed = act("g1", {"probes": [EVERYWHERE]}, there=answer("pass"))
    assert (result["verdict"], calls) == ("pass", [])
    assert printed[0].startswith("/usr/local/bin/aistack gate --source ")
    assert not printed[0].endswith("--check")
    _result, _calls, printed = act("g1", {"probes": [EVERYWHERE]}, there=answer("pass"), check=True)
    assert printed[-1].endswith(" --check")


def test_progress_between_slices_and_a_readable_failure(act):
    result, calls, printed = act(
        "b1", {"probes": [EVERYWHERE], "deadline": 30},
        answer("waiting", state={"n": 1}), answer("waiting", state={"n": 2}), answer("fail"),
    )
    assert [one.get("resume") for one in calls] == [None, {"n": 1}, {"n": 2}]
    assert [one["slice"] for one in calls] == [3.0, 5.0, 5.0]
    assert next(line for line in printed if "waiting" in line) == "  … b1 backend/health: waiting, attempt 4, 27 s left: connection refused"
    assert result["failed"]
    assert result["msg"].startswith("The gate failed: 1 of 1 probes did not pass")
    assert "state" not in result


def test_not_enforced(act):
    assert not act("b1", {"probes": [EVERYWHERE], "enforce": False}, answer("fail"))[0]["failed"]
    assert not act("b1", {"probes": [EVERYWHERE], "enforce": "no"}, answer("fail"))[0]["failed"]
    result = act("b1", {"probes": [EVERYWHERE]}, answer("fail"), check=True)[0]
    assert not result["failed"]
    assert "nothing is enforced" in result["msg"]


def test_problems_of_any_probe_stop_it_on_every_host(act):
    result, calls, _printed = act("g1", {"probes": [{"name": "a", "htp": "x", "hosts": "backend"}, {**EVERYWHERE, "from": "bakend"}]})
    assert result["failed"]
    assert calls == []
    assert result["msg"].count("\n  - probes[") == 2
    assert "problems" not in result


@pytest.mark.parametrize("args", [{"deadline": "soon"}, {"enforce": "perhaps"}, {"probes": {}}])
def test_arguments_that_make_no_sense(act, args):
    result, calls, _printed = act("b1", {"probes": [EVERYWHERE], **args})
    assert result["failed"]
    assert calls == []


def test_unreachable_is_passed_on(act):
    assert act("b1", {"probes": [EVERYWHERE]}, {"unreachable": True, "msg": "no route"})[0]["unreachable"]


def test_what_a_node_says_while_it_is_waited_for_does_not_act_upon_the_terminal(act):
    waiting = answer("waiting", state={"n": 1}, probes=[row("waiting", got="a\x1b]0;title\x07\x1b[2J")])
    _result, _calls, printed = act("b1", {"probes": [EVERYWHERE], "deadline": 30}, waiting, answer("pass"))
    (said,) = [line for line in printed if "waiting" in line]
    assert "\x1b" not in said
    assert "\x07" not in said


def test_a_gate_of_today_that_says_otherwise_is_said_though_it_does_not_count(act):
    beside = row("fail", severity="warning", judged_by="inventory", live="v1", got="status 404", hint="deploy that release")
    result, _calls, printed = act("b1", {"probes": [EVERYWHERE]}, answer("pass", probes=[row("pass"), beside]))
    assert not result.get("failed")
    assert printed[-1] == (
        "b1: backend: v1 is live, and passes the gate that it was activated with. The inventory's gate of today says: health: expected "
        "status 200, got status 404. What to do: deploy that release"
    )


TODAY = {"name": "page", "component": "api", "file": "/page", "contains": "new", "hosts": "backend", "from": "web"}
OWN = {"name": "own", "component": "api", "file": "/own", "hosts": "backend"}
YESTERDAY = {"name": "page", "component": "api", "type": "file", "target": "/page", "contains": "old", "from": "web"}
KEPT = {"api": {"release": "v1", "gates": {"v1": [YESTERDAY]}}}


def test_the_host_of_a_component_says_what_its_live_release_has_others_ask(act):
    result, calls, _printed = act("b1", {"probes": [TODAY, OWN], "judge_by": "kept"}, {**answer("pass", probes=[]), "kept": KEPT})
    assert result["ansible_facts"] == {"aistack_kept_gates": KEPT}
    assert (calls[0]["probes"], [probe["name"] for probe in calls[0]["elsewhere"]["api"]]) == ([], ["page"])
    result, calls, _printed = act("w1", {"probes": [TODAY, OWN], "judge_by": "kept"})
    assert (result["ansible_facts"], calls) == ({"aistack_kept_gates": {}}, [calls[0]])


def test_a_host_that_asks_for_a_component_goes_by_what_its_host_has_said(act):
    args = {"probes": [TODAY, OWN], "judge_by": "activated"}
    _result, calls, _printed = act("w1", args, answer("pass"), facts={"b1": {"aistack_kept_gates": KEPT}})
    assert [(probe["name"], probe["contains"]) for probe in calls[0]["probes"]] == [("page", "old")]
    assert (calls[0]["aside"]["api"]["release"], [probe["contains"] for probe in calls[0]["aside"]["api"]["probes"]]) == ("v1", ["new"])
    _result, calls, _printed = act("b1", args, answer("pass"), facts={"b1": {"aistack_kept_gates": KEPT}})
    assert ([probe["name"] for probe in calls[-1]["probes"]], "aside" in calls[-1]) == (["own"], False)
    _result, calls, _printed = act("w1", {**args, "judge_by": "given"}, answer("pass"), facts={"b1": {"aistack_kept_gates": KEPT}})
    assert [probe["contains"] for probe in calls[-1]["probes"]] == ["new"]


class Unread:
    """Facts of a host that nobody has to look at."""

    def get(self, name):
        raise AssertionError(f"{name} is looked at")


def test_what_all_hosts_have_said_is_put_together_once(act):
    facts = {"b1": {"aistack_kept_gates": KEPT}, "b2": {"aistack_kept_gates": {"api": {"release": "v0", "gates": {}}}}}
    result, calls, _printed = act("w1", {"probes": [], "judge_by": "together"}, facts=facts)
    assert (result["ansible_facts"], calls) == ({"aistack_kept_gates_of_all": KEPT}, []), "the first host of a component says it"
    args = {"probes": [TODAY, OWN], "judge_by": "activated"}
    _result, calls, _printed = act("w1", args, answer("pass"), facts={"b1": Unread()}, own={"aistack_kept_gates_of_all": KEPT})
    assert [(probe["name"], probe["contains"]) for probe in calls[0]["probes"]] == [("page", "old")], "no other host is looked at"


def test_where_nobody_is_asked_from_elsewhere_no_other_host_is_looked_at(act):
    _result, calls, _printed = act("b1", {"probes": [OWN], "judge_by": "activated"}, answer("pass"), facts={"b1": Unread()})
    assert [probe["name"] for probe in calls[0]["probes"]] == ["own"]


def test_a_deployment_keeps_on_the_host_of_a_component_what_others_ask(act):
    _result, calls, _printed = act("b2", {"probes": [TODAY, OWN], "judge_by": "adopted"}, answer("pass"))
    assert [probe["contains"] for probe in calls[0]["elsewhere"]["api"]] == ["new"]
