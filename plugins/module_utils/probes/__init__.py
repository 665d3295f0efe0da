# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry: every type of probe, by the key that it has in an inventory. A new type is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import TypeSpec
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.alertmanager import Alertmanager
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.backup import Backup
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Probe
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.celery import Celery
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.comfyui import Comfyui
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.command import Command
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.disk import Disk
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.dns import Dns
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.file import File
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.grafana import Grafana
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.haproxy import Haproxy
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.http import Http
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.log import Log
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.logs import Logs
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.metrics import Metrics
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.ollama import Ollama
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.port import Port
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.postgres import Postgres
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.process import Process
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.prometheus import Prometheus
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.redis import Redis
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.s3 import S3
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.sequence import Sequence
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.superset import Superset
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.tcp import Tcp
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.tls import Tls
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.traces import Traces
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.unit import Unit
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.usage import Usage

_ALL: tuple[type[Probe], ...] = (
    Alertmanager, Backup, Celery, Comfyui, Command, Disk, Dns, File, Grafana, Haproxy, Http, Log, Logs, Metrics,
    Ollama, Port, Postgres, Process, Prometheus, Redis, S3, Sequence, Superset, Tcp, Tls, Traces, Unit, Usage,
)

REGISTRY: Mapping[str, type[Probe]] = {probe.type: probe for probe in _ALL}
SPECS: Mapping[str, TypeSpec] = {name: TypeSpec(probe.target, probe.options, probe.check) for name, probe in REGISTRY.items()}
