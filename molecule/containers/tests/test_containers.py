# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that are images: switched under requests, taken back, and refused where they are no good. The tests follow one another."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from nodes import settings

NODES = ("docker-1", "docker-2")
QUICK = {"interval": 1, "successes": 2, "min_healthy_time": 2, "deadline": 20}
STATE, ROOT = "/var/lib/boxes", "/opt/boxes"


def health(lab: Any, name: str) -> dict[str, str]:
    """What the edge of a node answers."""
    client = http.client.HTTPConnection(lab.addresses[name], 8080, timeout=30)
    try:
        client.request("GET", "/health")
        answer = client.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return dict(json.loads(body))
    finally:
        client.close()


@contextlib.contextmanager
def visitors(lab: Any) -> Iterator[list[str]]:
    """Somebody asks each node all the time; what went wrong, and at least a hundred answers."""
    lost: list[str] = []
    answered = dict.fromkeys(NODES, 0)
    over = threading.Event()

    def visit(name: str) -> None:
        while not over.is_set():
            try:
                assert health(lab, name)["status"] == "ok"
                answered[name] += 1
            except (AssertionError, OSError, ValueError, http.client.HTTPException) as problem:
                lost.append(f"{name}: {problem!r}")
            over.wait(0.02)

    users = [threading.Thread(target=visit, args=(name,), daemon=True) for name in NODES]
    for user in users:
        user.start()
    try:
        yield lost
        deadline = time.monotonic() + 30  # what is quickly done says little by few answers: they go on until it says something
        while min(answered.values()) <= 100 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        over.set()
        for user in users:
            user.join(60)
    assert min(answered.values()) > 100, answered
    assert lost == [], lost[:5]


def live(lab: Any) -> set[str]:
    """The versions that answer."""
    return {health(lab, name)["version"] for name in NODES}


def deploy(lab: Any, release: str, *more: str) -> Any:
    """Deploy a release, as an operator does."""
    return lab.play("playbooks/deploy.yml", "-e", f"release={release}", "-e", "backup=false", *more)


def containers(lab: Any, name: str, *, still: bool = True) -> list[str]:
    """Names of the containers of a node, those that stand *still* as well."""
    return sorted(lab.node(name).check_output(f"docker ps {'--all ' if still else ''}--format '{{{{.Names}}}}'").split())


def test_a_container_is_closed_but_for_what_its_description_opens(lab: Any) -> None:
    """Its user, its file system, its rights, where it listens, what it gets; and nobody reads the environment beside root."""
    node = lab.node("docker-1")
    slot = node.check_output(f"readlink {ROOT}/api/slots/live")
    seen = json.loads(node.check_output(f"docker inspect aistack-api-{slot}"))[0]
    host = seen["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (True, ["ALL"], [], ["no-new-privileges:true"])
    assert host["RestartPolicy"]["Name"] == "no", "systemd starts it, as it starts any slot"
    assert [bound["HostIp"] for ports in host["PortBindings"].values() for bound in ports] == ["127.0.0.1"]
    assert seen["Config"]["User"].split(":")[0] == node.check_output("id -u aistack-api")
    assert seen["Image"] == json.loads(node.file(f"{ROOT}/api/slots/live/release/release.json").content_string)["images"]["api"]["digest"]
    assert health(lab, "docker-1")["greeting"] == 'hello "$HOME" & co', "values come as they are"
    assert node.check_output(f"stat -c '%U %a' /run/aistack-api-{slot}/compose.json") == "root 600"
    token = node.check_output(f"sed -n 's/^TOKEN=\"\\(.*\\)\"/\\1/p' {ROOT}/api/slots/live/config/env")
    assert len(token) > 10
    assert token not in node.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert token not in node.check_output(f"journalctl --unit 'aistack-api@*' --output cat; cat {STATE}/journal.jsonl")
    assert node.check_output("getent group docker").endswith(":")


def test_a_command_runs_beside_it_and_leaves_nothing(lab: Any) -> None:
    """In a container of its own, of the same image, user, environment and folders; masked, in the journal, and with its exit status."""
    node = lab.node("docker-1")
    before = node.check_output("docker ps --all --quiet; docker network ls --quiet")
    said = node.run("aistack run api --line 'sh -c \"id -u; echo $AISTACK_RELEASE $TOKEN; ls -d $AISTACK_DATA/notes; exit 3\"'")
    lines = said.stdout.splitlines()
    assert said.rc == 3, said.stdout + said.stderr
    assert lines[0] == node.check_output("id -u aistack-api")
    assert lines[1] == f"{health(lab, 'docker-1')['version']} ****[TOKEN]"
    assert lines[2] == f"{STATE}/data/api/notes"
    assert node.check_output("docker ps --all --quiet; docker network ls --quiet") == before


def test_a_new_image_takes_over_without_a_lost_request(lab: Any) -> None:
    """Built on both nodes before anything is switched; a note that the release before wrote is there."""
    node = lab.node("docker-1")
    node.check_output("curl -sS --fail -X PUT http://10.89.77.15:8080/notes/a")
    with visitors(lab):
        deploy(lab, "v1.1.0").ended_well()
    assert live(lab) == {"v1.1.0"}
    assert json.loads(node.check_output("curl -sS --fail http://10.89.77.15:8080/notes/a")) == {"by": "v1.0.0"}
    records = [json.loads(line) for line in node.check_output(f"cat {STATE}/journal.jsonl").splitlines()]
    done = [(record["op"], record["release"]) for record in records if record["outcome"] == "ok" and record["op"] in ("stage", "activate")]
    assert done[-2:] == [("stage", "v1.1.0"), ("activate", "v1.1.0")]


def test_nodes_go_back_by_themselves_without_a_lost_request(lab: Any) -> None:
    """A shell on the node and nothing else: what was live before is, within seconds; then the same release goes live again."""
    with visitors(lab):
        for name in NODES:
            began = time.monotonic()
            lab.node(name).check_output("aistack rollback --reason 'the lab looks at the way back'")
            assert time.monotonic() - began < 30
    assert live(lab) == {"v1.0.0"}


def test_what_is_no_good_takes_no_request(lab: Any) -> None:
    """Ends at once, is not well, never answers, cannot be built, has no Dockerfile, is no version: what served serves."""
    node = lab.node("docker-1")
    with visitors(lab):
        for release, said in (
            ("v1.2.0", "no licence"),
            ("v1.3.0", "status"),
            ("v1.4.0", "it will not do"),
            ("v1.6.0", "has no Dockerfile in api"),
            ("v1.7.0", "did not pass its gate"),
            ("next", "gives no version of an image"),
        ):
            output = deploy(lab, release, "-e", json.dumps({"release_gate_settings": QUICK})).ended_badly().output
            assert said in output, output[-3000:]
            assert live(lab) == {"v1.0.0"}, release
    slot = node.check_output(f"readlink {ROOT}/api/slots/live")
    assert containers(lab, "docker-1") == [f"aistack-api-{slot}"], "nothing of them is left"
    left = node.check_output("docker images --format '{{.Repository}}:{{.Tag}}'").split()
    assert not [name for name in left if name.startswith("api:1.4.0")]


def test_what_was_live_goes_back_everywhere_by_the_verb(lab: Any) -> None:
    """Deployed again, then rolled back from the controller."""
    with visitors(lab):
        deploy(lab, "v1.1.0", "-e", "allow_bad=true").ended_well()
        assert live(lab) == {"v1.1.0"}
        lab.play("playbooks/emergency_rollback.yml", "-e", "reason=looks").ended_well()
    assert live(lab) == {"v1.0.0"}


def test_a_container_that_dies_is_started_again(lab: Any) -> None:
    """By systemd, which counts it; and one that somebody removed is made anew."""
    node = lab.node("docker-1")
    slot = node.check_output(f"readlink {ROOT}/api/slots/live")
    for command in ("kill", "rm --force"):
        node.check_output(f"docker {command} aistack-api-{slot}")
        _until_well(lab, "docker-1")
    restarts = node.check_output(f"systemctl show --property=NRestarts --value aistack-api@{slot}.service")
    assert int(restarts) >= 2


def _until_well(lab: Any, name: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    time.sleep(1)
    while True:
        try:
            assert health(lab, name)["status"] == "ok"
            return
        except (AssertionError, OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, f"{name} did not come back within {seconds} s"
            time.sleep(0.2)


def test_a_node_that_was_restarted_serves_what_was_live(lab: Any) -> None:
    """Killed like a power cut and started again: the same release, in one container.

    Of a slot that was kept warm one may be left that stands still; it keeps no image, and the next release in that slot takes its place.
    """
    node = lab.node("docker-1")
    slot, before = node.check_output(f"readlink {ROOT}/api/slots/live"), health(lab, "docker-1")
    held = next(one.container for one in settings.ALL if one.name == "docker-1")
    for command in ("kill", "start"):
        subprocess.run(["podman", command, held], check=True, capture_output=True, timeout=60)
    _until_well(lab, "docker-1", 120.0)
    assert health(lab, "docker-1") == before
    assert containers(lab, "docker-1", still=False) == [f"aistack-api-{slot}"]
    lab.play("playbooks/healthcheck.yml", "-e", "deadline=60").ended_well()


def test_a_container_that_does_not_end_is_ended(lab: Any) -> None:
    """It ignores SIGTERM: the switch takes stop_timeout, and no more; nothing of it is left."""
    deploy(lab, "v1.5.0").ended_well()
    node = lab.node("docker-1")
    slot = node.check_output(f"readlink {ROOT}/api/slots/live")
    began = time.monotonic()
    node.check_output(f"systemctl stop aistack-api@{slot}.service")
    assert time.monotonic() - began < 20, "stop_timeout is 10 s"
    assert f"aistack-api-{slot}" not in containers(lab, "docker-1")
    node.check_output(f"systemctl start aistack-api@{slot}.service")
    _until_well(lab, "docker-1")


def described(lab: Any, tmp_path: Path, image: dict[str, Any]) -> str:
    """A file of variables in which the component's image comes another way."""
    variables = yaml.safe_load((lab.inventory / "group_vars" / "all" / "stack.yml").read_text(encoding="utf-8"))
    components = variables["aistack_components"]
    components["api"]["image"] = image
    (tmp_path / "image.json").write_text(json.dumps({"aistack_components": components}), encoding="utf-8")
    return f"@{tmp_path / 'image.json'}"


def made_elsewhere(node: Any, release: str) -> str:
    """An image of a release that somebody made on a node, as a pipeline would; its name."""
    base = json.loads(node.file(f"{ROOT}/api/releases/v1.0.0/release.json").content_string)["images"]["api"]["reference"]
    node.check_output(f"printf 'FROM {base}\nRUN echo {release} > /srv/VERSION\n' | docker build --quiet --tag ci/api:latest -")
    return "ci/api:latest"


def test_an_image_is_loaded_from_an_archive(lab: Any, root: Path, tmp_path: Path) -> None:
    """One whose SHA-256 is another is refused before it is sent; both nodes then run the very same image, and its own name is gone."""
    node, packed = lab.node("docker-1"), tmp_path / "api-v1.6.0.tar"
    name = made_elsewhere(node, "v1.6.0")
    node.check_output(f"docker save --output /var/tmp/api.tar {name} && chmod 0644 /var/tmp/api.tar && docker rmi {name}")
    fetch = [root / "lab" / "bin" / "lab", "ssh", "docker-1", "--", "cat", "/var/tmp/api.tar"]
    with packed.open("wb") as target:
        subprocess.run(fetch, stdout=target, check=True)
    node.check_output("rm /var/tmp/api.tar")
    image = {"load": str(tmp_path / "api-{release}.tar"), "sha256": {"v1.6.0": "0" * 64}}
    said = deploy(lab, "v1.6.0", "-e", described(lab, tmp_path, image)).ended_badly().output
    assert f"expected the SHA-256 {'0' * 64} of image.sha256" in said, said[-3000:]
    with packed.open("rb") as archive:
        image["sha256"] = {"v1.6.0": hashlib.file_digest(archive, "sha256").hexdigest()}
    with visitors(lab):
        node.check_output("mount -t tmpfs -o size=256k,mode=0700 none /var/lib/docker/tmp")  # where Docker unpacks what it loads
        try:
            said = deploy(lab, "v1.6.0", "-e", described(lab, tmp_path, image)).ended_badly().output
        finally:
            node.check_output("umount /var/lib/docker/tmp")
        assert "Docker's disk is full (/var/lib/docker). Free some space" in said, said[-3000:]
        assert not node.file(f"{ROOT}/api/releases/v1.6.0").exists, "nothing was staged"
        deploy(lab, "v1.6.0", "-e", described(lab, tmp_path, image)).ended_well()
    assert live(lab) == {"v1.6.0"}
    manifests = [json.loads(lab.node(one).file(f"{ROOT}/api/releases/v1.6.0/release.json").content_string) for one in NODES]
    assert len({manifest["images"]["api"]["digest"] for manifest in manifests}) == 1
    assert "ci/api" not in node.check_output("docker images --format '{{.Repository}}'")


REGISTRY = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: "10.89.77.15:5000"}
"""


def test_an_image_is_fetched_by_its_digest(lab: Any, tmp_path: Path) -> None:
    """From a registry on the first node; a digest that it does not have stages nothing, a release without one is refused at once."""
    node, name = lab.node("docker-1"), "10.89.77.15:5000/shop/api"
    made = made_elsewhere(node, "v1.8.0")
    node.check_output("test -e /etc/docker/registry || DEBIAN_FRONTEND=noninteractive apt-get install -y -q docker-registry > /dev/null")
    node.check_output("echo %s > /etc/docker/registry/config.yml && systemctl restart docker-registry", REGISTRY)
    node.check_output(f"docker tag {made} {name}:any && docker rmi {made} && docker push --quiet {name}:any")
    pinned = node.check_output(f"docker inspect --format '{{{{index .RepoDigests 0}}}}' {name}:any").rpartition("@")[2]
    node.check_output(f"docker rmi {name}:any")
    for digests, said in (({"v9.9.9": pinned}, "image.digests has nothing for v1.8.0"),
                          ({"v1.8.0": f"sha256:{'0' * 64}"}, "Fetching the image of api v1.8.0 as")):
        output = deploy(lab, "v1.8.0", "-e", described(lab, tmp_path, {"pull": name, "digests": digests})).ended_badly().output
        assert said in output, output[-3000:]
    with visitors(lab):
        deploy(lab, "v1.8.0", "-e", described(lab, tmp_path, {"pull": name, "digests": {"v1.8.0": pinned}})).ended_well()
    assert live(lab) == {"v1.8.0"}
    node.check_output("systemctl stop docker-registry")  # out of reach: what is there needs it no more, and what is not is refused
    image = {"pull": name, "digests": {"v1.8.0": pinned, "v1.9.0": f"sha256:{'1' * 64}"}}
    deploy(lab, "v1.8.0", "-e", described(lab, tmp_path, image)).ended_well()
    output = deploy(lab, "v1.9.0", "-e", described(lab, tmp_path, image)).ended_badly().output
    assert "Fetching the image of api v1.9.0 as" in output, output[-3000:]
    assert "connection refused" in output, output[-3000:]
    assert live(lab) == {"v1.8.0"}


def test_an_image_that_somebody_removed_or_built_anew_is_refused(lab: Any) -> None:
    """A staged release never changes: what has its name now is another one, and is not run."""
    node = lab.node("docker-1")
    manifest = json.loads(node.file(f"{ROOT}/api/releases/v1.0.0/release.json").content_string)["images"]["api"]
    name, digest = manifest["reference"], manifest["digest"]
    try:
        node.check_output(f"docker tag {digest} kept:1 && docker tag lab/debian:13 {name}")
        output = deploy(lab, "v1.0.0").ended_badly().output
        assert f"changed image {name}, expected {digest}" in output, output[-3000:]
        node.check_output(f"docker rmi {name} kept:1")
        output = deploy(lab, "v1.0.0").ended_badly().output
        assert f"missing image {name}" in output, output[-3000:]
        assert live(lab) == {"v1.8.0"}
    finally:
        node.run(f"rm -rf {ROOT}/api/releases/v1.0.0")


def test_old_images_go_with_their_releases(lab: Any) -> None:
    """What is pruned takes its image along; what a way back needs stays."""
    deploy(lab, "v1.1.0", "-e", "allow_bad=true", "-e", "release_keep=1").ended_well()
    for name in NODES:
        node = lab.node(name)
        staged = node.check_output(f"ls {ROOT}/api/releases").split()
        images = node.check_output("docker images --format '{{.Tag}}' api").split()
        assert sorted({f"v{tag.partition('-')[0]}" for tag in images}) == sorted(staged)
        assert {"v1.1.0", "v1.8.0"} <= set(staged)


def asked(lab: Any, sql: str) -> str:
    """What the database answers, as its own superuser."""
    return str(lab.node("docker-1").check_output("runuser -u postgres -- psql -XAtq boxes -c %s", sql))


def schema(lab: Any) -> tuple[str, str]:
    """The revision that the database is at, and the columns of the notes."""
    columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'notes'"
    return asked(lab, "SELECT version_num FROM alembic_version"), asked(lab, columns)


MIGRATES = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'aistack-migrate%' AND query LIKE '%pg_sleep%'"
"""Whether the slow step runs: 1 or 0."""


def left_of_migrations(lab: Any) -> list[str]:
    """Containers and images that a migration, or a plan of one, should have taken along, and its sessions on the server."""
    node = lab.node("docker-1")
    found = [name for name in containers(lab, "docker-1") if "migrate" in name]
    found += node.check_output("docker images --quiet --filter reference='aistack-plan/*'").split()
    return found + asked(lab, "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'aistack-migrate%'").split()


def test_the_first_release_brought_its_table(lab: Any) -> None:
    """Its image told the heads when it was staged; the database is at them, and what the table holds stays."""
    assert schema(lab) == ("0001", "id,text")
    manifest = json.loads(lab.node("docker-1").file(f"{ROOT}/api/slots/live/release/release.json").content_string)
    assert (manifest["alembic_heads"], manifest["alembic_asked"]) == (["0001"], True)
    asked(lab, "INSERT INTO notes (text) VALUES ('longer than ten letters')")


def test_a_migration_is_planned_in_an_image_that_nobody_staged(lab: Any) -> None:
    """Its SQL is shown, nothing of it is left on the node, and the database is as before."""
    said = lab.play("playbooks/plan.yml", "-e", "release=v1.9.0").ended_well().output
    assert "ADD COLUMN author" in said, said[-3000:]
    assert "in an image that was made for it, from tag v1.9.0" in said, said[-3000:]
    assert schema(lab) == ("0001", "id,text")
    assert left_of_migrations(lab) == []


def test_an_image_migrates_the_database_before_it_takes_over(lab: Any) -> None:
    """In a container of its own, once, under requests; its password stands nowhere but where the component's own does."""
    node = lab.node("docker-1")
    with visitors(lab):
        deploy(lab, "v1.9.0").ended_well()
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))
    records = [json.loads(line) for line in node.check_output(f"cat {STATE}/journal.jsonl").splitlines()]
    done = [record for record in records if (record["op"], record["outcome"], record["release"]) == ("migrate", "ok", "v1.9.0")]
    assert len(done) == 1
    there = [json.loads(line) for line in lab.node("docker-2").check_output(f"cat {STATE}/journal.jsonl").splitlines()]
    noted = [record["detail"] for record in there if (record["op"], record["release"]) == ("migrate", "v1.9.0")]
    assert [(detail["host"], detail["steps"], detail["from"]) for detail in noted] == [("docker-1", ["0002"], ["0001"])]
    assert [record["detail"]["heads"] for record in there if record["detail"].get("state") == "runs_on"] == [["0002"]], "its own proof"
    password = node.check_output(f"cat {STATE}/credentials/postgres_boxes").strip()
    assert len(password) > 10
    said = node.check_output(f"cat {STATE}/journal.jsonl; journalctl --boot --output cat; docker events --since 10m --until 0s")
    assert password not in said
    assert left_of_migrations(lab) == []


def test_the_way_back_is_rehearsed_through_the_newer_image(lab: Any) -> None:
    """On a copy of the newest set: up with the image of what is live, and back again; the live database is not touched."""
    lab.play("playbooks/backup.yml").ended_well()
    said = lab.play("playbooks/drill.yml", "-e", "to=v1.1.0").ended_well().output
    assert "0002" in said, said[-3000:]
    found = json.loads(lab.node("docker-1").file(f"{ROOT}/api/releases/v1.9.0.drill.json").content_string)
    assert "v1.1.0" in json.dumps(found)
    assert schema(lab) == ("0002", "id,text,author")
    assert asked(lab, "SELECT count(*) FROM pg_database WHERE datname LIKE '%drill%'") == "0"
    assert left_of_migrations(lab) == []


def test_what_nobody_can_undo_is_refused(lab: Any) -> None:
    """Before it runs: the database is as before, and what served serves."""
    said = deploy(lab, "v1.10.0").ended_badly().output
    assert "0003" in said, said[-3000:]
    assert "irreversible: allow" in said, "the way to allow it is told"
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))


def test_a_migration_whose_container_is_killed_leaves_the_database_as_before(lab: Any) -> None:
    """In the middle of a step: the server rolls it back, and what served serves."""
    node = lab.node("docker-1")
    ended: list[Any] = []
    run = threading.Thread(target=lambda: ended.append(deploy(lab, "v1.11.0")), daemon=True)
    run.start()
    deadline = time.monotonic() + 120
    while asked(lab, MIGRATES) == "0":
        assert run.is_alive(), ended[0].output[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.5)
    node.check_output("docker kill $(docker ps --quiet --filter name=aistack-migrate-api)")
    run.join(120)
    said = ended[0].ended_badly().output
    assert "The database is as before" in said, said[-3000:]
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))
    assert asked(lab, "SELECT to_regclass('tags') IS NULL") == "t"
    assert left_of_migrations(lab) == []


def test_the_schema_goes_back_through_the_newer_image(lab: Any) -> None:
    """What that loses is counted and accepted by name; the image of the release before serves, on its own schema."""
    asked(lab, "UPDATE notes SET author = 'somebody'")
    back = ("playbooks/rollback.yml", "-e", "level=schema", "-e", "to=v1.1.0", "-e", "confirm=v1.1.0")
    said = lab.play(*back).ended_badly().output
    assert "column notes.author" in said, said[-3000:]
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))
    lab.play(*back, "-e", "accept_loss=notes.author").ended_well()
    assert (live(lab), schema(lab)) == ({"v1.1.0"}, ("0001", "id,text"))
    assert asked(lab, "SELECT text FROM notes") == "longer than ten letters"
    assert left_of_migrations(lab) == []


def test_the_whole_system_goes_back_to_the_set_of_the_targets_time(lab: Any) -> None:
    """Database and image: what was written since is lost, which is counted, named, and accepted by the name of the set."""
    kept = asked(lab, "SELECT count(*) FROM notes")
    lab.play("playbooks/deploy.yml", "-e", "release=v1.9.0", "-e", "allow_bad=true").ended_well()  # with the set that it makes first
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))
    asked(lab, "INSERT INTO notes (text) VALUES ('written since')")
    back = ("playbooks/rollback.yml", "-e", "level=system", "-e", "to=v1.1.0", "-e", "confirm=v1.1.0")
    said = " ".join(lab.play(*back).ended_badly().output.split())
    named = re.search(r"-e accept_set=([\w.-]+)", said)
    assert named, said[-3000:]
    assert "public.notes" in said, said[-3000:]
    assert (live(lab), schema(lab)) == ({"v1.9.0"}, ("0002", "id,text,author"))
    lab.play(*back, "-e", f"accept_set={named[1]}").ended_well()
    assert (live(lab), schema(lab)) == ({"v1.1.0"}, ("0001", "id,text"))
    assert asked(lab, "SELECT count(*) FROM notes") == kept
    assert left_of_migrations(lab) == []
    lab.play("playbooks/healthcheck.yml").ended_well()


def test_a_controller_that_is_killed_in_a_migration_is_followed_by_the_same_command(lab: Any, root: Path) -> None:
    """What served serves all the time, the steps are done once, and nothing is left of the first attempt."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(lab.inventory), "playbooks/deploy.yml", "-e",
               "release=v1.11.0", "-e", "backup=false"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    with visitors(lab):
        run = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 180
        while asked(lab, MIGRATES) == "0":
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)
        assert live(lab) == {"v1.1.0"}
        deploy(lab, "v1.11.0", "-e", "break_lock=true").ended_well()
    assert (live(lab), schema(lab)[0]) == ({"v1.11.0"}, "0004")
    records = [json.loads(line) for line in lab.node("docker-1").check_output(f"cat {STATE}/journal.jsonl").splitlines()]
    ended = [record["outcome"] for record in records if (record["op"], record["release"]) == ("migrate", "v1.11.0")]
    assert ended.count("ok") == 1, ended
    assert left_of_migrations(lab) == []
