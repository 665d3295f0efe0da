# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throw-away CA, a stand-in for an operator's, and the certificates that it gives."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """Its own certificate is ``ca``; ``issue`` gives pairs of files beside it."""

    def __init__(self, folder: Path, title: str = "Throw-away CA of a test") -> None:
        self.folder = folder
        self.ca = folder / f"{title.split()[0].lower()}-ca.pem"
        self._subject = _name(title)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca.write_bytes(self._sign(self._subject, self._key.public_key(), [], -1, 365, True).public_bytes(Encoding.PEM))

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, names: list[str], begins: float, ends: float, is_ca: bool
              ) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=ends))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(not is_ca, False, False, False, False, is_ca, is_ca, False, False), critical=True)
        )
        if names:
            built = built.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        return built.sign(self._key, hashes.SHA256())

    def issue(self, label: str, *names: str, begins: float = -1, ends: float = 30, passphrase: bytes = b"") -> tuple[Path, Path]:
        """Files with certificate and key; ``begins`` and ``ends`` are days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        certificate.write_bytes(self._sign(_name(label), key.public_key(), list(names), begins, ends, False).public_bytes(Encoding.PEM))
        locked = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        return certificate, private
