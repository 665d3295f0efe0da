# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Would clients take a certificate? It is shown to one: a handshake in memory, without a socket, under each name that clients use."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from typing import Any

_ROUNDS = 10  # each side speaks at most three times


class CertificateProblem(Exception):
    """Why clients would not take it, and what to do; holds nothing of the key."""


def ssl_reason(error: ssl.SSLError) -> str:
    """What OpenSSL said, in words."""
    return (error.reason or str(error)).replace("_", " ").lower()


def days_left(certificate: str, key: str, names: Sequence[str], ca: Sequence[str] = (), system: bool = True) -> float:
    """Days until the certificate in the file ends, when a client has taken it under each of ``names``.

    ``ca`` are files with certificates that the client trusts, besides those of this machine where ``system`` is said.

    Raises:
        CertificateProblem: it would not: another key, ended, not begun, another name, nobody who is trusted has signed it.
    """
    if not names:
        raise CertificateProblem(
            f"no name is given under which clients reach what shows {certificate}; give at least one: names, in the role's …_tls of the"
            " inventory"
        )
    server, client = _server(certificate, key), _client(ca, system)
    shown: dict[str, Any] = {}
    for name in names:
        try:
            shown = _handshake(server, client, name)
        except ssl.SSLCertVerificationError as error:
            raise CertificateProblem(_why(error, certificate, name, ca)) from None
        except (ssl.SSLError, ValueError) as error:
            said = ssl_reason(error) if isinstance(error, ssl.SSLError) else str(error)
            raise CertificateProblem(f"{certificate} cannot be shown to a client as {name}: {said}; get another one") from None
    return round((ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86400, 1)


def _server(certificate: str, key: str) -> ssl.SSLContext:
    asked = []

    def passphrase() -> str:
        asked.append(True)
        return ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, passphrase)
    except ssl.SSLError as error:
        if asked:
            raise CertificateProblem(
                f"{key} is behind a passphrase, which no server is told; take it off (openssl pkey) and keep the file in a vault"
            ) from None
        if error.reason == "KEY_VALUES_MISMATCH":
            said = f"{key} is not the key of the first certificate in {certificate}; give the pair that belongs together"
            raise CertificateProblem(said) from None
        raise CertificateProblem(
            f"{certificate} and {key} cannot be read as a certificate and its key: {ssl_reason(error)}; expected PEM files, the server's"
            " certificate first and those between it and its CA after it"
        ) from None
    except OSError as error:
        raise CertificateProblem(f"{error.filename or f'{certificate} or {key}'}: {error.strerror}") from None
    return context


def _client(ca: Sequence[str], system: bool) -> ssl.SSLContext:
    context = ssl.create_default_context() if system else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for path in ca:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise CertificateProblem(f"{path} cannot be read as CA certificates: {ssl_reason(error)}; expected a PEM file") from None
        except OSError as error:
            raise CertificateProblem(f"{path}: {error.strerror}") from None
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> dict[str, object]:
    """What the client was shown, as :meth:`ssl.SSLSocket.getpeercert` gives it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=name)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    for _round in range(_ROUNDS):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:  # the other side speaks next
                continue
            if side is asks:
                return dict(asks.getpeercert() or {})
    raise ValueError("the handshake does not end")


def _why(error: ssl.SSLCertVerificationError, certificate: str, name: str, ca: Sequence[str]) -> str:
    said = error.verify_message.rstrip(".")
    if "not valid for" in said:
        way = "Get one with that name, or say in names (the role's …_tls) under which ones clients come"
        return f"{certificate} does not name {name}: {said}. {way}"
    if "expired" in said or "not yet valid" in said:
        return f"{certificate}, or one that signed it: {said}. Renew it, and look at this machine's clock"
    trusted = " and ".join(ca) or "this machine's CA certificates"
    return (
        f"{certificate} is not trusted: {said}. Trusted are {trusted}. Give the certificate of who signed it (aistack_ca in the"
        f" inventory), and in {certificate} those in between, after the server's own"
    )
