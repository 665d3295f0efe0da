# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that brings buckets, keys and policies to what is declared, against a client that keeps its server in a file."""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "minio" / "files" / "provision.py"
SECRET, ROOT_SECRET = "user-Secret/1", "root-Secret/1"
# The client's commands as far as the script uses them; every call is noted, with what a bystander could see of it.
CLIENT = """\
import json, os, sys
from urllib.parse import urlsplit
STATE = {state!r}
with open(STATE) as file:
    state = json.load(file)
words = [word for word in sys.argv[3:] if not word.startswith("--") or word == "--user"]
state["calls"].append(sys.argv[1:])
folder = sys.argv[sys.argv.index("--config-dir") + 1]
config = os.path.join(folder, "config.json")
state["modes"] = [oct(os.stat(path).st_mode & 0o777) for path in (folder, config)]
with open(config) as file:
    described = json.load(file)
assert described["version"] == "10"
alias = described["aliases"]["s3"]
assert (alias["api"], alias["path"]) == ("S3v4", "auto")
state["trust"] = [urlsplit(alias["url"]).scheme, os.environ.get("SSL_CERT_FILE")]
key, secret = alias["accessKey"], alias["secretKey"]  # as they stand there: nothing is encoded in any way


def end(*objects):
    with open(STATE, "w") as file:
        json.dump(state, file)
    for item in objects:
        print(json.dumps(item))
    sys.exit(1 if any(item["status"] == "error" for item in objects) else 0)


def error(message):
    end({{"status": "error", "error": {{"cause": {{"message": message}}}}}})


if state["down"]:
    error("connection refused")
secrets = dict({{name: user["secret"] for name, user in state["users"].items()}}, root=state["root"])
if secrets.get(key) != secret:
    error("The request signature we calculated does not match the signature you provided")
ok, name = {{"status": "success"}}, words[-1].partition("/")[2]
if words == ["ls", "s3"]:
    end(*[dict(ok, key=name + "/") for name in state["buckets"]])
if key != "root":
    error("Access Denied.")
if words[0] == "mb":
    state["buckets"][name] = None
    end(ok)
if words[0] == "version":
    if words[1] == "info":
        end(dict(ok, versioning={{"status": state["buckets"][name] or ""}}))
    state["buckets"][name] = "Enabled" if words[1] == "enable" else "Suspended"
    end(ok)
if words[:3] == ["admin", "policy", "info"]:
    end(dict(ok, policyInfo={{"Policy": state["policies"][words[4]]}})) if words[4] in state["policies"] else error("no such policy")
if words[:3] == ["admin", "policy", "create"]:
    with open(words[5]) as file:
        state["policies"][words[4]] = json.load(file)
    end(ok)
if words[:3] == ["admin", "policy", "attach"]:
    state["users"][words[6]]["policy"] = words[4]
    end(ok)
if words[:3] == ["admin", "user", "info"]:
    user = state["users"].get(words[4])
    end(dict(ok, userStatus=user["status"], policyName=user["policy"])) if user else error("no such user")
if words[:3] == ["admin", "user", "add"]:
    name, secret = sys.stdin.read().splitlines()
    state["users"][name] = dict({{"policy": ""}}, **state["users"].get(name, {{}}))
    state["users"][name].update(secret=secret, status="enabled")
    end(ok)
if words[:3] == ["admin", "user", "remove"]:
    del state["users"][words[4]]
    end(ok)
if words[:3] == ["admin", "policy", "remove"]:
    del state["policies"][words[4]]
    end(ok)
error("unknown command: " + " ".join(words))
"""
WANTED = {
    "endpoint": "127.0.0.1:9000",
    "root": {"key": "root", "secret": ROOT_SECRET},
    "buckets": [{"name": "assets", "versioning": True}, {"name": "scratch"}],
    "users": [{"key": "app", "secret": SECRET, "buckets": ["scratch", "assets"]}],
    "absent": [],
    "change": True,
    "check": False,
}


@pytest.fixture(scope="module")
def provision() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aistack_provision", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server:
    """What the server holds, and the script run against it."""

    def __init__(self, provision: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.provision, self.monkeypatch, self.capsys = provision, monkeypatch, capsys
        self.state, self.client = folder / "state.json", folder / "mc"
        self.client.write_text(f"#!{sys.executable} -IS\n" + CLIENT.format(state=str(self.state)), encoding="utf-8")
        self.client.chmod(0o755)
        self.wanted: dict[str, Any] = dict(copy.deepcopy(WANTED), mc=str(self.client))
        self.put({"down": False, "root": ROOT_SECRET, "buckets": {}, "policies": {}, "users": {}, "calls": [], "trust": ["http", None]})

    def put(self, state: dict[str, Any]) -> None:
        self.state.write_text(json.dumps(state), encoding="utf-8")

    def get(self) -> dict[str, Any]:
        held: dict[str, Any] = json.loads(self.state.read_text(encoding="utf-8"))
        return held

    def change(self, **changes: Any) -> None:
        self.put(dict(self.get(), **changes))

    def run(self, status: int = 0) -> list[str]:
        """Lines on standard output, or on standard error where it is to fail."""
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(self.wanted)))
        got = self.provision.main()
        seen = self.capsys.readouterr()
        assert got == status, seen
        assert SECRET not in seen.out + seen.err
        assert ROOT_SECRET not in seen.out + seen.err
        return (seen.err if status else seen.out).splitlines()


@pytest.fixture
def server(provision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Server:
    return Server(provision, tmp_path, monkeypatch, capsys)


FRESH = [
    "bucket assets: created",
    "bucket assets: versioning on",
    "bucket scratch: created",
    "key app: policy for scratch, assets",
    "key app: created",
    "key app: policy attached",
]


def test_from_nothing_to_declared_and_then_nothing(server: Server) -> None:
    assert server.run() == FRESH
    state = server.get()
    assert state["buckets"] == {"assets": "Enabled", "scratch": None}
    assert state["users"]["app"] == {"secret": SECRET, "status": "enabled", "policy": "aistack-app"}
    assert server.run() == []


def test_over_tls_it_trusts_the_servers_own_certificate(server: Server) -> None:
    server.run()
    assert server.get()["trust"] == ["http", None]
    server.wanted["certificate"] = "/etc/minio/certs/public.crt"
    assert server.run() == []
    assert server.get()["trust"] == ["https", "/etc/minio/certs/public.crt"]


@pytest.mark.parametrize("secret", ["Zm9vYmFy/K58+n91UW5==", 'pa"ss\\word-12chars', "p@ss:w/rd%20'$x y#é"])
def test_any_secret_reaches_the_server_as_it_is(server: Server, secret: str) -> None:
    server.change(root=secret)
    server.wanted["root"]["secret"] = server.wanted["users"][0]["secret"] = secret
    assert server.run() == FRESH
    assert server.get()["users"]["app"]["secret"] == secret
    assert server.run() == [], "a secret that fits is not set again"


def test_the_clients_configuration_is_for_its_own_eyes(server: Server) -> None:
    server.run()
    assert server.get()["modes"] == ["0o700", "0o600"]


def test_no_secret_is_an_argument(server: Server) -> None:
    server.run()
    calls = json.dumps(server.get()["calls"])
    assert "admin" in calls
    assert SECRET not in calls
    assert ROOT_SECRET not in calls


def held(server: Server) -> dict[str, Any]:
    return {key: value for key, value in server.get().items() if key not in ("calls", "modes")}


def test_check_mode_says_it_and_changes_nothing(server: Server) -> None:
    server.wanted["check"] = True
    before = held(server)
    assert server.run() == [line for line in FRESH if "versioning" not in line]  # asked of a bucket that is there only
    assert held(server) == before


def test_check_mode_without_the_client_or_the_server(server: Server) -> None:
    server.wanted["check"] = True
    server.change(down=True)
    assert server.run() == ["buckets and keys: compared once the server runs with these settings"]
    server.wanted["mc"] = "/nowhere/mc"
    assert server.run() == ["bucket assets: created", "bucket scratch: created", "key app: created"]


def test_what_was_turned_by_hand_is_turned_back(server: Server) -> None:
    server.run()
    state = server.get()
    state["buckets"]["assets"] = "Suspended"
    state["policies"]["aistack-app"]["Statement"][0]["Action"].append("s3:*")
    state["users"]["app"].update(secret="other", policy="")
    server.put(state)
    assert server.run() == [
        "bucket assets: versioning on", "key app: policy for scratch, assets", "key app: secret changed", "key app: policy attached",
    ]
    assert server.run() == []


def test_a_secret_that_must_not_change_stays_and_is_told(server: Server) -> None:
    server.run()
    state = server.get()
    state["users"]["app"].update(secret="other", policy="")
    server.put(state)
    server.wanted.update(change=False, users=[*server.wanted["users"], {"key": "new", "secret": SECRET, "buckets": ["assets"]}])
    assert server.run(status=3) == ["app"]
    users = server.get()["users"]
    assert users["app"]["secret"] == "other"
    assert users["new"]["secret"] == SECRET, "a key that nobody has yet is made"
    server.wanted["change"] = True
    assert server.run() == ["key app: secret changed"]


def test_looking_tells_who_is_let_in_and_changes_nothing(server: Server) -> None:
    server.run()
    before = held(server)
    others = [{"key": "app", "secret": "wrong", "buckets": []}, {"key": "unknown", "secret": SECRET, "buckets": []}]
    server.wanted.update(observe=True, check=True)
    assert json.loads(server.run()[0]) == {"app": {"known": True, "logs_in": True}}
    server.wanted["users"] = others
    assert json.loads(server.run()[0]) == {
        "app": {"known": True, "logs_in": False}, "unknown": {"known": False, "logs_in": False},
    }
    assert held(server) == before
    server.change(down=True)
    assert "does not serve its administrator" in server.run(1)[0], "a server that is down is not one that has no such key"


def test_a_key_is_taken_away_with_its_policy_once(server: Server) -> None:
    server.run()
    server.wanted.update(users=[], absent=["app"])
    assert server.run() == ["key app: removed", "key app: policy removed"]
    assert (server.get()["users"], server.get()["policies"]) == ({}, {})
    assert server.run() == []


def test_a_disabled_key_is_enabled(server: Server) -> None:
    server.run()
    state = server.get()
    state["users"]["app"]["status"] = "disabled"
    server.put(state)
    assert server.run() == ["key app: secret changed"]
    assert server.get()["users"]["app"]["status"] == "enabled"


def test_the_order_in_a_policy_means_nothing(server: Server) -> None:
    server.run()
    state = server.get()
    statements = state["policies"]["aistack-app"]["Statement"]
    statements.reverse()
    statements[0]["Action"].reverse()
    server.put(state)
    assert server.run() == []


def test_another_password_than_the_servers_fails_at_once_with_a_remedy(server: Server) -> None:
    server.wanted["root"]["secret"] = "wrong"
    (line,) = server.run(status=1)
    assert "127.0.0.1:9000" in line
    assert "signature" in line
    assert "run the role again" in line


def test_a_policy_reaches_its_buckets_only(provision: ModuleType) -> None:
    reach = {item for statement in provision.policy_for(["b", "a"])["Statement"] for item in statement["Resource"]}
    assert reach == {"arn:aws:s3:::a", "arn:aws:s3:::b", "arn:aws:s3:::a/*", "arn:aws:s3:::b/*"}
