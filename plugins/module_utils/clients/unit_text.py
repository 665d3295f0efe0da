# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service of systemd gives its process, read out of the text of its unit, and what of its log is shown. No I/O."""

from __future__ import annotations

import re

_OF_THE_SERVICE = re.compile(
    r"Exec|Restart|Timeout|Type\Z|KillMode|KillSignal|FinalKillSignal|SuccessExitStatus|WatchdogSec|NotifyAccess|RemainAfterExit|PIDFile"
    r"|GuessMainPID|BusName|Sockets|FileDescriptorStore|Standard(?:Input|Output|Error)|SyslogIdentifier|TTY|RuntimeMaxSec|OOMPolicy"
)
"""Beginnings of settings that are about the service itself, and not about what its process may do and sees."""

_UNDERLINES = re.compile(r"(?=.*[\^~])[\s^~]+")


def process_settings(text: str, instance: str) -> list[str]:
    """``Name=value`` for each setting of the process, in order, as ``systemctl cat`` shows the unit and its drop-ins.

    ``%i`` becomes the instance. An empty value stays, since it takes back what stood before.
    """
    found: list[str] = []
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            name, _equals, value = line.partition("=")
            if not _OF_THE_SERVICE.match(name.strip()):
                value = re.sub(r"%(.)", lambda match: {"i": instance, "I": instance, "%": "%"}.get(match[1], match[0]), value.strip())
                found.append(f"{name.strip()}={value}")
    return found


def end_of_log(text: str, count: int) -> list[str]:
    """The last *count* lines of a log, oldest first, without those that only underline a part of the line above, as tracebacks do."""
    return [line for line in text.splitlines() if not _UNDERLINES.fullmatch(line)][-count:]
