# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: notice
short_description: Send notifications that a deployment or rollback began, ended or failed, or that a watched trigger failed
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Sends what is being done, and what is lost by it, to the receivers in C(aistack_notices) that asked for the event.
  - Runs on the controller alone. The receivers are read from the variable and never stand in the task, its result or a warning,
    because addresses and headers may be secrets; a receiver is called by its C(name), or by its kind and place.
  - A receiver that cannot be reached, whose description is wrong, or whose secret cannot be had is a warning and never a failure.
  - Each entry of C(aistack_notices) has C(kind), and may have C(name), C(events) (the events it wants; all if left out) and
    C(timeout) (seconds, 10 if left out).
  - C(kind=webhook) has C(url), and may have C(headers) and C(ca_file). It gets a C(POST) with a JSON object of C(event), C(status),
    C(stack), C(title), C(text) and C(facts); what chat servers show is C(text). Redirects are not followed.
  - C(kind=mail) has C(host), C(from) and C(to) (a list), and may have C(port), C(security) (C(starttls), C(tls), C(none)), C(user),
    C(password) and C(ca_file). Without C(security) it is C(starttls), and a server without it gets nothing.
  - A command that has V(before_deploy) or V(before_rollback) among its C(events) is asked at these, in the order of the list, and has 60
    seconds if it has no C(timeout). Where it ends with another exit status than 0, or cannot be asked, the task fails with its last
    words. An entry without C(events) is asked nothing.
  - C(kind=command) has C(command), a list of a program on the controller and its arguments, which gets the same JSON on its
    standard input.
options:
  event:
    description: What happened.
    type: str
    required: true
    choices: [deploy_started, deploy_finished, deploy_failed, rollback_started, rollback_finished, rollback_failed, watch_failed,
              before_deploy, before_rollback]
  besides:
    description: Receivers that asked for this event are told O(event) as well. An emergency asks nobody, and tells them behind it.
    type: str
    choices: ['', before_deploy, before_rollback]
    default: ''
  facts:
    description:
      - What there is to tell; no secrets.
      - The text uses C(stack) (C(aistack_name) if left out), C(level), C(from), C(to), C(reason), C(owner), C(run), C(nodes),
        C(expected_s), C(seconds), C(objective_s), C(done), C(losses), C(warnings), C(error), C(serving), C(next) and C(document)
        (where the whole of it can be read). Everything is sent to webhooks and commands.
    type: dict
    default: {}
  rollback:
    description: What people are told of a rollback; as in M(phasegate.aistack.report). O(facts) come of it.
    type: dict
    default: {}
  ended:
    description: With O(rollback), how it ended; not yet, if left out.
    type: str
    choices: ['', finished, failed]
    default: ''
  failures:
    description: What failed on which node is put into O(facts) as C(error).
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
attributes:
  check_mode:
    support: full
    description: Sends nothing and asks nobody, and says who would be told or asked.
notes:
  - With C(run_once) it tells once for the whole play.
"""

EXAMPLES = r"""
# aistack_notices:
#   - {kind: webhook, name: chat, url: "{{ vault_chat_url }}", events: [rollback_started, rollback_finished, rollback_failed]}
#   - {kind: mail, host: mail.example.com, user: aistack, password: "{{ vault_mail }}", from: aistack@example.com, to: [ops@example.com]}
#   - {kind: command, command: [/usr/local/bin/page, --team, ops], events: [rollback_failed]}
- name: Send notifications before anything is touched
  phasegate.aistack.notice:
    event: rollback_started
    facts:
      level: app
      from: v4.2.0
      to: v4.1.0
      reason: agents fail, 25 %
      losses: []
  run_once: true
"""

RETURN = r"""
sent:
  description: Names of the receivers that were told, or asked; in check mode of those that would be.
  returned: always
  type: list
  elements: str
not_reached:
  description: Receivers that were not told, each with C(name) and C(why).
  returned: always
  type: list
  elements: dict
msg:
  description: Both in one line.
  returned: always
  type: str
"""
