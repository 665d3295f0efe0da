# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket from a backup set: what differs is saved aside, then put back; what came since is saved aside, then removed.

Only objects that the comparison named are touched: what an application puts there meanwhile stays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError, close_to_others
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.bucket import Bucket, Differences
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import (
    Loss,
    RestoreContext,
    enter,
    need,
    place_for,
    shortened,
)

OBJECTS = "objects"


class BucketRestore:
    """One bucket."""

    def __init__(self, context: RestoreContext) -> None:
        self.context = context
        self.bucket = Bucket(context.entry, context.timeout)
        self.source = str(context.path)

    def plan(self, check: bool) -> Loss:
        """Which objects would be replaced, removed, put back."""
        seen = self._compare()
        lines = []
        if seen.changed:
            lines.append(f"{self.bucket}: {len(seen.changed)} objects are replaced by those of the set: {shortened(seen.changed)}")
        if seen.only_second:
            lines.append(f"{self.bucket}: {len(seen.only_second)} objects that came since are removed: {shortened(seen.only_second)}")
        if seen.only_first:
            lines.append(f"{self.bucket}: {len(seen.only_first)} objects that are gone come back: {shortened(seen.only_first)}")
        counts = {
            "replaced": len(seen.changed), "removed": len(seen.only_second), "returned": len(seen.only_first), "same": seen.same,
        }
        return Loss(lines or [f"{self.bucket}: nothing differs"], counts, bool(lines))

    def _compare(self) -> Differences:
        return self.bucket.compare(self.source, self.bucket.place)

    def run(self) -> dict[str, object]:
        """Put it back; returns C(replaced), C(removed), C(returned) (numbers) and C(kept), the folder with what was there."""
        seen = self._compare()
        result: dict[str, Any] = {
            "replaced": len(seen.changed), "removed": len(seen.only_second), "returned": len(seen.only_first), "kept": "",
        }
        if not seen.names:
            return result
        going = sorted([*seen.changed, *seen.only_second])
        if going:
            result["kept"] = self._keep(going)
        self._each("copy", sorted([*seen.changed, *seen.only_first]), self.source, self.bucket.place, "--metadata", "--ignore-times")
        self._each("delete", seen.only_second, self.bucket.place)
        left = sorted(set(self._compare().names) & set(seen.names))
        if left:
            raise PartError(
                f"{self.bucket}: {len(left)} objects are not as the set has them, {left[0]!r} among them: somebody wrote them meanwhile."
                f" What was there before is in {result['kept'] or 'no folder, nothing was replaced'}. Stop who writes, and run again."
            )
        return result

    def _keep(self, names: Sequence[str]) -> str:
        """Save what is going to be replaced or removed; returns the folder."""
        sizes = self.bucket.listing()
        need(self.context.state_dir, sum(sizes.get(name, (0, ""))[0] for name in names), self.context.min_free, self.context.title)
        place = place_for(self.context)
        kept = place / OBJECTS
        kept.mkdir(mode=0o700)
        enter(self.context, place, what=f"objects of bucket {self.bucket.name}", objects=len(names))
        self._each("copy", names, self.bucket.place, str(kept), "--checksum", "--metadata")
        close_to_others(place)
        seen = self.bucket.compare(str(kept), self.bucket.place)
        if seen.changed or seen.same < len(names):
            raise PartError(
                f"{self.bucket}: {len(names)} objects were to be saved in {kept} before they are replaced, {seen.same} are there as the"
                " bucket has them. Nothing was changed in the bucket. Stop who writes there, and run again."
            )
        return str(kept)

    def _each(self, verb: str, names: Sequence[str], *words: str) -> None:
        """One command of rclone for exactly these objects."""
        if not names:
            return
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="aistack-objects-", delete=True) as stream:
            os.chmod(stream.name, 0o600)
            stream.write("".join(f"{name}\n" for name in names))
            stream.flush()
            self.bucket.rclone(verb, *words, "--files-from-raw", stream.name)
