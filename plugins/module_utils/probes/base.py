# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every probe is: one observation of one thing, within a time limit, with an answer that can be shown to people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import (
    TIMEOUT,
    CannotJudge,
    Context,
    NotAsExpected,
    os_error_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Unreadable


@dataclass(frozen=True)
class Attempt:
    """What one observation saw.

    Attributes:
        ok: as expected.
        got, expected: for people, one line each.
        detail: anything more that helps; may be empty.
        latency_ms: how long the look took.
        error: it could not be judged (a tool is missing, the definition makes no sense); never together with ``ok``.
        captured: values for later steps of a sequence.
        wrong: where it answered completely and in good form, what of the answer is not as expected.
    """

    ok: bool
    got: str
    expected: str
    detail: str = ""
    latency_ms: float = 0.0
    error: bool = False
    captured: Mapping[str, Any] = field(default_factory=dict)
    wrong: tuple[Mismatch, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """What the gate counts and reports."""
        return {
            "ok": self.ok,
            "got": self.got,
            "expected": self.expected,
            "detail": self.detail,
            "latency_ms": self.latency_ms,
            "error": self.error,
            "answered": bool(self.wrong),
        }


class Probe:
    """One type of probe. A subclass declares what it allows and says how it looks.

    Class attributes:
        type: the key in the inventory.
        target: what the value behind that key is; None where it has none.
        options: the other keys.
        hint: what to do when it fails, one line; may use ``{target}``.
        timeout: seconds for one attempt where the probe does not say.
        raw: whether ``${name}`` is left for the probe itself to fill in.
        speaks: whether an answer with other values than expected can be right, and the expectation wrong.
    """

    type: ClassVar[str] = ""
    target: ClassVar[Option | None] = None
    options: ClassVar[Mapping[str, Option]] = {}
    hint: ClassVar[str] = ""
    raw: ClassVar[bool] = False
    speaks: ClassVar[bool] = False

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec

    @classmethod
    def for_instances(cls, spec: Mapping[str, Any], instances: Sequence[str]) -> Mapping[str, Any]:
        """*spec* as it is asked of a slot of several *instances*, before names are filled in."""
        return spec

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        """Problems between the keys of a canonical probe; each key by itself has been looked at already."""
        return []

    @property
    def changes(self) -> bool:
        """Whether looking leaves traces, so that it must not be done in check mode, and one pass is enough."""
        return False

    @property
    def default_timeout(self) -> float:
        """Seconds for one attempt where the probe does not say."""
        return TIMEOUT

    @property
    def attempt_timeout(self) -> float:
        """Seconds for one attempt."""
        given = self.spec.get("timeout")
        return float(given) if given else self.default_timeout

    def observe(self, context: Context) -> Attempt:
        """Look once. May raise :class:`NotAsExpected`, :class:`CannotJudge` or OSError instead of answering."""
        raise NotImplementedError

    def expectation(self) -> str:
        """What is expected, for people; used where an attempt ends before it can say so itself."""
        return "an answer as expected"

    def run(self, context: Context) -> Attempt:
        """Look once and always answer; what was read from files of secrets is masked."""
        began = time.monotonic()
        try:
            seen = self.observe(context)
        except NotAsExpected as no:
            seen = Attempt(False, no.got, no.expected or self.expectation(), no.detail)
        except CannotJudge as cannot:
            seen = Attempt(False, str(cannot), self.expectation(), error=True)
        except Unreadable as gone:
            seen = Attempt(False, f"{gone.filename}: {gone.strerror}", "a file that can be read", error=True)
        except OSError as error:
            seen = Attempt(False, os_error_text(error, context.timeout), self.expectation())
        mask = context.secrets.mask
        return Attempt(
            ok=seen.ok,
            got=mask(seen.got),
            expected=mask(seen.expected),
            detail=mask(seen.detail),
            latency_ms=seen.latency_ms or round((time.monotonic() - began) * 1000, 1),
            error=seen.error,
            captured=seen.captured,
            wrong=seen.wrong if self.speaks else (),
        )


def judge(
    mismatches: Sequence[Mismatch], expected: str, got: str, detail: str = "", captured: Mapping[str, Any] | None = None
) -> Attempt:
    """An attempt from a comparison: what did not match where something did not, all of it otherwise."""
    if not mismatches:
        return Attempt(True, got, expected, detail, captured=captured or {})
    return Attempt(
        False,
        ", ".join(mismatch.got_text for mismatch in mismatches),
        ", ".join(mismatch.expected_text for mismatch in mismatches),
        detail,
        wrong=tuple(mismatches),
    )


def units_meant(unit: str, names: Mapping[str, Any]) -> list[str]:
    """The units that the name of one stands for: that of a slot, ``${unit}``, for those of all its instances."""
    units = [str(one) for one in names.get("units") or ()]
    return units if units and unit == names.get("unit") else [unit]


def at_least(expected: Any) -> Any:
    """A plain number where only a minimum makes sense, as an operator."""
    return {"ge": expected} if isinstance(expected, (int, float)) and not isinstance(expected, bool) else expected


def at_most(expected: Any) -> Any:
    """A plain number where only a maximum makes sense, as an operator."""
    return {"le": expected} if isinstance(expected, (int, float)) and not isinstance(expected, bool) else expected
