# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring buckets, applications' keys and their policies to what is declared.

Reads one JSON object on standard input; prints one line for each change that was made, or would be made in check
mode; nothing printed means nothing to do. With C(observe) it prints one JSON object instead: for each key whether it is C(known) and
C(logs_in) with that secret. Secrets reach the client by its own configuration, in a folder for this run alone, or its standard input,
and are not part of any message.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

OTHER_SECRETS = 3


class Failure(Exception):
    """What happened, expected, got, and what to do."""


class Client:
    """The command-line client of the server, speaking as one key."""

    def __init__(self, wanted: dict[str, Any], key: str, secret: str, home: str) -> None:
        certificate = wanted.get("certificate")  # the server's own, the only one that is trusted
        # a file, because the client takes what stands in MC_HOST_… as it is, so that a secret with : / or @ cannot be said there
        place = tempfile.mkdtemp(prefix="mc-", dir=home)
        alias = {"url": f"{'https' if certificate else 'http'}://{wanted['endpoint']}", "accessKey": key, "secretKey": secret,
                 "api": "S3v4", "path": "auto"}
        with open(os.open(os.path.join(place, "config.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"version": "10", "aliases": {"s3": alias}}, file)
        self._command = [wanted["mc"], "--config-dir", place, "--quiet", "--json", "--no-color"]
        self._environment = {"PATH": os.environ.get("PATH", ""), "HOME": home}
        if certificate:
            self._environment.update(SSL_CERT_FILE=certificate, SSL_CERT_DIR=home)

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, list[dict[str, Any]], str]:
        """Exit status, the JSON objects printed, and the text of the first error."""
        done = subprocess.run(
            [*self._command, *arguments], input=stdin, env=self._environment, capture_output=True, text=True, timeout=60, check=False,
        )
        objects = []
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                objects.append(json.loads(line))
        errors = [item["error"]["cause"]["message"] for item in objects if item.get("status") == "error"]
        return done.returncode, objects, errors[0] if errors else done.stderr.strip()[-500:]

    def require(self, what: str, *arguments: str, stdin: str = "") -> list[dict[str, Any]]:
        """Run; a failure names what was attempted and what the server said."""
        status, objects, error = self.run(*arguments, stdin=stdin)
        if status != 0:
            raise Failure(f"{what}: the server said: {error or f'exit status {status}'}")
        return objects


def policy_for(buckets: list[str]) -> dict[str, Any]:
    """Reading, writing and listing in the named buckets, and nothing else."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                "Resource": [f"arn:aws:s3:::{name}" for name in sorted(buckets)],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                "Resource": [f"arn:aws:s3:::{name}/*" for name in sorted(buckets)],
            },
        ],
    }


def canonical(policy: Any) -> str:
    """A policy as text in which only its meaning makes a difference."""
    statements = [{key: sorted(value) if isinstance(value, list) else value for key, value in item.items()}
                  for item in policy.get("Statement", [])]
    return json.dumps(sorted(statements, key=lambda item: json.dumps(item, sort_keys=True)), sort_keys=True)


def wait(root: Client, wanted: dict[str, Any], seconds: float = 30.0) -> bool:
    """Whether the server answers the administrator within so many seconds."""
    deadline = time.monotonic() + (0 if wanted["check"] else seconds)
    while True:
        status, _objects, error = root.run("ls", "s3")
        if status == 0:
            return True
        if time.monotonic() >= deadline or "Access Key" in error or "signature" in error:
            if wanted["check"] and not wanted.get("observe"):
                return False
            raise Failure(
                f"The S3 server at {wanted['endpoint']} does not serve its administrator: expected a list of buckets, got: {error}. "
                "Read the unit's log; if the password was changed in the inventory, run the role again in full."
            )
        time.sleep(0.3)


def make_buckets(root: Client, wanted: dict[str, Any]) -> None:
    """Create missing buckets; bring versioning to what is declared."""
    existing = {item["key"].rstrip("/") for item in root.require("listing buckets", "ls", "s3") if "key" in item}
    for bucket in wanted["buckets"]:
        name = bucket["name"]
        if name not in existing:
            print(f"bucket {name}: created")
            if wanted["check"]:
                continue
            root.require(f"bucket {name}: creating", "mb", f"s3/{name}")
        if "versioning" in bucket:
            answer = root.require(f"bucket {name}: reading versioning", "version", "info", f"s3/{name}")
            is_on = any((item.get("versioning") or {}).get("status") == "Enabled" for item in answer)
            if is_on != bucket["versioning"]:
                print(f"bucket {name}: versioning {'on' if bucket['versioning'] else 'off'}")
                if not wanted["check"]:
                    root.require(f"bucket {name}: versioning", "version", "enable" if bucket["versioning"] else "suspend", f"s3/{name}")


def seen(root: Client, wanted: dict[str, Any], user: dict[str, Any], home: str) -> tuple[dict[str, Any], bool]:
    """What the server says of a key (nothing where it does not know it), and whether it lets the key in with that secret."""
    status, answer, _error = root.run("admin", "user", "info", "s3", user["key"])
    known = answer[0] if status == 0 and answer else {}
    as_user = Client(wanted, user["key"], user["secret"], home)
    return known, bool(known) and known.get("userStatus") == "enabled" and "signature" not in as_user.run("ls", "s3")[2]


def remove_user(root: Client, wanted: dict[str, Any], key: str) -> None:
    """Remove a key and its policy, where they are there."""
    for what, name in (("user", key), ("policy", f"aistack-{key}")):
        if root.run("admin", what, "info", "s3", name)[0] == 0:
            print(f"key {key}: {'removed' if what == 'user' else 'policy removed'}")
            if not wanted["check"]:
                root.require(f"key {key}: removing the {what}", "admin", what, "remove", "s3", name)


def make_user(root: Client, wanted: dict[str, Any], user: dict[str, Any], home: str) -> bool:
    """Create a key or change its secret; give it the policy of its buckets. False where its secret would change and must not."""
    key, check = user["key"], wanted["check"]
    name, policy = f"aistack-{key}", policy_for(user["buckets"])
    status, answer, _error = root.run("admin", "policy", "info", "s3", name)
    current = (answer[0].get("policyInfo") or {}).get("Policy") if status == 0 and answer else None
    if current is None or canonical(current) != canonical(policy):
        print(f"key {key}: policy for {', '.join(user['buckets'])}")
        if not check:
            path = os.path.join(home, "policy.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(policy, file)
            root.require(f"policy {name}: creating", "admin", "policy", "create", "s3", name, path)
    known, logs_in = seen(root, wanted, user, home)
    may = not known or wanted["change"]
    if not logs_in and may:
        print(f"key {key}: {'secret changed' if known else 'created'}")
        if not check:
            root.require(f"key {key}: creating", "admin", "user", "add", "s3", stdin=f"{key}\n{user['secret']}\n")
    if name not in (known.get("policyName") or "").split(","):
        print(f"key {key}: policy attached")
        if not check:
            root.require(f"key {key}: attaching its policy", "admin", "policy", "attach", "s3", name, "--user", key)
    return logs_in or may


def main() -> int:
    """Exit status: 0, 1 with the failure on standard error, or 3 with the keys whose secrets would change unless C(change) is given."""
    wanted = json.load(sys.stdin)
    if wanted["check"] and not os.path.exists(wanted["mc"]):
        if wanted.get("observe"):
            print("{}")
            return 0
        for bucket in wanted["buckets"]:
            print(f"bucket {bucket['name']}: created")
        for user in wanted["users"]:
            print(f"key {user['key']}: created")
        return 0
    with tempfile.TemporaryDirectory(prefix="aistack-s3-") as home:
        root = Client(wanted, wanted["root"]["key"], wanted["root"]["secret"], home)
        try:
            if not wait(root, wanted):
                print("buckets and keys: compared once the server runs with these settings")
                return 0
            if wanted.get("observe"):
                found = {user["key"]: seen(root, wanted, user, home) for user in wanted["users"]}
                print(json.dumps({key: {"known": bool(known), "logs_in": logs_in} for key, (known, logs_in) in found.items()}))
                return 0
            make_buckets(root, wanted)
            kept = [user["key"] for user in wanted["users"] if not make_user(root, wanted, user, home)]
            for key in wanted.get("absent", []):
                remove_user(root, wanted, key)
            if kept:
                print("\n".join(kept), file=sys.stderr)
                return OTHER_SECRETS
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
