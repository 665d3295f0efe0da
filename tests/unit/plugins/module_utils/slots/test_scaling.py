# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More and fewer processes of what is live: proven before they count, idle before they are stopped, and finished by the same call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.kept_instances import instances_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.node.reconcile import BootSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import DrainError
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Outcome, Refused, Request, Terminated
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Judged
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.scaling import EndedBehind, ScalingSlots
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import V1, V2, Bench, Machine, slot_like

R = Request(run="r2")


class Workers:
    """Who takes tasks, and who is made to end, kept where the rest of the node is."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.busy = ""
        """Who does not end what it holds."""
        self.signal = False
        """Whether a signal comes while they end what they hold."""

    def end(self, instances: Sequence[str]) -> str:
        self.machine.change(f"idle {' '.join(instances)}", lambda state: state.setdefault("idle", []).extend(instances))
        if self.signal:
            raise Terminated("ended by signal 15")
        if self.busy:
            self.go_on(instances)
            raise DrainError(f"web: {self.busy}: 1 task still held.")
        return ""

    def go_on(self, instances: Sequence[str]) -> None:
        if set(instances) & set(self.machine.load().get("idle", [])):
            self.machine.change("go on", lambda state: state.update(idle=[name for name in state["idle"] if name not in instances]))

    def stopped(self, instances: Sequence[str]) -> list[str]:
        return [name for name in instances if name in self.machine.load().get("idle", [])]

    def forget(self, instances: Sequence[str]) -> None:
        self.machine.change("forget", lambda state: state.update(idle=[one for one in state.get("idle", []) if one not in instances]))


class Crew(Bench):
    """A node with ``web`` without a port, live in blue as two processes."""

    def __init__(self, root: Path, instances: int = 2) -> None:
        super().__init__(root, edge=False)
        self.number = instances
        spec = self.slots().spec
        component_file.save(component_file.describe(spec, {"instances_said": instances}), spec.state_dir)
        self.slots().activate(V1, Request(run="r1"))
        self.machine.did.clear()
        self.gate.asked.clear()
        self.workers = Workers(self.machine)

    def slots(self, **options: Any) -> ScalingSlots:
        plain = super().slots(**options)
        kept, _said = instances_of(plain.spec.state_dir, "web")
        spec = replace(plain.spec, instances=kept or self.number)
        return ScalingSlots(spec, self.gate, self.journal, plain.node.systemd)

    def scale(self, number: int, said: int = 2, **request: Any) -> Outcome:
        workers: Any = self.workers
        return self.slots().scale(number, said, replace(R, **request), lambda: workers)

    @property
    def kept(self) -> tuple[int | None, int | None]:
        return instances_of(self.root / "state", "web")

    def are(self, number: int, slot: str = "blue") -> None:
        """So many processes run, start at boot and take tasks; nothing is left of others, and nothing is open."""
        state = self.machine.load()
        names = {slot, *(f"{slot}-{place}" for place in range(2, number + 1))}
        assert {name for name, here in state.items() if slot_like(name) and here["running"]} == names
        assert {name for name, here in state.items() if slot_like(name) and here["enabled"]} == names
        folder = self.root / "opt/web/slots"
        assert {name for name in os.listdir(folder) if name.startswith(f"{slot}-")} == names - {slot}
        assert all(os.readlink(folder / name) == slot for name in names - {slot})
        assert [name for name in state.get("idle", []) if name in names] == []
        assert self.kept[0] == number
        assert interrupted(self.journal.read(), "web") == []
        assert self.journal.verify() == []


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(tmp_path)


def test_a_slot_of_several_processes_is_one_thing(crew: Crew) -> None:
    crew.are(2)
    crew.slots().activate(V2, R)
    assert crew.machine.did == ["start green", "start green-2", "enable green", "enable green-2", "disable blue", "disable blue-2",
                                "stop blue", "stop blue-2", "reload"]
    crew.are(2, "green")
    crew.slots().stop(R)
    assert not any(here["running"] or here["enabled"] for name, here in crew.machine.load().items() if slot_like(name))
    crew.slots().activate(V2, R)
    crew.are(2, "green")
    crew.slots().revert(Request(run="r2"))
    crew.are(2)


def test_out_and_in(crew: Crew) -> None:
    outcome = crew.scale(4)
    assert crew.machine.did == ["start blue-3", "start blue-4", *(f"enable blue{n}" for n in ("", "-2", "-3", "-4")), "reload"]
    assert crew.gate.asked == [("v1", None)], "proven as the release was when it was activated"
    assert (outcome.changed, outcome.message) == (True, "web: runs 4 instances, 2 before")
    crew.are(4)
    assert crew.kept == (4, 2)
    crew.machine.did.clear()
    crew.gate.asked.clear()
    outcome = crew.scale(1)
    assert crew.machine.did[0] == "idle blue-2 blue-3 blue-4", "none is stopped while it may hold a task"
    assert [str(step) for step in outcome.plan.steps[:3]] == ["end tasks blue-2", "stop blue-2", "disable blue-2"]
    assert outcome.message == "web: runs 1 instance, 4 before"
    crew.are(1)
    assert crew.gate.asked == []
    detail = [record["detail"] for record in crew.journal.read() if (record["op"], record["outcome"]) == ("scale", "ok")]
    assert [(one["from"], one["to"], one["slot"]) for one in detail] == [(2, 4, "blue"), (4, 1, "blue")]


def test_the_same_number_changes_nothing(crew: Crew) -> None:
    records = len(crew.journal.read())
    outcome = crew.scale(2)
    assert (outcome.changed, outcome.plan.steps, crew.machine.did) == (False, (), [])
    assert len(crew.journal.read()) == records


@pytest.mark.parametrize(
    ("number", "message"),
    [(0, "0 instances would leave nobody to do its work; expected 1 to 64"), (65, "65 instances; expected 1 to 64"), (-1, "expected 1 to")],
)
def test_a_number_that_makes_no_sense_is_refused(crew: Crew, number: int, message: str) -> None:
    with pytest.raises(Refused, match=message):
        crew.scale(number)
    crew.are(2)


def test_a_component_with_a_port_is_refused(tmp_path: Path) -> None:
    plain = Bench(tmp_path).slots()
    slots = ScalingSlots(plain.spec, plain.node.gate, plain.journal, plain.node.systemd, plain.node.edge)
    with pytest.raises(Refused, match=r"web has a port, and one process per slot, .* uvicorn's --workers"):
        slots.scale(2, 1, R)


def test_check_mode_says_what_it_would_do(crew: Crew) -> None:
    outcome = crew.scale(4, check=True)
    assert (outcome.changed, outcome.message) == (True, "web: would run 4 instances, 2 before")
    assert [str(step) for step in outcome.plan.steps] == ["start blue-3", "start blue-4", "gate blue"]
    crew.are(2)
    assert crew.machine.did == []


def test_those_that_do_not_pass_go_again_and_the_number_stays(crew: Crew) -> None:
    crew.gate.fails = ("v1",)
    with pytest.raises(Failed, match=r"4 instances were not to be had: slot blue did not pass its gate .* There are 2 as before"):
        crew.scale(4)
    crew.are(2)
    assert "idle blue-3 blue-4" in crew.machine.did, "they may have taken tasks meanwhile"
    assert crew.kept == (2, 2)
    crew.gate.fails = ()
    crew.scale(4)
    crew.are(4)


def test_an_inventory_of_today_that_cannot_be_had_is_tried_again(crew: Crew) -> None:
    crew.gate.fails = ("v1",)
    with pytest.raises(Failed):
        crew.scale(4, said=4)
    assert crew.kept == (2, 2), "the next deployment sees that the inventory says another number"


def test_a_worker_that_does_not_end_its_task_keeps_all_of_them(crew: Crew) -> None:
    crew.scale(4)
    crew.workers.busy = "worker-blue-3@here"
    with pytest.raises(Failed, match=r"1 task still held\. There are 4 instances as before\. Wait until .*slots\.drain_timeout"):
        crew.scale(2)
    crew.are(4)
    crew.workers.busy = ""
    crew.scale(2)
    crew.are(2)


def test_a_component_that_stands_still_only_gets_the_number(crew: Crew) -> None:
    crew.slots().stop(R)
    crew.machine.did.clear()
    assert crew.scale(3).message == "web: is stopped; started again, it runs 3 instances"
    assert crew.machine.did == []
    crew.slots().activate(V1, R)
    crew.are(3)


def test_nothing_live_is_refused(tmp_path: Path) -> None:
    crew = Crew(tmp_path)
    (tmp_path / "opt/web/slots/live").unlink()
    with pytest.raises(Refused, match="nothing is live here that could have more or fewer instances"):
        crew.scale(3)
    assert crew.scale(3, check=True).changed is False


def test_a_node_without_a_description_is_refused(crew: Crew) -> None:
    component_file.path_of(crew.root / "state", "web").unlink()
    with pytest.raises(Refused, match="this node keeps no description of it"):
        crew.scale(3)


def test_what_was_set_outlives_deployments_ways_back_and_boots(crew: Crew) -> None:
    crew.scale(4)
    crew.slots().activate(V2, Request(run="r3"))
    crew.are(4, "green")
    crew.slots().revert(Request(run="r3"))
    crew.are(4)
    state = crew.machine.load()
    for name in state:
        if slot_like(name):
            state[name]["running"] = state[name]["enabled"]
    crew.machine._store(state)
    plain = crew.slots()
    assert BootSlots(plain.spec, plain.node.gate, plain.journal, plain.node.systemd).reconcile(R).changed is False
    crew.are(4)


def agreed(crew: Crew, number: int, said: int, target: Content = V1, check: bool = False, starts: int = 0) -> Outcome:
    slots, request = crew.slots(), replace(R, check=check)
    slots.spec = slots.node.spec = replace(slots.spec, instances=starts or slots.spec.instances)
    outcome = slots.activate(target, request)
    workers: Any = crew.workers
    slots.agree(number, said, request, lambda: workers, outcome)
    return outcome


def test_a_plan_says_who_would_come_behind_the_switch(crew: Crew) -> None:
    steps = [str(step) for step in agreed(crew, 3, 3, V2, check=True).plan.steps]
    assert steps[:3] == ["write green", "start green", "gate green"]
    assert steps[-2:] == ["start green-3", "gate green"]
    crew.are(2)


def test_behind_a_switch_another_number_of_the_inventory_is_brought_about(crew: Crew) -> None:
    outcome = agreed(crew, 3, 3)
    assert (outcome.changed, outcome.message) == (True, "web: v1 is live in blue; runs 3 instances, 2 before")
    assert outcome.warnings == []
    crew.are(3)
    assert agreed(crew, 3, 3).changed is False


def test_a_number_that_cannot_be_had_behind_a_switch_is_a_warning_and_tried_again(crew: Crew) -> None:
    slots = crew.slots()
    outcome = slots.activate(V2, R)
    crew.gate.fails = ("v2",)
    slots.agree(3, 3, R, lambda: None, outcome)
    (said,) = outcome.warnings
    assert "3 instances were not to be had: slot green did not pass its gate" in said
    assert said.endswith("The inventory says 3, and the next deployment tries it again; v2 is live in green all the same")
    assert crew.marks()["v2"] == "good"
    crew.gate.fails = ()
    crew.are(2, "green")
    assert crew.kept == (2, 2)
    assert agreed(crew, 3, 3, V2).warnings == []
    crew.are(3, "green")


def test_fewer_of_what_is_live_already_wait_for_the_next_run_where_they_are_busy(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 4)
    crew.workers.busy = "worker-blue-3@here"
    (said,) = agreed(crew, 2, 2, starts=2).warnings
    assert "1 task still held. There are 4 instances as before" in said
    crew.are(4)
    crew.workers.busy = ""
    agreed(crew, 2, 2, starts=2)
    crew.are(2)


def test_fewer_start_in_the_other_slot_and_nobody_has_to_end_there(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 4)
    crew.workers.busy = "worker-green-3@here"
    assert [str(step) for step in agreed(crew, 2, 2, V2, check=True, starts=2).plan.steps if step.slot.startswith("green-")] == []
    outcome = agreed(crew, 2, 2, V2, starts=2)
    assert (outcome.message, outcome.warnings) == ("web: v2 is live in green; runs 2 instances, 4 before", [])
    assert "start green-3" not in crew.machine.did
    crew.are(2, "green")
    assert not any(here["running"] for name, here in crew.machine.load().items() if name.startswith("blue"))


def test_a_signal_behind_a_switch_leaves_it_and_says_so(crew: Crew) -> None:
    slots = crew.slots()
    outcome = slots.activate(V2, R)
    crew.machine.raise_at = {"start green-4": Terminated("ended by signal 15")}
    with pytest.raises(EndedBehind, match=r"^ended by signal 15 behind the switch, which stays: v2 is live in green$"):
        slots.agree(4, 4, R, lambda: None, outcome)
    crew.machine.raise_at = {}
    assert crew.kept == (2, 2)
    agreed(crew, 4, 4, V2)
    crew.are(4, "green")


def test_where_one_process_alone_may_run_by_now_the_others_end(crew: Crew) -> None:
    crew.scale(4)
    slots = crew.slots()
    slots.spec = slots.node.spec = replace(slots.spec, strategy="recreate", instances=1)
    workers: Any = crew.workers
    outcome = slots.activate(V1, R)
    slots.agree(1, 1, R, lambda: workers, outcome)
    assert "idle blue-2 blue-3 blue-4" in crew.machine.did
    crew.are(1)
    crew.machine.did.clear()
    slots.agree(1, 1, R, lambda: workers, outcome)
    assert crew.machine.did == []


def test_links_of_a_time_without_a_port_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plain = bench.slots()
    component_file.save(component_file.describe(plain.spec, {}), plain.spec.state_dir)
    slots = ScalingSlots(plain.spec, plain.node.gate, plain.journal, plain.node.systemd, plain.node.edge)
    outcome = slots.activate(V1, R)
    (tmp_path / "opt/web/slots/blue-3").symlink_to("blue")
    slots.agree(1, 1, R, lambda: None, outcome)
    assert not os.path.lexists(tmp_path / "opt/web/slots/blue-3")


def test_behind_a_switch_it_is_said_that_the_inventory_says_otherwise(crew: Crew) -> None:
    crew.scale(4)
    outcome = agreed(crew, 4, 2)
    assert outcome.changed is False
    (said,) = outcome.warnings
    assert said.startswith("web runs 4 instances, the inventory says 2: scale.yml set that")
    assert said.endswith("scale.yml -e component=web -e instances=2")


def test_an_instance_that_is_gone_is_started_by_the_next_deployment(crew: Crew) -> None:
    crew.scale(3)
    crew.machine.change("gone", lambda state: state["blue-2"].update(running=False, enabled=False))
    assert [str(step) for step in crew.slots().activate(V1, R).plan.steps] == ["start blue", "gate blue", "enable blue"]
    crew.are(3)


def test_a_boot_starts_what_is_to_start_by_itself_and_does_not(crew: Crew) -> None:
    crew.machine.change("gone", lambda state: state["blue-2"].update(running=False, enabled=False))
    plain = crew.slots()
    outcome = BootSlots(plain.spec, plain.node.gate, plain.journal, plain.node.systemd).reconcile(R)
    assert [str(step) for step in outcome.plan.steps] == ["start blue", "enable blue"]
    crew.are(2)


def test_the_crash_of_any_process_is_seen(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking:
        said: list[str] = []

        def __call__(self, _definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
            crew.machine.change("gone", lambda state: state["blue-3"].update(running=False))
            self.context = context
            self.said.append(trouble())
            return Judged("pass")

    gate = Asking()
    slots = crew.slots()
    slots.node.gate = gate
    real = slots.node.systemd.show
    monkeypatch.setattr(slots.node.systemd, "show", lambda *units: [
        state if state.running else replace(state, active="failed") for state in real(*units)
    ])
    slots.scale(3, 2, R)
    assert gate.said == ["aistack-web@blue-3.service failed: no reason given"]
    assert gate.context["instances"] == ["blue", "blue-2", "blue-3"]
    assert gate.context["units"] == [f"aistack-web@{name}.service" for name in gate.context["instances"]]
    assert slots.node.log_tail("blue", V1, 0.0)[1].startswith("aistack-web@blue.service and aistack-web@blue-2.service and")


def test_the_timer_of_a_warm_slot_stops_all_of_it(crew: Crew) -> None:
    script = crew.slots().node.own.retire_script("blue")
    both = "aistack-web@blue.service aistack-web@blue-2.service"
    assert script.endswith(f"systemctl disable --now --quiet {both}")


def died(crew: Crew, at: tuple[int, bool], work: Callable[[], object]) -> bool:
    """Whether a process that is killed at its *at*-th change comes to that."""
    child = os.fork()
    if child == 0:
        crew.machine.die_at, crew.machine.count = at, 0
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child of fork must never come back
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), f"it failed before it was killed at {at}"
    return status == 9


@pytest.mark.parametrize("then", ["same", "back", "deploy", "boot"])
@pytest.mark.parametrize(("first", "number"), [(2, 4), (4, 2)], ids=["out", "in"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere_the_same_call_finishes_it(tmp_path: Path, first: int, number: int, before: bool, then: str) -> None:
    deaths = 0
    for step in range(1, 40):
        crew = Crew(tmp_path / str(step), first)
        if not died(crew, (step, before), partial(crew.scale, number, first)):
            break
        deaths += 1
        if then == "same":
            crew.scale(number, first)
            crew.are(number)
        elif then == "back":
            crew.scale(first, first)
            crew.are(first)
        elif then == "deploy":
            crew.slots().activate(V2, R)
            crew.are(int(crew.kept[0] or 0), "green")
        else:
            plain = crew.slots()
            BootSlots(plain.spec, plain.node.gate, plain.journal, plain.node.systemd).reconcile(R)
            crew.scale(number, first)
            crew.are(number)
    assert deaths > 8, "nothing was killed"


def test_a_failure_behind_a_kill_goes_back_to_what_there_was_at_first(tmp_path: Path) -> None:
    failures = 0
    for step in range(2, 40):
        crew = Crew(tmp_path / str(step))
        if not died(crew, (step, True), partial(crew.scale, 4)):
            break
        crew.gate.fails = ("v1",)
        with pytest.raises(Failed, match="There are 2 as before"):
            crew.scale(4)
        failures += 1
        assert crew.kept == (2, 2)
        crew.gate.fails = ()
        crew.scale(2)
        crew.are(2)
    assert failures > 5


def test_a_signal_leaves_the_former_number_and_the_same_call_goes_on(crew: Crew) -> None:
    for moment, former, number in (("start blue-4", 2, 4), ("idle blue-3 blue-4", 4, 2)):
        crew.machine.raise_at = {moment: Terminated("ended by signal 15")}
        with pytest.raises(Terminated):
            crew.scale(number)
        assert crew.kept == (former, 2)
        crew.machine.raise_at = {}
        crew.scale(number)
        crew.are(number)


def test_who_was_made_idle_when_a_signal_came_takes_tasks_again_by_the_same_call(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 4)
    crew.workers.signal = True
    with pytest.raises(Terminated):
        crew.scale(2, 4)
    crew.workers.signal = False
    assert crew.kept == (4, 4)
    assert crew.workers.stopped(["blue", "blue-3", "blue-4"]) == ["blue-3", "blue-4"]
    said = crew.scale(4, 4, check=True)
    assert [str(step) for step in said.plan.steps] == ["take tasks blue-3", "take tasks blue-4"]
    outcome = crew.scale(4, 4)
    assert (outcome.changed, outcome.message) == (True, "web: runs 4 instances")
    crew.are(4)
    assert crew.gate.asked == []
    assert crew.scale(4, 4).changed is False


def test_that_nobody_can_tell_who_was_made_idle_is_said(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_instances: Sequence[str]) -> list[str]:
        raise DrainError("web: drained/web.json, which says what was stopped, cannot be used: torn")

    monkeypatch.setattr(crew.workers, "stopped", torn)
    with pytest.raises(Failed, match=r"drained/web\.json, which says what was stopped, cannot be used: torn"):
        crew.scale(2)


def test_what_was_stopped_behind_a_kill_is_not_proven_and_the_journal_is_closed(crew: Crew) -> None:
    assert died(crew, (4, True), lambda: crew.scale(4))
    assert [found.op for found in interrupted(crew.journal.read(), "web")] == ["scale"]
    crew.slots().stop(R)
    crew.gate.asked.clear()
    assert crew.scale(4).message == "web: is stopped; started again, it runs 4 instances"
    assert crew.gate.asked == []
    assert interrupted(crew.journal.read(), "web") == []
    crew.slots().activate(V1, R)
    crew.are(4)
