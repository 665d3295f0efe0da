# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack goes from its node, on which the lab's own stays. Named so that it comes last: the next converge brings it back."""

from __future__ import annotations

from typing import Any

# `|| true`: what is not there is what is looked for, and no failure of looking
LEFT = r"""
find /etc /usr/local -xdev '(' -name '*tiny*' -o -name 'aistack-api*' -o -name 'aistack-site*' ')'
ls -d /opt/tiny /var/lib/tiny 2>/dev/null || true
ls -d /var/lib/aistack-api /var/lib/aistack-site /var/cache/aistack-api* /var/cache/aistack-site* 2>/dev/null || true
ls /var/lib/systemd/timers | grep tiny || true
systemctl list-units --all --plain --no-legend 'aistack-api*' 'aistack-site*' '*@tiny.*'
getent passwd aistack-api aistack-site || true
grep -s 'stack tiny' /etc/haproxy/haproxy.cfg || true
ss -ltnH '( sport = :8443 or sport = :8080 or sport = :8090 )'
"""
# what is the other stack's, and what both share
STAYS = r"""
sha256sum /etc/aistack/lab.json /etc/systemd/system/aistack-reconcile@.service /etc/systemd/system/aistack-backup@lab.*
systemctl show -p MainPID,ActiveState,UnitFileState ollama.service comfyui.service aistack-backup@lab.timer
getent passwd aistack aistack-build aistack-test ollama comfyui
ls /var/lib/ollama /var/lib/comfyui
"""
KEPT = "ls -d /var/lib/tiny.removed-* 2>/dev/null || true"  # likewise


def test_the_whole_stack_goes_and_the_one_beside_it_stays(lab: Any) -> None:
    """What is left is listed; what nobody can make again is put aside; done once more, it changes nothing."""
    node = lab.node("gpu-1")
    assert "aistack-api" in node.check_output(LEFT)
    stays, kept = node.check_output(STAYS), node.check_output(KEPT).split()
    said = lab.play("playbooks/remove.yml", "-e", "stack=tiny", "-e", "confirm=tiny").ended_well().output
    assert "would remove /opt/tiny\n" in said
    assert node.check_output(LEFT) == ""
    assert node.check_output(STAYS) == stays
    (place,) = set(node.check_output(KEPT).split()) - set(kept)
    assert place in said
    assert node.check_output("stat -c '%%U %%a' %s; ls %s", place, place).split()[:2] == ["root", "700"]
    assert '"remove"' in node.check_output("tail -n 1 %s/journal.jsonl", place)
    again = lab.play("playbooks/remove.yml", "-e", "stack=tiny", "-e", "confirm=tiny").ended_well()
    assert "nothing of it is here" in again.output
    assert again.changed == {"gpu-1": 0}
    node.check_output("rm -r %s", place)
