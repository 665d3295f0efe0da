# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases never change, and the journal tells how they came to live."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

RELEASED = [("backend-1", "backend"), ("web-1", "frontend")]


def release_path(lab: Any, name: str, component: str) -> str:
    """The tree that the live slot runs."""
    path: str = lab.node(name).check_output("readlink -f /opt/aistack/%s/slots/live/release", component)
    return path


@pytest.mark.parametrize(("name", "component"), RELEASED)
def test_release_is_read_only(lab: Any, name: str, component: str) -> None:
    """Nothing in a staged tree can be written by the user that runs it."""
    path = release_path(lab, name, component)
    # folders that this user may not even enter are as they should be
    closed = "-type d '(' -not -readable -o -not -executable ')' -prune"
    find = f"cd / && runuser -u aistack-{component} -- find %s {closed} -o -not -type l -writable -print -quit"
    writable = lab.node(name).check_output(find, path)
    assert writable == ""


@pytest.mark.parametrize(("name", "component"), RELEASED)
def test_release_has_a_manifest(lab: Any, name: str, component: str) -> None:
    """Tag, commit, tree and lock file are in it."""
    manifest = json.loads(lab.node(name).file(release_path(lab, name, component) + "/release.json").content_string)
    assert manifest["tag"] == release_path(lab, name, component).rpartition("/")[2]
    assert len(manifest["commit"]) == 40


@pytest.mark.parametrize(("name", "component"), RELEASED)
def test_live_release_is_good(lab: Any, name: str, component: str) -> None:
    """It was staged, activated and marked good, in this order."""
    tag = release_path(lab, name, component).rpartition("/")[2]
    done = [
        record["op"]
        for record in lab.journal(name)
        if record["component"] == component and record["release"] == tag and record["outcome"] == "ok"
    ]
    assert done.index("stage") < done.index("mark")
    assert "activate" in done


@pytest.mark.parametrize("name", ["backend-1", "gpu-1", "web-1"])
def test_journal_is_a_chain(lab: Any, name: str) -> None:
    """Numbers without a gap; each record carries the hash of the one before and its own."""
    previous = None
    for number, record in enumerate(lab.journal(name), start=1):
        assert record["seq"] == number
        assert previous is None or record["prev"] == previous
        body = {key: value for key, value in record.items() if key != "hash"}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert record["hash"] == hashlib.sha256(canonical.encode()).hexdigest(), record
        previous = record["hash"]


@pytest.mark.parametrize("name", ["backend-1", "gpu-1", "web-1"])
def test_no_lock_is_left(lab: Any, name: str) -> None:
    """Every run gave its lease back."""
    assert not lab.node(name).file("/var/lib/aistack/lock.json").exists


@pytest.mark.parametrize("user", ["aistack-build", "aistack-test"])
@pytest.mark.parametrize(("name", "component"), RELEASED)
def test_who_builds_and_tests_reads_no_secret(lab: Any, name: str, component: str, user: str) -> None:
    """Neither an environment of production, nor a credential, nor the tree of a release, nor what is cached of packages."""
    node = lab.node(name)
    assert node.user(user).shell == "/usr/sbin/nologin"
    assert node.user(user).groups == [user]
    # a node that had its releases laid down has no cache
    folders = f"/opt/aistack/{component}/config /opt/aistack/{component}/releases/*/ $(ls -d /opt/aistack/cache || :) /var/lib/aistack"
    closed = "-type d '(' -not -readable -o -not -executable ')' -prune"
    read = node.check_output(f"cd / && runuser -u %s -- find {folders} {closed} -o -type f -readable -print -quit", user)
    assert read == ""


def test_tests_ran_in_the_sandbox(lab: Any) -> None:
    """The manifest of the release that serves says so; none but made-up variables were there, and its tests passed."""
    tests = json.loads(lab.node("backend-1").file(release_path(lab, "backend-1", "backend") + "/release.json").content_string)["tests"]
    assert [test["sandbox"] for test in tests] == ["systemd"]
    assert "passed" in tests[0]["summary"]


@pytest.mark.parametrize(("name", "component"), RELEASED)
def test_no_file_of_a_release_is_anybody_elses(lab: Any, name: str, component: str) -> None:
    """Who built it owns none of it any more."""
    assert lab.node(name).check_output("find %s -not -user root -print -quit", release_path(lab, name, component)) == ""
