# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watch's action plugin: its choice of hosts, its slices, an end for all hosts."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.phasegate.aistack.plugins.action import metric_gate as action

GROUPS = {"all": ["b1", "g1"], "backend": ["b1"], "gpu": ["g1"]}
CPU = {"name": "cpu", "source": "node", "target": "cpu", "value": 90}


class FakeTask:
    check_mode = False
    async_val = 0
    _uuid = "u1"

    def __init__(self, args):
        self.args = args


@pytest.fixture
def act(monkeypatch, tmp_path):
    """Run the action plugin for a host; module calls are answered by ``answers`` in turn."""
    printed, calls = [], []
    monkeypatch.setattr(action.display, "display", lambda text, *_a, **_k: printed.append(text))
    monkeypatch.setattr(action.display, "warning", lambda text, *_a, **_k: printed.append(text))
    monkeypatch.setattr(action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    monkeypatch.setattr(action.C, "DEFAULT_LOCAL_TMP", str(tmp_path))

    def run(host, args, *answers, check=False):
        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._task = FakeTask(args)
        plugin._task.check_mode = check
        waiting = iter(answers)

        def execute(module_name, module_args, task_vars):
            calls.append(module_args)
            given = next(waiting)
            if isinstance(given, Exception):
                raise given
            return dict(given)

        plugin._execute_module = execute
        variables = {"inventory_hostname": host, "groups": GROUPS, "ansible_play_hosts_all": GROUPS["all"]}
        return plugin.run(task_vars=variables), calls, printed

    return run


def answer(verdict, **more):
    measured = {"passed": 1, "failed": 0, "inconclusive": 0, "errors": 0, "by_policy": 0}
    row = {"name": "cpu", "verdict": verdict, "expected": "<= 90", "got": "95", "now": "95", "measurements": measured}
    head = {"changed": False, "verdict": verdict, "conditions": [row]}
    return {**head, "elapsed_s": 3.0, "duration_s": 60, "summary": "s", "msg": "m", **more}


def waiting(number):
    return answer("waiting", state={"n": number}, due_s=0.01)


def test_a_host_without_conditions_is_not_contacted(act):
    result, calls, _printed = act("g1", {"conditions": [{**CPU, "hosts": "backend"}, {"name": "hole", "source": "manual"}]})
    assert (result["verdict"], result["conditions"], calls) == ("pass", [], [])


def test_it_asks_until_it_is_decided_and_says_how_it_goes(act):
    asked = {"conditions": [CPU, {**CPU, "name": "two", "hosts": "gpu"}]}
    result, calls, printed = act("b1", asked, waiting(1), waiting(2), answer("pass"))
    assert [one["name"] for one in calls[0]["conditions"]] == ["cpu"]
    assert [call["resume"] for call in calls] == [{}, {"n": 1}, {"n": 2}]
    assert (result["verdict"], result.get("failed"), "state" in result) == ("pass", None, False)
    assert printed == ["  … b1 3 of 60 s  cpu: 95"] * 2


def test_a_failure_ends_the_watch_of_the_others(act, tmp_path):
    failed, _calls, _printed = act("b1", {"conditions": [CPU]}, answer("fail"))
    assert (failed["failed"], list(tmp_path.iterdir())) == (True, [tmp_path / "watch-u1"])
    assert "FAIL  b1  cpu: 95 (expected <= 90" in failed["msg"]
    ended, calls, _printed = act("g1", {"conditions": [CPU], "enforce": False}, waiting(1))
    assert len(calls) == 2, "one on each host"
    assert (ended["verdict"], ended.get("failed", False)) == ("pass", False)
    assert "because another host failed" in ended["conditions"][0]["got"]


def test_prometheus_is_asked_from_its_own_host_alone_and_speaks_of_others(act):
    asked = {"name": "cpu", "source": "prometheus", "target": "http://127.0.0.1:9090", "query": "q", "value": 90, "from": "b1"}
    given = answer("pass")
    given["conditions"][0]["where"] = "g1"
    result, calls, _printed = act("b1", {"conditions": [asked, CPU]}, given)
    assert ([one["source"] for one in calls[0]["conditions"]], result["conditions"][0]["where"]) == (["prometheus", "node"], "g1")
    _result, calls, _printed = act("g1", {"conditions": [asked, CPU]}, answer("pass"))
    assert [one["source"] for one in calls[1]["conditions"]] == ["node"]


def test_nothing_is_enforced_in_check_mode(act):
    result, _calls, _printed = act("b1", {"conditions": [CPU]}, answer("fail"), check=True)
    assert (result["verdict"], result["failed"], result["enforced"]) == ("fail", False, False)


def test_a_connection_that_breaks_is_borne_for_a_while(act):
    lost = AnsibleConnectionFailure("no route")
    quick = {"conditions": [{**CPU, "window": 1}], "interval": 0.05}
    result, calls, printed = act("b1", quick, waiting(1), lost, lost, answer("pass"))
    assert (result["verdict"], len(calls)) == ("pass", 4)
    assert sum("cannot be reached" in line for line in printed) == 2
    with pytest.raises(AnsibleConnectionFailure):
        act("b1", quick, waiting(1), *[lost] * 5)
    with pytest.raises(AnsibleConnectionFailure):
        act("b1", quick, lost)


def test_every_fault_is_named_before_anybody_is_asked(act):
    result, calls, _printed = act("b1", {"conditions": [{**CPU, "hosts": "bakend"}, {**CPU, "target": "gpu"}]})
    assert result["failed"]
    assert "no group or host 'bakend'" in result["msg"]
    assert "conditions[1] (cpu): node: 'gpu' is not one of cpu, memory, swap" in result["msg"]
    assert calls == []


def test_what_a_node_says_meanwhile_does_not_act_upon_the_terminal(act):
    first = waiting(1)
    first["conditions"][0]["now"] = "95\x1b[2J\x07"
    _result, _calls, printed = act("b1", {"conditions": [CPU]}, first, answer("pass"))
    assert printed
    assert not any("\x1b" in line or "\x07" in line for line in printed)
