# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``aistack_backup`` may say, and with it a node's ``backup.json``."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option

_FILE = Option("str", "file on the node with the password")
_CA = Option("str", "CA certificates on the node, instead of the system's")


def _place(component: str, required: bool = False) -> dict[str, Option]:
    return {
        "name": Option("str", "name of the part: a folder of the set", required=True),
        "component": Option("str", component, required=required),
        "hosts": Option("str", "group or host that saves it; the first host of the component if left out"),
    }


ENTRIES: Mapping[str, Mapping[str, Option]] = {
    "postgres": {
        **_place("the component whose environment has the address", required=True),
        "url_variable": Option("str", "variable of that environment with the address", default="DATABASE_URL"),
        "user": Option("str", "system user that pg_dump runs as"),
        "jobs": Option("int", "processes of pg_dump", minimum=1, default=2),
        "admin": Option("dict", "who restores it: host, port, user, database, password_file, system_user"),
    },
    "redis": {
        **_place("the component that the server is"),
        "host": Option("str", "address", default="127.0.0.1"),
        "port": Option("int", "port", required=True, minimum=1),
        "username": Option("str", "user that may save"),
        "password_file": _FILE,
        "unit": Option("str", "unit that a restore stops and starts", default="redis-server.service"),
        "dir": Option("str", "the server's folder", default="/var/lib/redis"),
        "tls": Option("bool", "whether the server speaks TLS; true where ca_file is given"),
        "ca_file": _CA,
        "server_name": Option("str", "name in the server's certificate, where it is not the host"),
    },
    "buckets": {
        **_place("the component that the server is"),
        "endpoint": Option("str", "address of an S3 server"),
        "access_key_id": Option("str", "name of the key"),
        "secret_key_file": Option("str", "file on the node with the key"),
        "region": Option("str", "region"),
        "options": Option("dict", "settings of rclone's backend by name, type and provider included"),
        "ca_file": _CA,
    },
    "sqlite": {
        **_place("the component that uses it"),
        "path": Option("str", "the database", required=True),
    },
}
"""Lists of the description, and the keys of an entry."""

_TITLES = {"postgres": "databases", "redis": "Redis servers", "buckets": "buckets", "sqlite": "SQLite databases"}

KEEP: Mapping[str, Option] = {
    "last": Option("int", "so many of the newest sets stay", minimum=0, default=7),
    "days": Option("int", "sets stay that are younger", minimum=0, default=30),
}
_KEEP = Option("dict", "how long sets stay; never less than a rollback needs", keys=KEEP,
               expected="a mapping {last: number of sets, days: number}")

BACKUP = Option("dict", "what a backup set holds besides environments, credentials and manifests", keys={
    "keep": _KEEP,
    "encrypt": Option("dict", "encrypt the parts with age", keys={
        "recipient": Option("str", "public key, age1…; its identity is kept elsewhere", required=True),
    }, expected="a mapping {recipient: age1…}, the public key that age-keygen prints"),
    "copy": Option("dict", "where the newest set is copied to", keys={
        "remote": Option("str", "name of a remote in rclone's configuration", required=True),
        "path": Option("str", "folder or bucket there; each node has a folder in it", required=True),
        "config_file": Option("str", "rclone's configuration on the node; <state>/backup.rclone.conf if left out"),
        "keep": _KEEP,
    }, expected="a mapping {remote: name in rclone's configuration, path: folder or bucket there}"),
    **{kind: Option("list", _TITLES[kind], items=Option("dict", "", keys=keys)) for kind, keys in ENTRIES.items()},
    "files": Option("list", "files and folders of every node that are saved besides", items=Option("str", "a path"),
                    expected="a list of absolute paths"),
    "timeout": Option("int", "seconds that one part may take; backup_timeout if left out", minimum=1),
    "count_below": Option("int", "tables with as many rows or more are not counted", minimum=0, default=20000000),
    "min_free_bytes": Option("int", "bytes that have to stay free besides a set", minimum=0),
})
