# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What everything about rollbacks passes along: the view of a node, the plan with its steps, a node's answer, and the decision. No I/O.

View and decision are never stored and never leave the process that made them. A plan goes to the controller as a part of the node's
answer, which may be that of another version: :func:`rollback.node_answer.read` reads it, and takes what is missing for not said.

Times are UTC, ISO 8601; ``seq`` is the number of a record of the journal; a config is named by its hash; heads are Alembic's revisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import BackupSet
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served
    from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import Migration, RunsOn
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Drilled, LiveLinks, Manifest
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.component_file import Description
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Report

# -- the view


class SlotView(TypedDict):
    """A slot: its ``release`` and ``config``, whether it is ``running`` (None: not known), main ``pid``; instances that are ``idle``."""

    release: str | None
    config: str | None
    running: bool | None
    pid: int | None
    idle: list[str]


class JournalLive(TypedDict):
    """What is live by the journal: ``since`` when, and ``seq`` of the switch."""

    release: str
    slot: str | None
    config: str | None
    since: str
    seq: int


class Switched(TypedDict):
    """A switch that ended well: what it made live, in which run, when."""

    release: str | None
    config: str | None
    slot: str | None
    run: str
    time: str
    seq: int


class Cut(TypedDict):
    """A switch that was begun and has no end: C(activate) or C(revert), and what it was about to make live."""

    op: str
    release: str | None
    config: str | None
    run: str
    time: str
    seq: int


Database = TypedDict("Database", {"heads": "list[str] | None", "from": str, "why": str})
"""Where the database stands: its heads (None: nobody knows), ``from`` whom that is known (database, journal, nobody), ``why`` it was not
asked itself."""


class WayBackView(TypedDict):
    """Where a way back to a config leads: the ``config`` that is made, names of the secrets that are as ``today`` or ``kept`` as then."""

    config: str
    today: list[str]
    kept: list[str]
    problem: str


class Component(TypedDict, total=False):
    """The view of one component; :func:`rollback.facts.component_facts` makes it, the planner reads it.

    Attributes:
        description: how it is driven, from its component file.
        live: what the links say is live, None for nothing; ``journal_live``: what the journal says.
        anchor: ``seq`` since which what is live counts as live, 0 where nothing is.
        candidates: releases to go back to by the journal, the newest first; ``staged``: those whose trees are here, the newest first.
        marks: release to C(good) or C(bad), the last that was said; ``bad``: release to why.
        history: switches that ended well, the oldest first; ``interrupted``: the newest without an end.
        timings: release to the seconds of the last switch to it, by kind of step.
        migrations, proofs: of its database, the oldest first.
        database: where that stands, None where the component migrates none.
        slots: by name, those that hold something; ``configs``: those that are here.
        manifests: of staged releases, the keys that the planner reads.
        drills: release to what rehearsals of going back from it found, by the release that they went to.
        env: config to its variables, each with a digest of its value; None where it cannot be read.
        way_back: config to where a way back to it leads, where that is not the config itself.
    """

    description: Description
    live: LiveLinks | None
    journal_live: JournalLive | None
    anchor: int
    candidates: list[str]
    staged: list[str]
    marks: dict[str, str]
    bad: dict[str, str]
    history: list[Switched]
    interrupted: Cut | None
    timings: dict[str, dict[str, float]]
    migrations: list[Migration]
    proofs: list[RunsOn]
    database: Database | None
    slots: dict[str, SlotView]
    configs: list[str]
    manifests: dict[str, Manifest]
    drills: dict[str, dict[str, Drilled]]
    env: dict[str, dict[str, str] | None]
    way_back: dict[str, WayBackView]


class Place(TypedDict, total=False):
    """Where a component is, or goes; the slot where it is known."""

    release: str | None
    config: str | None
    slot: str | None


Move = TypedDict("Move", {"from": "Place | None", "to": Place}, total=False)
"""What a rollback moves of a component, as the journal notes it."""

_Ends = TypedDict("_Ends", {"from": "str | None", "to": "str | None"}, total=False)


class InterruptedRollback(_Ends, total=False):
    """A rollback of this node's own command that was begun and has no end, with what it noted when it began."""

    run: str
    time: str
    seq: int
    actor: str
    level: str
    application: str | None
    moves: dict[str, Move]


class OpenRollback(_Ends, total=False):
    """A rollback that a controller began here and did not end: its ``runs``, the oldest first; ``since`` and ``seq`` of the first."""

    runs: list[str]
    level: str | None
    since: str | None
    seq: int
    moves: dict[str, Move]


class LastRollback(_Ends, total=False):
    """The newest rollback that ended: how, when, in which run, on which level."""

    run: str | None
    time: str | None
    level: str | None
    outcome: str | None
    seconds: float | None


class Restored(TypedDict):
    """A restore of a backup ``set`` that ended well: its ``parts``, or the ``tables`` alone."""

    set: str | None
    parts: list[str]
    tables: list[str]
    run: str | None
    seq: int


class View(TypedDict, total=False):
    """What a node knows about itself; :func:`rollback.view.observe` makes it, the planner reads it.

    Attributes:
        node: its name; ``stack``: the stack's.
        components: by name.
        backups: its sets, the oldest name first; empty where they were not asked for. ``restores``: the same.
        problems: sentences about what could not be seen.
        seq: of the journal's last record, 0 where there is none.
    """

    node: str
    stack: str
    components: dict[str, Component]
    backups: list[BackupSet]
    problems: list[str]
    seq: int
    interrupted_rollback: InterruptedRollback | None
    open_rollback: OpenRollback | None
    last_rollback: LastRollback | None
    restores: list[Restored]


# -- the plan


class Candidate(TypedDict, total=False):
    """Where a component can go: the release that is ``present``, and ``tags`` that it can be at afterwards, the newest first.

    ``beside`` where ``present`` shares the requests with itself in another configuration: there is a way back to it.
    """

    node: str
    component: str
    present: str
    tags: list[str]
    beside: bool


class Refusal(TypedDict, total=False):
    """Why something is not done, and the ``remedy``; ``component`` where it concerns one alone, ``node`` in a decision."""

    code: str
    reason: str
    remedy: str
    component: str | None
    node: str


class Reliance(TypedDict):
    """A component of which another ``node`` moves the database, because several have the component and one of them does it for all."""

    component: str
    node: str


class Changes(TypedDict):
    """Names of the variables that differ between two configs."""

    added: list[str]
    removed: list[str]
    changed: list[str]


_Leaves = TypedDict("_Leaves", {"from": Place})


class SwitchDetail(_Leaves):
    """What a switch does.

    Attributes:
        release, config: what it makes live; ``from``: what it leaves.
        of: the config of then, where ``config`` is that one with the secrets of today, whose names are in ``today``.
        commit: release to commit; ``environment``: what changes in it.
        fronted: whether it is behind an edge; ``strategy``: C(bluegreen) or C(recreate); ``warm``: whether the slot runs already.
        expected_s: seconds.
    """

    release: str
    config: str
    of: str | None
    today: list[str]
    commit: dict[str, str | None]
    environment: Changes
    fronted: bool
    strategy: str
    warm: bool
    expected_s: float


class Switch(TypedDict):
    """The step that moves one component."""

    do: Literal["switch"]
    component: str
    detail: SwitchDetail


_Between = TypedDict("_Between", {"from": "list[str]", "to": "list[str]"}, total=False)


class TaskDetail(_Between, total=False):
    """What another step does; which keys it has depends on what that is.

    Attributes:
        release: of a downgrade: whose code knows how; ``revisions``: those that are undone, the newest first; ``from``, ``to``: heads.
        set, path, made: of a restore: the backup set; ``what``: its parts as C(kind:name), ``parts``: the same for people.
        reason: of a backup.
        components, node: what is verified.
        expected_s: seconds of the step's own work.
    """

    release: str | None
    revisions: list[str]
    set: str | None
    path: str | None
    made: str | None
    what: list[str]
    parts: list[str]
    reason: str
    components: list[str]
    node: str | None
    expected_s: float


class Task(TypedDict):
    """Another step, of one component or of all (None)."""

    do: Literal["downgrade", "restore", "backup", "stop", "start", "verify"]
    component: str | None
    detail: TaskDetail


Step = Union[Switch, Task]


class Plan(_Ends, total=False):
    """Where a node goes back to, in which steps, at what price; or why not. :func:`rollback.plan.plan` makes it.

    Attributes:
        level: C(app), C(config), C(schema) or C(system); ``application``: which one, None where there are none.
        from, to: releases, of the level config configs; several where the components differ.
        allowed: whether it may be carried out; if not, ``refusals`` say why, and ``steps`` are empty.
        losses, warnings, unverified: sentences: what is gone afterwards, what is to be known, what could not be looked at.
        objective_s, expected_s: seconds that the level may take, and that this will.
        changed_by: of the level config: the run that last changed one; None where a target was named.
        relies: whose database another node moves; without it this one must not go.
        there: set by the decision where the node is at the target already.
        resumes, open: in an answer: C(interrupted_rollback) and C(open_rollback) of the view.
    """

    level: str
    application: str | None
    allowed: bool
    refusals: list[Refusal]
    steps: list[Step]
    losses: list[str]
    warnings: list[str]
    unverified: list[str]
    objective_s: float | None
    expected_s: float | None
    candidates: list[Candidate]
    relies: list[Reliance]
    changed_by: str | None
    there: bool
    resumes: InterruptedRollback | None
    open: OpenRollback | None


# -- what a node answers


_Went = TypedDict("_Went", {"from": Place, "to": "Place | None"}, total=False)


class Row(_Went, total=False):
    """What came of one component: C(ok), C(failed), C(undone) (it went back again) or C(stuck) (it could not)."""

    component: str
    outcome: str
    message: str
    changed: bool
    seconds: float
    slot: str | None
    previous: Served | None
    timings: dict[str, float]
    warnings: list[str]
    unverified: list[str]
    report: Report


class Outcome(_Ends, total=False):
    """What came of a rollback on a node; :func:`rollback.run.roll_back` makes it.

    Attributes:
        outcome: C(ok), C(failed), C(partial), C(refused).
        components: a row each; ``seconds``: all of it.
        plan: what it went by; ``disk``: what a full disk meant.
    """

    changed: bool
    outcome: str
    run: str
    level: str
    best_effort: bool
    seconds: float
    components: list[Row]
    plan: Plan
    disk: list[str]


class PlanAnswer(Plan, total=False):
    """What C(aistack plan) answers: the plan, ``descriptions`` of the components by name, and ``last_rollback`` as in the view."""

    node: str
    stack: str
    descriptions: dict[str, Description]
    last_rollback: LastRollback | None


class Answer(PlanAnswer, total=False):
    """What a node's command said, as the controller has it: its plan, or what came of it (as :class:`Outcome`), or why there is nothing.

    Attributes:
        silent: why it did not answer; ``absent``: that it has no such command; ``msg``: why it did nothing.
        applications: of C(aistack status), see :class:`node.status.Status`.
    """

    applications: object
    silent: str
    absent: str
    msg: str
    changed: bool
    outcome: str
    run: str
    best_effort: bool
    seconds: float
    components: list[Row]
    plan: Plan
    disk: list[str]


# -- the decision


class Begun(_Ends, total=False):
    """A rollback that was begun, as the plans of all nodes tell of it.

    Attributes:
        runs: that had this aim, the oldest first; ``began``: when the first did, seconds since 1970.
        part: nodes of which something moves; ``nodes``: node to its last rollback, with ``ago`` in seconds.
    """

    runs: list[str]
    began: float | None
    part: list[str]
    nodes: dict[str, JustBack]


class JustBack(LastRollback):
    """A node's last rollback, that ended well a moment ago: ``began`` (seconds since 1970) and ``ago`` (seconds)."""

    began: float
    ago: float


class Decision(_Ends, total=False):
    """Where all nodes go, or why none of them does; :func:`rollback.decision.decide` makes it.

    Attributes:
        allowed: whether they go; ``refusals`` say why not, each with its node.
        nodes: those that take part; ``silent``: node to why it did not answer.
        warnings: sentences; ``notes``: those of them about what was begun before.
        there: everything is at the target; ``resumes``: the runs that had begun what this finishes; ``began``: when the first of them
            did, seconds since 1970.
        plans: node to its plan as it is carried out; ``code``: lines on what differs between the two releases. The action adds both.
    """

    allowed: bool
    refusals: list[Refusal]
    nodes: list[str]
    silent: dict[str, str]
    warnings: list[str]
    notes: list[str]
    there: bool
    resumes: list[str]
    began: float | None
    plans: dict[str, Answer]
    code: list[str]


class Merged(TypedDict, total=False):
    """The plans of all nodes together, as pages show them and playbooks hand them over.

    Attributes:
        nodes: node to its plan; ``silent``: node to why it did not answer.
        data_loss: node to what C(restore_set) counted for each of its restores.
        notes: what is known of rollbacks that were begun before; ``not_covered``: components of which no set holds programs, configuration
            or models.
    """

    nodes: dict[str, Answer]
    silent: dict[str, str]
    data_loss: dict[str, list[dict[str, Any]]]
    notes: list[str]
    not_covered: list[str]


class OutcomeRow(TypedDict, total=False):
    """What came of a component on a node, for people: ``said`` is its message."""

    node: str
    component: str
    outcome: str
    seconds: float
    said: str
    unverified: list[str]
    warnings: list[str]
