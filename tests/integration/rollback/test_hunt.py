# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hunt for secrets: everything that a deployment leaves or shows, on nodes and controller, is searched for every one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ..refusals.conftest import ROOT
from .conftest import AFTER, BEFORE, OperatorLab, bring, keep

pytestmark = pytest.mark.whole(beside="molecule/default/tests/test_secrets.py")

NASTY = "q'u\"o$t%e\\b`a@c:k/s#l sp é"
TOKEN = "hunted-T0ken-of-an-index"
LINES = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----"
SAMPLER = """
import os, sys, time
secrets = [s.encode() for s in sys.stdin.read().split("\\0")]
end, seen = time.monotonic() + float(sys.argv[1]), set()
while time.monotonic() < end and not os.path.exists(sys.argv[2]):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                with open("/proc/" + pid + "/cmdline", "rb") as file:
                    words = file.read()
            except OSError:
                continue
            seen.update((words[:120], number) for number, secret in enumerate(secrets) if secret in words)
    time.sleep(0.05)
print(len(seen), [str(words) for words, _number in seen][:5])
"""


def secret_files() -> dict[str, str]:
    """The lab's secrets by name."""
    folder = Path(os.environ.get("AISTACK_SECRETS_DIR") or ROOT / ".lab" / "secrets")
    return {path.name: path.read_text(encoding="utf-8").split()[0] for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def hunted(tmp_path: Path) -> tuple[dict[str, str], list[str]]:
    """Secrets that are looked for, those of the lab, two that need quoting, one of fetching; and the arguments that bring them in."""
    described = yaml.safe_load((ROOT / "inventories/sparklio/group_vars/all/env.yml").read_text(encoding="utf-8"))
    backend = described["aistack_env"]["backend"]
    for name, value in (("SMTP_PW", NASTY), ("SIGNING_PEM", LINES)):
        backend["schema"].append({"name": name, "type": "str", "secret": True})
        backend["values"][name] = value
    # by its name it is secret as a whole, so that the key of the release's artefact stays the same and nothing is built for it
    described["aistack_environment"] = {"UV_HUNT_TOKEN": TOKEN}
    (tmp_path / "env.json").write_text(json.dumps(described))
    more = {"quotes": NASTY, "a line of several": LINES.splitlines()[1], "what fetching needs": TOKEN}
    return {**secret_files(), **more}, ["-e", f"@{tmp_path / 'env.json'}"]


@pytest.fixture
def as_before(lab: OperatorLab) -> Iterator[None]:
    """The backend gets its usual environment back."""
    yield
    bring(lab, AFTER)
    bring(lab, BEFORE)


class Watched:
    """Command lines on the nodes and on the controller, sampled every 50 ms for as long as the block runs."""

    def __init__(self, lab: OperatorLab, secrets: list[str]) -> None:
        self.lab, self.text = lab, "\0".join(secrets)
        self.said: list[str] = []

    def __enter__(self) -> Watched:
        self._processes = []
        for node in ("backend-1", "web-1", ""):
            command = ["python3", "-c", SAMPLER, "300", "/tmp/hunt-over"]
            if node:
                self.lab.on(node, "rm -f /tmp/hunt-over")
                quoted = f"sudo python3 -c '{SAMPLER}' 300 /tmp/hunt-over"
                command = [str(ROOT / "lab" / "bin" / "lab"), "ssh", node, quoted]
            else:
                Path("/tmp/hunt-over").unlink(missing_ok=True)
                command[0] = sys.executable
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdin is not None
            process.stdin.write(self.text)
            process.stdin.close()
            self._processes.append(process)
        return self

    def __exit__(self, *_error: object) -> None:
        for node in ("backend-1", "web-1"):
            self.lab.on(node, "touch /tmp/hunt-over")
        Path("/tmp/hunt-over").touch()
        for process in self._processes:
            assert process.stdout is not None
            self.said.append(process.stdout.read().strip())
            process.wait(timeout=60)
        Path("/tmp/hunt-over").unlink()


# as each of them: environments of all processes that are another's, files of environments, credentials; that they may not is expected,
# so that what they are told then is let go
OTHERS = """
cd /
for user in $(getent passwd | grep -o '^aistack[^:]*'); do
  echo "as $user"
  runuser -u $user -- sh -c '
    for p in /proc/[0-9]*; do [ "$(stat -c %U $p)" = "$0" ] || cat $p/environ; done
    cat /opt/aistack/*/config/*/env /var/lib/aistack/credentials/*' $user 2>/dev/null
done"""
# folders that a node does not have, and processes that end meanwhile, hold no secret: their errors are let go
PLACES = {
    "the system's journal": "journalctl --since '@{since}' --no-pager -o cat",
    "what the node remembers": "cat /var/lib/aistack/journal.jsonl* /var/lib/aistack/components/* /var/lib/aistack/gates/*"
                               " /var/lib/aistack/receipts/* 2>/dev/null",
    "manifests": "cat /opt/aistack/*/releases/*/release.json /opt/aistack/*/releases/*.json 2>/dev/null",
    "files that others may read": "find /opt/aistack /etc /var/lib/aistack /run /usr/local /tmp -xdev -type f -perm -o+r"
                                  " -not -path '*/node_modules/*' -not -path '*/.venv/*' -newermt '@{since}' -exec cat {{}} + 2>/dev/null",
    "environments of the users who build and test": "for p in /proc/[0-9]*; do case $(stat -c %U $p 2>/dev/null) in"
                                                    " aistack-build|aistack-test|nobody) cat $p/environ;; esac; done",
    # as each of them: environments of all processes that are another's, files of environments, credentials
    "what each user of the stack reads of others": OTHERS,
}


@pytest.mark.usefixtures("as_before")
def test_a_deployment_shows_no_secret_anywhere(lab: OperatorLab, hunted: tuple[dict[str, str], list[str]], tmp_path: Path) -> None:
    secrets, environment = hunted
    bring(lab, BEFORE)
    keep(lab, AFTER)
    since = int(time.time()) - 1
    plan = tmp_path / "plan.md"
    with Watched(lab, list(secrets.values())) as watched:
        planned = lab.play("plan", "-e", f"release={AFTER}", "-e", "allow_bad=true", "-e", f"output={plan}", *environment)
        done = lab.play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true", "-e", "drain=true", "--diff", "-vvv", *environment)
    assert planned.rc == 0, planned.text
    assert done.rc == 0, done.text
    done.says("worker: takes in nothing more")
    assert watched.said == ["0 []"] * 3, "on command lines"
    live = lab.on("backend-1", "cat /opt/aistack/backend/slots/live/config/env")
    assert "SMTP_PW" in live  # it was really there to be shown
    texts = {"output of the plan": planned.text, "the plan": plan.read_text(), "output of the deployment": done.text}
    for node in ("backend-1", "web-1"):
        for place, script in PLACES.items():
            # files and processes come and go while they are read; that there was something to search is asserted below
            texts[f"{place} of {node}"] = lab.on(node, script.format(since=since) + " || true")
    assert len(texts["the system's journal of backend-1"]) > 1000
    assert len(texts["output of the deployment"]) > 10000
    asked = texts["what each user of the stack reads of others of backend-1"]
    assert {f"as aistack-{component}" for component in ("backend", "worker", "beat")} <= set(asked.splitlines())
    shown = [(place, name) for place, text in texts.items() for name, secret in secrets.items() if secret in text]
    assert shown == []


def test_the_hunt_finds_what_is_there(lab: OperatorLab) -> None:
    """A secret on a command line is seen, on a node as on the controller."""
    with Watched(lab, ["f0und-by-the-hunt"]) as watched:
        sleeper = threading.Thread(target=lab.on, args=("web-1", "sh -c 'sleep 3; : f0und-by-the-hunt'"))
        sleeper.start()
        subprocess.run(["sh", "-c", "sleep 3; : f0und-by-the-hunt"], check=True)
        sleeper.join()
    assert [said.split()[0] != "0" for said in watched.said] == [False, True, True]
