"""SM2 X.509 certificates (GM/T 0015, RFC 5280): issue roots, departments, nodes and persons; parse; verify chains.

A network has one root, an authority a department below it, and certificates of nodes and persons below those. They are
signed by SM2 with SM3 (1.2.156.10197.1.501) under the default user id.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec
from asn1crypto import core, pem
from asn1crypto import x509 as asn1
from OpenSSL import crypto

from sm_crypto.der import decode_public_key, decode_signature, encode_public_key, encode_signature
from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.sm2 import PrivateKey, verify
from sm_crypto.sm3 import sm3

SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
MAX_CERTIFICATE_BYTES: Final = 8_192
MAX_CHAIN_LENGTH: Final = 4
MAX_PEM_BYTES: Final = 65_536
MAX_NAME_LENGTH: Final = 64
ROOT_DAYS: Final = 20 * 365
DEPARTMENT_DAYS: Final = 10 * 365
LEAF_DAYS: Final = 3 * 365
CLOCK_SKEW_MS: Final = 5 * 60 * 1000
"""Certificates are valid this long before they are made: clocks of machines differ."""

_SERIAL_BYTES: Final = 16
_DAY_MS: Final = 24 * 60 * 60 * 1000
_KEY_IDENTIFIER_BYTES: Final = 20
_AUTHORITY_USAGE: Final = {"key_cert_sign", "crl_sign"}
_LEAF_USAGE: Final = {"digital_signature"}
_GENERALIZED_TIME_YEAR: Final = 2050


class CertificateError(Exception):
    """A certificate or chain is malformed, not SM2, or not valid; the message says what was expected and found."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a parsed certificate says; parsing alone verifies no signature."""

    der: bytes
    common_name: str
    """The name of the network's root, the department, the node or the person."""
    organization_identifier: str
    """The unified social credit code of a department, else empty."""
    public_key: bytes
    """64 bytes x || y, on the curve."""
    serial_number: int
    not_before_ms: int
    not_after_ms: int
    is_authority: bool
    is_self_issued: bool
    is_server: bool
    """Whether it may accept TLS connections: a node's may, a person's may not."""

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        text: bytes = pem.armor("CERTIFICATE", self.der)
        return text.decode("ascii")

    @property
    def fingerprint(self) -> bytes:
        """The 32-byte SM3 digest of the DER."""
        return sm3(self.der)


class Authority(msgspec.Struct, frozen=True):
    """A certificate that may issue others, and its key."""

    certificate: Certificate
    key: PrivateKey

    def __repr__(self) -> str:
        return f"Authority({self.certificate.common_name!r})"


def issue_root(name: str, *, now_ms: int) -> Authority:
    """Return a new root of a network, valid for ROOT_DAYS and for one level of authorities below it."""
    key = PrivateKey.generate()
    subject = _subject(name)
    extensions = _extensions(key.public_key, key.public_key, _AUTHORITY_USAGE, path_length=1)
    return Authority(_issue(key, subject, subject, key.public_key, extensions, now_ms, ROOT_DAYS), key)


def issue_department(root: Authority, code: str, name: str, *, now_ms: int) -> Authority:
    """Return a new department authority below the root; `code` is its unified social credit code."""
    key = PrivateKey.generate()
    return Authority(certify_department(root, code, name, key.public_key, now_ms=now_ms), key)


def certify_department(root: Authority, code: str, name: str, public_key: bytes, *, now_ms: int) -> Certificate:
    """Return the certificate of a department authority whose private key stays with the department."""
    subject = _subject(name, organization=name, identifier=code)
    extensions = _extensions(public_key, root.key.public_key, _AUTHORITY_USAGE, path_length=0)
    return _issue_below(root, subject, public_key, extensions, now_ms, DEPARTMENT_DAYS)


def issue_node(department: Authority, name: str, public_key: bytes, *, now_ms: int) -> Certificate:
    """Return the certificate of a node's transport key, for both ends of TLS; `name` is the node's name."""
    extensions = _extensions(
        public_key, department.key.public_key, _LEAF_USAGE, purposes=["server_auth", "client_auth"]
    )
    subject = _subject(name, organization=department.certificate.common_name)
    return _issue_below(department, subject, public_key, extensions, now_ms, LEAF_DAYS)


def issue_person(department: Authority, name: str, public_key: bytes, *, now_ms: int) -> Certificate:
    """Return the certificate of a person of the department, for client authentication and signatures."""
    extensions = _extensions(
        public_key, department.key.public_key, _LEAF_USAGE | {"non_repudiation"}, purposes=["client_auth"]
    )
    subject = _subject(name, organization=department.certificate.common_name)
    return _issue_below(department, subject, public_key, extensions, now_ms, LEAF_DAYS)


def parse_certificate(der: bytes) -> Certificate:
    """Return what an SM2 certificate in DER says; raise CertificateError on anything else."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(f"expected a certificate of at most {MAX_CERTIFICATE_BYTES} bytes, found {len(der)}")
    try:
        return _parsed(der)
    except InvalidKey as error:
        raise CertificateError(f"expected a certificate for an SM2 key: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        # asn1crypto parses as fields are read, and names each kind of malformed field its own way.
        raise CertificateError(f"expected an X.509 certificate in DER: {error}") from None


def load_certificates(text: bytes) -> list[Certificate]:
    """Return the certificates in PEM text, in its order; raise CertificateError on none, too many or a malformed one."""
    if len(text) > MAX_PEM_BYTES:
        raise CertificateError(f"expected at most {MAX_PEM_BYTES} bytes of PEM, found {len(text)}")
    try:
        blocks = [der for kind, _, der in pem.unarmor(text, multiple=True) if kind == "CERTIFICATE"]
    except (ValueError, TypeError) as error:
        raise CertificateError(f"expected certificates in PEM: {error}") from None
    if not 1 <= len(blocks) <= MAX_CHAIN_LENGTH:
        raise CertificateError(f"expected 1 to {MAX_CHAIN_LENGTH} certificates in PEM, found {len(blocks)}")
    return [parse_certificate(der) for der in blocks]


def node_name(der: bytes) -> str:
    """Return the common name in a certificate: the name of the node whose transport key it is."""
    return parse_certificate(der).common_name


def verify_issued_by(certificate: Certificate, issuer: Certificate) -> None:
    """Return when the issuer's key signed the certificate; raise CertificateError otherwise."""
    parsed = asn1.Certificate.load(certificate.der)
    try:
        signature = decode_signature(parsed["signature_value"].native)
        verify(issuer.public_key, parsed["tbs_certificate"].dump(), signature)
    except (ValueError, InvalidSignature):
        raise CertificateError(
            f"expected a signature of {issuer.common_name!r} on the certificate of {certificate.common_name!r}, "
            "found another one"
        ) from None


def verify_chain(chain: Sequence[Certificate], roots: Sequence[Certificate], *, at_ms: int) -> None:
    """Return when the chain, leaf first, leads to one of the roots and held at `at_ms`; raise CertificateError otherwise.

    The path rules of RFC 5280 (validity, authority and path length, key usage) are OpenSSL's; every signature of the
    chain as given is checked by our own SM2 too.
    """
    if not 1 <= len(chain) <= MAX_CHAIN_LENGTH:
        raise CertificateError(f"expected a chain of 1 to {MAX_CHAIN_LENGTH} certificates, found {len(chain)}")
    for certificate, issuer in pairwise(chain):
        verify_issued_by(certificate, issuer)
    last = chain[-1]
    if not any(_is_issued_by(last, root) for root in roots):
        raise CertificateError(f"expected a chain that leads to a known root, found {last.common_name!r} at its end")
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(openssl_certificate(root))
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)
    store.set_time(_to_time(at_ms))
    leaf, *others = [openssl_certificate(certificate) for certificate in chain]
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise CertificateError(f"the certificate chain of {chain[0].common_name!r} does not hold: {error}") from None


def openssl_certificate(certificate: Certificate) -> crypto.X509:
    """Return the certificate as pyOpenSSL's object."""
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)


def _is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        verify_issued_by(certificate, issuer)
    except CertificateError:
        return False
    return True


@lru_cache(maxsize=64)  # a verifier meets the same few signers and authorities, several times in one file
def _parsed(der: bytes) -> Certificate:
    parsed = asn1.Certificate.load(der, strict=True)
    tbs = parsed["tbs_certificate"]
    for algorithm in (parsed["signature_algorithm"], tbs["signature"]):
        if algorithm["algorithm"].dotted != SM2_WITH_SM3:
            raise CertificateError(
                f"expected a certificate signed by SM2 with SM3, found algorithm {algorithm['algorithm'].dotted}"
            )
    decode_signature(parsed["signature_value"].native)
    names = {kind: value for part in tbs["subject"].chosen for kind, value in _parts(part)}
    if "common_name" not in names:
        raise CertificateError("expected a certificate with a common name, found none")
    constraints = parsed.basic_constraints_value
    purposes = parsed.extended_key_usage_value
    return Certificate(
        der=der,
        common_name=names["common_name"],
        organization_identifier=names.get("organization_identifier", ""),
        public_key=decode_public_key(tbs["subject_public_key_info"].dump()),
        serial_number=tbs["serial_number"].native,
        not_before_ms=_to_ms(tbs["validity"]["not_before"].native),
        not_after_ms=_to_ms(tbs["validity"]["not_after"].native),
        is_authority=constraints is not None and bool(constraints["ca"].native),
        is_self_issued=tbs["subject"].dump() == tbs["issuer"].dump(),
        is_server=purposes is not None and "server_auth" in purposes.native,
    )


def _parts(relative_name: Any) -> list[tuple[str, str]]:
    return [(part["type"].native, str(part["value"].native)) for part in relative_name]


def _issue_below(
    authority: Authority, subject: Any, public_key: bytes, extensions: list[Any], now_ms: int, days: int
) -> Certificate:
    issuer = asn1.Certificate.load(authority.certificate.der)["tbs_certificate"]["subject"]
    return _issue(authority.key, issuer, subject, public_key, extensions, now_ms, days)


def _issue(
    key: PrivateKey, issuer: Any, subject: Any, public_key: bytes, extensions: list[Any], now_ms: int, days: int
) -> Certificate:
    algorithm = asn1.SignedDigestAlgorithm({"algorithm": SM2_WITH_SM3})
    tbs = asn1.TbsCertificate(
        {
            "version": "v3",
            "serial_number": int.from_bytes(secrets.token_bytes(_SERIAL_BYTES), "big") | 1,
            "signature": algorithm,
            "issuer": issuer,
            "validity": {"not_before": _time(now_ms - CLOCK_SKEW_MS), "not_after": _time(now_ms + days * _DAY_MS)},
            "subject": subject,
            "subject_public_key_info": asn1.PublicKeyInfo.load(encode_public_key(public_key)),
            "extensions": extensions,
        }
    )
    signature = encode_signature(key.sign(tbs.dump()))
    certificate = asn1.Certificate(
        {"tbs_certificate": tbs, "signature_algorithm": algorithm, "signature_value": signature}
    )
    return parse_certificate(certificate.dump())


def _subject(name: str, *, organization: str = "", identifier: str = "") -> Any:
    parts = {"country_name": "CN", "organization_name": organization, "organization_identifier": identifier}
    parts["common_name"] = name
    for kind, value in parts.items():
        if len(value) > MAX_NAME_LENGTH:
            raise CertificateError(f"expected a {kind} of at most {MAX_NAME_LENGTH} characters, found {len(value)}")
    if not name:
        raise CertificateError("expected a common name, found an empty one")
    return asn1.Name.build({kind: value for kind, value in parts.items() if value})


def _extensions(
    public_key: bytes,
    issuer_public_key: bytes,
    usage: set[str],
    *,
    path_length: int | None = None,
    purposes: Sequence[str] = (),
) -> list[Any]:
    """Return the extensions of an authority (with a path length) or a leaf (with purposes)."""
    constraints = {"ca": False} if path_length is None else {"ca": True, "path_len_constraint": path_length}
    extensions = [
        ("basic_constraints", True, asn1.BasicConstraints(constraints)),
        ("key_usage", True, asn1.KeyUsage(usage)),
        ("key_identifier", False, core.OctetString(_key_identifier(public_key))),
        (
            "authority_key_identifier",
            False,
            asn1.AuthorityKeyIdentifier({"key_identifier": _key_identifier(issuer_public_key)}),
        ),
    ]
    if purposes:
        extensions.append(("extended_key_usage", False, asn1.ExtKeyUsageSyntax(list(purposes))))
    return [
        asn1.Extension({"extn_id": kind, "critical": critical, "extn_value": core.ParsableOctetString(value.dump())})
        for kind, critical, value in extensions
    ]


def _key_identifier(public_key: bytes) -> bytes:
    return sm3(b"\x04" + public_key)[:_KEY_IDENTIFIER_BYTES]


def _time(time_ms: int) -> Any:
    moment = _to_time(time_ms).replace(microsecond=0)
    kind = "utc_time" if moment.year < _GENERALIZED_TIME_YEAR else "general_time"
    return asn1.Time({kind: moment})


def _to_time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _to_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
