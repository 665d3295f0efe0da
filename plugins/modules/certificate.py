# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Refuse a certificate that clients would refuse, before a server gets it
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Shows the operator's certificate to a client in memory, under each name that clients use. What it would refuse fails the task - another
    key, a certificate that has ended or has not begun, another name, nobody trusted who has signed it.
  - Reads files of the controller, also out of a vault. No content of one is in the task, its result or a message.
options:
  certificate:
    description: PEM file, the server's certificate first, then those between it and its CA.
    type: path
    required: true
  key:
    description: PEM file with its key, without a passphrase.
    type: path
    required: true
  ca:
    description: PEM files with certificates that clients trust.
    type: list
    elements: path
    default: []
  system:
    description: Whether clients trust those of the controller's system as well.
    type: bool
    default: true
  names:
    description: Addresses and names that clients connect to.
    type: list
    elements: str
    required: true
  warn_days:
    description: Days before its end from which on there is a warning.
    type: float
    default: 14
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.gate
    description: Its probe C(tls) asks a server that runs.
"""

EXAMPLES = r"""
- name: Clients take it under both names
  phasegate.aistack.certificate:
    certificate: /etc/pki/shop/edge.pem
    key: /etc/pki/shop/edge.key
    ca: [/etc/pki/shop/ca.pem]
    names: [shop.example.com, 10.89.0.11]
"""

RETURN = r"""
days_left:
  description: Days until it ends.
  returned: success
  type: float
msg:
  description: The same in a line.
  returned: success
  type: str
"""
