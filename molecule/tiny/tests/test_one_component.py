# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verbs for one component: a command beside what is live, its log, and a component that goes."""

from __future__ import annotations

from typing import Any

LAY = r"""
set -eu
id -u aistack-extra >/dev/null 2>&1 ||
  useradd --system --gid aistack --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin aistack-extra
printf '[Service]\nUser=aistack-extra\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
  > /etc/systemd/system/aistack-extra@.service
mkdir -p /opt/tiny/extra/releases/v1 /opt/tiny/cache/extra /var/lib/aistack-extra /var/lib/tiny/gates
sed 's/aistack-api@/aistack-extra@/; s/"\(component\|source\)": "api"/"\1": "extra"/' /var/lib/tiny/components/api.json \
  > /var/lib/tiny/components/extra.json
echo '{}' > /var/lib/tiny/gates/extra.json
systemctl daemon-reload
systemctl enable --quiet --now aistack-extra@blue
"""
# `|| true`: what is not there is what is looked for, and no failure of looking
LEFT = r"""
find /etc /var/lib /run/systemd -xdev -name '*aistack-extra*'
ls -d /opt/tiny/extra /opt/tiny/cache/extra /var/lib/tiny/*/extra.json 2>/dev/null || true
systemctl list-units --all --plain --no-legend 'aistack-extra*'
getent passwd aistack-extra || true
"""


def test_a_command_runs_beside_what_is_live(lab: Any) -> None:
    """In its environment, as its user, in its sandbox; the exit status is the command's, and the journal has it."""
    node = lab.node("gpu-1")
    ran = node.run("aistack --stack tiny run api -- sh -c 'echo $GREETING $AISTACK_RELEASE; id -un; touch /etc/x; exit 7'")
    assert ran.rc == 7, ran
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("hello v"), lines
    assert lines[1] == "aistack-api"
    assert "Read-only file system" in lines[2]
    assert "exit status 7" in node.check_output("aistack --stack tiny journal --lines 2")
    lab.play("playbooks/run.yml", "-e", "component=api", "-e", "command=python -c 'import os; os.kill'").ended_well()
    assert "python -c" in node.check_output("aistack --stack tiny journal --lines 1")
    assert "aistack-api@" in node.check_output("aistack --stack tiny logs api --lines 5")


def test_a_component_goes_and_nothing_of_it_is_left(lab: Any) -> None:
    """One that the inventory does not name goes after consent; one that it names is refused."""
    node = lab.node("gpu-1")
    assert "is in aistack_components" in " ".join(lab.play("playbooks/remove.yml", "-e", "component=api").ended_badly().output.split())
    node.check_output(LAY)
    said = lab.play("playbooks/remove.yml", "-e", "component=extra").ended_badly().output
    assert "-e confirm=extra" in " ".join(said.split())
    said = " ".join(lab.play("playbooks/remove.yml", "-e", "component=extrra", "-e", "confirm=extrra").ended_badly().output.split())
    assert "did you mean extra?); nothing was done" in said
    assert node.check_output("systemctl is-active aistack-extra@blue") == "active", "nothing was touched"
    lab.play("playbooks/remove.yml", "-e", "component=extra", "-e", "confirm=extra", "-e", "data=true").ended_well()
    assert node.check_output(LEFT) == ""
    # one of the two slots is not active, which is no failure
    assert "active" in node.check_output("systemctl is-active aistack-api@blue aistack-api@green || true").split()
