# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster is made beside another one, and what is said to remove it by hand works as it stands.

In a mount namespace of its own, so that nothing of it is on this machine.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove_service
from ansible_collections.phasegate.aistack.plugins.module_utils.node.remove_plan import Places

ROLE = Path(__file__).resolve().parents[3] / "roles/postgres/vars/main.yml"
ROOMS = ("/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql", "/run/postgresql")
SCRIPT = r"""
set -eu
for room in $ROOMS; do mount -t tmpfs none "$room"; chown postgres: "$room"; done
sh -c "$MAKE" main '' "$MAIN" >/dev/null
sh -c "$MAKE" solo '' "$SOLO" >/dev/null
version=$(sh -c "$FIND" solo '')
[ "$(sh -c "$FIND" main '')" = "$version" ]
mkdir -p "/etc/postgresql/$version/solo/conf.d"
echo '# ours' > "/etc/postgresql/$version/solo/conf.d/aistack.conf"
for cluster in main solo; do pg_ctlcluster "$version" "$cluster" start --skip-systemctl-redirect; done
# one of them is gone, or was never started
trap 'for cluster in main solo; do pg_ctlcluster "$version" "$cluster" stop --skip-systemctl-redirect || true; done' EXIT
for place in "main theirs" "solo ours"; do runuser -u postgres -- createdb --cluster "$version/${place% *}" "${place#* }"; done
. "$HERE/way"
echo "looked: $(eval "$look" | cut -d'|' -f1 | tr -d ' ' | grep -E '^(ours|theirs)$')"
eval "$(echo "$one" | sed 's/DATABASE/ours/')"
echo "left: $(eval "$look" | cut -d'|' -f1 | tr -d ' ' | grep -cxE 'ours' || true)"  # none is counted as 0, and says so
eval "$all"
echo "clusters: $(pg_lsclusters --no-header | awk '{ print $2 }')"
echo "settings: $(ls "/etc/postgresql/$version")"
"""


def free() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_a_cluster_beside_another_is_made_and_goes_by_what_is_said(tmp_path: Path) -> None:
    scripts = yaml.safe_load(ROLE.read_text(encoding="utf-8"))
    version = max((path.name for path in Path("/usr/lib/postgresql").iterdir()), key=float)
    state = tmp_path / "state"
    (state / "receipts").mkdir(parents=True)
    files = {f"/etc/postgresql/{version}/solo/pg_hba.conf": "x"}
    (state / "receipts/postgres.json").write_text(json.dumps({"files": files}), encoding="utf-8")
    said = remove_service.by_hand(state, "postgres", Places(registry=tmp_path))
    match = re.fullmatch(r"To look: (.*?); one database away: (.*?); all of them, with the server's settings: (.*)", said)
    assert match, said
    # the units of this machine are not the role's
    look, one, everything = (part.partition(" && rm /etc/systemd")[0].replace("sudo -u postgres", "runuser -u postgres --")
                             for part in match.groups())
    (tmp_path / "way").write_text(f"look='{look}'\none='{one}'\nall='{everything}'\n", encoding="utf-8")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT], cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "ROOMS": " ".join(ROOMS), "HERE": str(tmp_path), "MAIN": free(),
             "SOLO": free(), "MAKE": scripts["__postgres_create"], "FIND": scripts["__postgres_find"]},
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-4:] == ["looked: ours", "left: 0", "clusters: main", "settings: main"], done.stdout + done.stderr
