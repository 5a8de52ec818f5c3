"""What holds of a signature with a seal: data hash, both SM2 signatures, certificates and days. Trust only where certificates are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sm_crypto.der import decode_signature
from sm_crypto.errors import InvalidSignature
from sm_crypto.sm2 import verify
from sm_crypto.sm2_curve import SIGNATURE_BYTES
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import (
    SM2_WITH_SM3,
    Certificate,
    CertificateError,
    parse_certificate,
    verify_chain,
    verify_issued_by,
)
from verification.document_files.seal import SM3_OID, Seal, SealSignature
from verification.document_files.statements import Statement, broken, held, shown_time, unverified, warning

_SM3_NAMES: Final = frozenset({SM3_OID, "SM3"})


def check_seal_signature(
    signature: SealSignature, signature_xml: bytes, trusted: Sequence[Certificate], at_ms: int
) -> Iterator[Statement]:
    """Yield what holds of a signature over a Signature.xml; `trusted` are judged where given, `at_ms` is the time of the check."""
    yield _data_hash(signature, signature_xml)
    signer = _certificate(signature.certificate)
    yield _signature(signature, signer)
    yield _membership(signature)
    yield _days(signature, signer, at_ms)
    if signature.has_time_stamp:
        yield unverified("TIME_STAMP_NOT_VERIFIED", "时间戳未核验", "the time stamp was not verified")
    yield from check_seal(signature.seal, signature.time_ms, at_ms)
    yield _trust("SIGNER", "签章者", "signer", signer, trusted, _or_now(signature.time_ms, at_ms))
    maker = _certificate(signature.seal.maker_certificate)
    yield _trust("MAKER", "制章者", "maker of the seal", maker, trusted, signature.seal.created_ms)


def check_seal(seal: Seal, time_ms: int | None, at_ms: int) -> Iterator[Statement]:
    """Yield what holds of a seal itself: its maker's signature, and whether it was valid when it was used."""
    maker = _certificate(seal.maker_certificate)
    if seal.algorithm != SM2_WITH_SM3:
        yield unverified(
            "MAKER_ALGORITHM_NOT_SM2",
            f"制章签名算法 {seal.algorithm} 不是 SM2 与 SM3（{SM2_WITH_SM3}），未核验",
            f"the maker's signature is made by {seal.algorithm}, not by SM2 with SM3 ({SM2_WITH_SM3}): not verified",
        )
    elif isinstance(maker, str):
        yield unverified(
            "MAKER_CERTIFICATE_UNREADABLE",
            f"制章者证书无法读取，印章签名未核验：{maker}",
            f"the certificate of the seal's maker cannot be read, the seal's signature was not verified: {maker}",
        )
    elif any(_verifies(maker, form, seal.signature) for form in seal.signed_forms):
        yield held(
            "MAKER_SIGNATURE_HOLDS",
            f"印章 {seal.name} 由 {maker.common_name} 签发，签名成立",
            f"the seal {seal.name} was signed by its maker {maker.common_name}, and the signature holds",
        )
    else:
        yield broken(
            "MAKER_SIGNATURE_INVALID",
            "印章的制章签名不成立：印章被改动，或不是所附证书的所有者制作",
            "the maker's signature on the seal does not hold: it was changed, or not made by the certificate's owner",
        )
    used_ms = _or_now(time_ms, at_ms)
    span = f"{shown_time(seal.valid_from_ms)} ~ {shown_time(seal.valid_to_ms)}"
    if seal.valid_from_ms <= used_ms <= seal.valid_to_ms:
        yield held("SEAL_VALID_WHEN_USED", f"印章在有效期内：{span}", f"the seal was within its validity: {span}")
    else:
        yield broken(
            "SEAL_NOT_VALID_WHEN_USED",
            f"用章时间 {shown_time(used_ms)} 不在印章有效期内：{span}",
            f"the seal was used at {shown_time(used_ms)}, outside its validity: {span}",
        )


def _data_hash(signature: SealSignature, signature_xml: bytes) -> Statement:
    if signature.data_hash == sm3(signature_xml):
        return held(
            "DATA_HASH_MATCHES", "签章所签的杂凑值与 Signature.xml 相符", "the signed hash is that of Signature.xml"
        )
    return broken(
        "DATA_HASH_DIFFERS",
        "签章所签的杂凑值与 Signature.xml 不符：签章描述被改动",
        "the signed hash is not the SM3 of Signature.xml: the description of the signature was changed",
    )


def _signature(signature: SealSignature, signer: Certificate | str) -> Statement:
    if signature.algorithm != SM2_WITH_SM3:
        return unverified(
            "SIGNATURE_ALGORITHM_NOT_SM2",
            f"签章算法 {signature.algorithm} 不是 SM2 与 SM3（{SM2_WITH_SM3}），未核验",
            f"the signature is made by {signature.algorithm}, not by SM2 with SM3 ({SM2_WITH_SM3}): not verified",
        )
    if isinstance(signer, str):
        return unverified(
            "SIGNER_CERTIFICATE_UNREADABLE",
            f"签章者证书无法读取，签名未核验：{signer}",
            f"the signer's certificate cannot be read, the signature was not verified: {signer}",
        )
    if _verifies(signer, signature.signed_der, signature.signature):
        return held(
            "SIGNATURE_HOLDS",
            f"{signer.common_name} 的 SM2 签名成立",
            f"the SM2 signature of {signer.common_name} holds",
        )
    return broken(
        "SIGNATURE_INVALID",
        "签章的 SM2 签名不成立：内容被改动，或不是所附证书的所有者所签",
        "the SM2 signature does not hold: changed after signing, or not made by the certificate's owner",
    )


def _membership(signature: SealSignature) -> Statement:
    seal = signature.seal
    known = [digest for kind, digest in seal.certificate_digests if kind.upper() in _SM3_NAMES]
    if signature.certificate in seal.certificates or sm3(signature.certificate) in known:
        return held(
            "SIGNER_IN_SEAL",
            "签章者证书在印章所列证书之中",
            "the signer's certificate is one that the seal lists",
        )
    if len(known) != len(seal.certificate_digests):
        return unverified(
            "SIGNER_IN_SEAL_NOT_VERIFIED",
            "印章以 SM3 以外的杂凑列出签章者证书，未核验",
            "the seal lists its signers' certificates by another hash than SM3: not verified",
        )
    return broken(
        "SIGNER_NOT_IN_SEAL",
        "签章者证书不在印章所列证书之中：此证书不得使用此印章",
        "the signer's certificate is not one that the seal lists: it may not use this seal",
    )


def _days(signature: SealSignature, signer: Certificate | str, at_ms: int) -> Statement:
    if isinstance(signer, str):
        return unverified(
            "SIGNER_DAYS_NOT_VERIFIED",
            "签章者证书有效期未核验",
            "the days of the signer's certificate were not verified",
        )
    span = f"{shown_time(signer.not_before_ms)} ~ {shown_time(signer.not_after_ms)}"
    used_ms = _or_now(signature.time_ms, at_ms)
    if not signer.not_before_ms <= used_ms <= signer.not_after_ms:
        return broken(
            "SIGNER_CERTIFICATE_NOT_VALID",
            f"签章者证书在 {shown_time(used_ms)} 不在有效期内：{span}",
            f"the signer's certificate was not valid at {shown_time(used_ms)}: {span}",
        )
    if signer.not_after_ms < at_ms:
        return warning(
            "SIGNER_CERTIFICATE_EXPIRED_SINCE",
            f"按签章者自称的签章时间证书有效，此后已于 {shown_time(signer.not_after_ms)} 到期",
            "valid at the time that the signer gives, the certificate has since expired, "
            f"at {shown_time(signer.not_after_ms)}",
        )
    return held(
        "SIGNER_CERTIFICATE_VALID",
        f"签章者证书在有效期内：{span}",
        f"the signer's certificate is within its days: {span}",
    )


def _trust(
    role: str, zh: str, en: str, certificate: Certificate | str, trusted: Sequence[Certificate], at_ms: int
) -> Statement:
    if isinstance(certificate, str) or not trusted:
        return unverified(
            f"{role}_TRUST_NOT_VERIFIED",
            f"{zh}证书是否可信未核验：未给出信任的证书，或证书无法读取",
            f"whether the certificate of the {en} is to be trusted was not verified: no trusted certificate was given, "
            "or it cannot be read",
        )
    if _is_trusted(certificate, trusted, at_ms):
        return held(
            f"{role}_TRUSTED",
            f"{zh} {certificate.common_name} 的证书通向所给的信任证书",
            f"the certificate of the {en}, {certificate.common_name}, leads to a trusted one",
        )
    return broken(
        f"{role}_NOT_TRUSTED",
        f"{zh} {certificate.common_name} 的证书不通向所给的信任证书",
        f"the certificate of the {en}, {certificate.common_name}, leads to none of the trusted ones",
    )


def _is_trusted(certificate: Certificate, trusted: Sequence[Certificate], at_ms: int) -> bool:
    """Whether the certificate is one of the given, or is below one of their self-issued ones by way of the others at `at_ms`."""
    if any(certificate.der == one.der for one in trusted):
        return True
    roots = [one for one in trusted if one.is_self_issued]
    chain = [certificate]
    for _ in trusted:
        above = [one for one in trusted if not one.is_self_issued and one not in chain and _issued(chain[-1], one)]
        chain += above[:1]
    try:
        verify_chain(chain, roots, at_ms=at_ms)
    except CertificateError:
        return False
    return True


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        verify_issued_by(certificate, issuer)
    except CertificateError:
        return False
    return True


def _certificate(der: bytes) -> Certificate | str:
    """Return what a certificate says, or why it cannot be read."""
    try:
        return parse_certificate(der)
    except CertificateError as error:
        return " ".join(str(error)[:200].split())


def _verifies(certificate: Certificate, message: bytes, signature: bytes) -> bool:
    """Whether a signature, in DER (GM/T 0009) or as 64 bytes r || s, is the certificate's owner's."""
    try:
        plain = signature if len(signature) == SIGNATURE_BYTES else decode_signature(signature)
        verify(certificate.public_key, message, plain)
    except (ValueError, InvalidSignature):
        return False
    return True


def _or_now(time_ms: int | None, at_ms: int) -> int:
    return at_ms if time_ms is None else time_ms
