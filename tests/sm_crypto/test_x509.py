"""Certificates: what a network's tree holds, which chains verify, and that anything else is one documented error."""

from __future__ import annotations

import contextlib

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509 as reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sm_crypto import x509
from sm_crypto.der import decode_public_key, decode_signature, encode_public_key, encode_signature
from sm_crypto.errors import InvalidKey
from sm_crypto.sm2 import PrivateKey
from sm_crypto.x509 import Authority, Certificate, CertificateError, parse_certificate, verify_chain

DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 1_785_000_000_000


def test_fields_of_a_node(department: Authority, node_key: PrivateKey, node_certificate: Certificate) -> None:
    assert node_certificate.common_name == "node1" == x509.node_name(node_certificate.der)
    assert node_certificate.public_key == node_key.public_key
    assert not node_certificate.is_authority
    assert not node_certificate.is_self_issued
    assert node_certificate.not_before_ms < NOW_MS < node_certificate.not_after_ms
    assert department.certificate.common_name == "市数据局"
    assert department.certificate.organization_identifier == "11330100002489513F"
    assert department.certificate.is_authority


def test_another_parser_reads_the_same(root: Authority, department: Authority, node_certificate: Certificate) -> None:
    read = reference.load_der_x509_certificate(node_certificate.der)
    assert read.serial_number == node_certificate.serial_number
    assert read.signature_algorithm_oid.dotted_string == "1.2.156.10197.1.501"
    assert read.issuer == reference.load_der_x509_certificate(department.certificate.der).subject
    assert read.extensions.get_extension_for_class(reference.BasicConstraints).value.ca is False
    usage = read.extensions.get_extension_for_class(reference.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    depth = reference.load_der_x509_certificate(root.certificate.der)
    assert depth.extensions.get_extension_for_class(reference.BasicConstraints).value.path_length == 1
    assert depth.not_valid_after_utc.year == 2046


def test_times_after_2049_are_generalized(root: Authority) -> None:
    far_ms = 2_600_000_000_000
    later = x509.issue_root("Later", now_ms=far_ms)
    assert later.certificate.not_before_ms == (far_ms - x509.CLOCK_SKEW_MS) // 1000 * 1000
    verify_chain([later.certificate], [later.certificate], at_ms=far_ms)


def test_chains_that_hold(root: Authority, department: Authority, node_certificate: Certificate) -> None:
    person = x509.issue_person(department, "经办人", PrivateKey.generate().public_key, now_ms=NOW_MS)
    for chain in (
        [root.certificate],
        [department.certificate],
        [department.certificate, root.certificate],
        [node_certificate, department.certificate],
        [node_certificate, department.certificate, root.certificate],
        [person, department.certificate],
    ):
        verify_chain(chain, [root.certificate], at_ms=NOW_MS)
    other = x509.issue_root("Other", now_ms=NOW_MS)
    verify_chain([node_certificate, department.certificate], [other.certificate, root.certificate], at_ms=NOW_MS)


def test_chains_that_do_not_lead_to_a_root(
    root: Authority, department: Authority, node_certificate: Certificate
) -> None:
    namesake = x509.issue_root("Demo City Root", now_ms=NOW_MS)
    for chain, roots in (
        ([node_certificate, department.certificate], [namesake.certificate]),
        ([node_certificate], [root.certificate]),
        ([node_certificate, department.certificate], []),
        ([node_certificate, department.certificate], [node_certificate]),
    ):
        with pytest.raises(CertificateError, match="leads to a known root"):
            verify_chain(chain, roots, at_ms=NOW_MS)
    with pytest.raises(CertificateError, match="expected a signature of"):
        verify_chain([node_certificate, root.certificate], [root.certificate], at_ms=NOW_MS)
    for length in (0, 5):
        with pytest.raises(CertificateError, match="chain of 1 to"):
            verify_chain([root.certificate] * length, [root.certificate], at_ms=NOW_MS)


@pytest.mark.parametrize("at_ms", [NOW_MS - DAY_MS, NOW_MS + (x509.LEAF_DAYS + 1) * DAY_MS])
def test_a_chain_holds_in_its_time_only(
    root: Authority, department: Authority, node_certificate: Certificate, at_ms: int
) -> None:
    with pytest.raises(CertificateError, match="does not hold: certificate"):
        verify_chain([node_certificate, department.certificate], [root.certificate], at_ms=at_ms)


def test_a_node_issues_nothing(
    root: Authority, department: Authority, node_key: PrivateKey, node_certificate: Certificate
) -> None:
    false_authority = Authority(node_certificate, node_key)
    below = x509.issue_node(false_authority, "node2", PrivateKey.generate().public_key, now_ms=NOW_MS)
    with pytest.raises(CertificateError, match="does not hold"):
        verify_chain([below, node_certificate, department.certificate], [root.certificate], at_ms=NOW_MS)


def test_a_department_makes_no_departments(root: Authority, department: Authority) -> None:
    below = x509.issue_department(department, "11330100002489513F", "below", now_ms=NOW_MS)
    leaf = x509.issue_node(below, "node2", PrivateKey.generate().public_key, now_ms=NOW_MS)
    with pytest.raises(CertificateError, match="path length"):
        verify_chain([leaf, below.certificate, department.certificate], [root.certificate], at_ms=NOW_MS)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_certificate_never_verifies(
    root: Authority, department: Authority, node_certificate: Certificate, data: st.DataObject
) -> None:
    raw = bytearray(node_certificate.der)
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CertificateError):
        verify_chain([parse_certificate(bytes(raw)), department.certificate], [root.certificate], at_ms=NOW_MS)


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(CertificateError):
        parse_certificate(raw)
    with pytest.raises(CertificateError):
        x509.load_certificates(raw)


def test_trailing_bytes_and_size_are_refused(node_certificate: Certificate) -> None:
    for raw in (node_certificate.der + b"\0", node_certificate.der[:-1], bytes(x509.MAX_CERTIFICATE_BYTES + 1)):
        with pytest.raises(CertificateError):
            parse_certificate(raw)


def test_pem_files(root: Authority, department: Authority, node_certificate: Certificate) -> None:
    chain = [node_certificate, department.certificate, root.certificate]
    text = "".join(certificate.pem for certificate in chain).encode()
    assert x509.load_certificates(text) == chain
    for wrong in (b"", b"no PEM", text * 2, b"x" * 70_000, text.replace(b"M", b"!", 3)):
        with pytest.raises(CertificateError):
            x509.load_certificates(wrong)


def test_names_have_limits(root: Authority) -> None:
    for name in ("", "x" * 65):
        with pytest.raises(CertificateError, match="common"):
            x509.issue_root(name, now_ms=NOW_MS)


def test_another_signature_algorithm_is_refused(node_certificate: Certificate) -> None:
    changed = asn1.Certificate.load(node_certificate.der)
    changed["signature_algorithm"] = asn1.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
    with pytest.raises(CertificateError, match="expected a certificate signed by SM2 with SM3"):
        parse_certificate(changed.dump(force=True))


def test_signatures_in_der() -> None:
    for r, s in ((1, 1), (0x80, 0x7F), (2**255, 2**256 - 1), (2**200, 5)):
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        der = encode_signature(raw)
        assert decode_signature(der) == raw
        for wrong in (der + b"\0", der[:-1], b"\x31" + der[1:], b""):
            with pytest.raises(ValueError, match="expected an SM2 signature in DER"):
                decode_signature(wrong)
    for text in (
        "3007020200010201 01",
        "3006020181020101",
        "30080202 00010202 0001",
        "3003020101",
        "3009020101020101020101",
    ):
        with pytest.raises(ValueError, match="expected an SM2 signature in DER"):
            decode_signature(bytes.fromhex(text))


@given(st.binary(max_size=80))
def test_signature_der_is_canonical(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert encode_signature(decode_signature(raw)) == raw


def test_public_keys_in_der() -> None:
    info = encode_public_key(PrivateKey(5).public_key)
    assert decode_public_key(info) == PrivateKey(5).public_key
    for wrong in (b"", info[:-1], info + b"\0", info[:-1] + bytes([info[-1] ^ 1]), b"\x31" + info[1:]):
        with pytest.raises(InvalidKey):
            decode_public_key(wrong)
