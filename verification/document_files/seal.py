"""Electronic seals and signatures made with them, read from DER: GB/T 38540-2020 (version 4) and GM/T 0031-2014 (version 1).

As implemented: the text of neither standard was at hand; the forms are those that public descriptions and open-source readers agree on.
Everything that is signed is kept as the bytes that stand in the file, never encoded again.

    SES_Signature  v4: { toSign TBS_Sign, cert OCTET STRING, signatureAlgID OID, signature BIT STRING, [0] timeStamp OPTIONAL }
                   v1: { toSign TBS_Sign, signature BIT STRING }
    TBS_Sign       v4: { version, eseal SESeal, timeInfo GeneralizedTime, dataHash BIT STRING, propertyInfo IA5String,
                         [0] extDatas OPTIONAL }
                   v1: { version, eseal SESeal, timeInfo BIT STRING, dataHash BIT STRING, propertyInfo IA5String, cert OCTET STRING,
                         signatureAlgorithm OID }
    SESeal         v4: { eSealInfo SES_SealInfo, cert OCTET STRING, signAlgID OID, signedValue BIT STRING }
                   v1: { eSealInfo SES_SealInfo, signInfo { cert OCTET STRING, signatureAlgorithm OID, signData BIT STRING } }
    SES_SealInfo   { header { ID, version, Vid }, esID, property, picture { type, data, width, height }, [0] extDatas OPTIONAL }
    property       v4: { type, name, certListType, certList, createDate, validStart, validEnd }   GeneralizedTime
                   v1: { type, name, certList, createDate, validStart, validEnd }                  UTCTime
    certList       SEQUENCE OF OCTET STRING, or where certListType is 2 SEQUENCE OF { type PrintableString, value OCTET STRING }
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from verification.document_files.statements import shown
from verification.errors import InputError

MAX_SEAL_BYTES: Final = 4 * 1024 * 1024
MAX_SEAL_CERTIFICATES: Final = 64
MAX_SEAL_TEXT_BYTES: Final = 1_024
FORM_2020: Final = "GB/T 38540-2020"
FORM_2014: Final = "GM/T 0031-2014"
SM3_OID: Final = "1.2.156.10197.1.401"

_INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TEXTS: Final = (0x0C, 0x13, 0x16)
"""UTF8String, PrintableString, IA5String."""
_OPTIONAL: Final = 0xA0
_DIGEST_LIST: Final = 2
_MAX_OID_BYTES: Final = 32
_MAX_INTEGER_BYTES: Final = 8
_TIME: Final = re.compile(rb"(\d{12}|\d{14})(?:\.\d{1,6})?(Z|[+-]\d{4})")
"""To the second, in DER with Z; some writers add fractions and zones. Two digits below 50 are a year of this century (RFC 5280)."""


class Seal(msgspec.Struct, frozen=True):
    """What an electronic seal (SESeal) says; reading alone verifies nothing."""

    form: str
    der: bytes
    info_der: bytes
    signed_forms: tuple[bytes, ...]
    """What its maker may have signed: the form's own first; descriptions differ on whether certificate and algorithm are within."""
    identifier: str
    """esID."""
    vendor: str
    name: str
    certificates: tuple[bytes, ...]
    """Of those who may use it, in DER; empty where it has digests of them."""
    certificate_digests: tuple[tuple[str, bytes], ...]
    created_ms: int
    valid_from_ms: int
    valid_to_ms: int
    picture_type: str
    picture: bytes
    maker_certificate: bytes
    algorithm: str
    signature: bytes


class SealSignature(msgspec.Struct, frozen=True):
    """What a signature with a seal (SES_Signature) says; reading alone verifies nothing."""

    form: str
    signed_der: bytes
    seal: Seal
    time_ms: int | None
    """The signer's own word; None where a time stamp stands in its place, which is not read."""
    data_hash: bytes
    property_info: str
    certificate: bytes
    algorithm: str
    signature: bytes
    has_time_stamp: bool


def decode_seal(raw: bytes) -> Seal:
    """Return what a Seal.esl says; raise InputError SEAL_MALFORMED otherwise."""
    return _seal(_whole(raw))


def decode_seal_signature(raw: bytes) -> SealSignature:
    """Return what a SignedValue.dat made with a seal says; raise InputError SEAL_MALFORMED otherwise."""
    fields = _Fields(_whole(raw), "SES_Signature")
    to_sign = fields.take(_SEQUENCE)
    is_2014 = fields.next_tag == _BIT_STRING
    signed = _Fields(to_sign, "TBS_Sign")
    signed.integer()
    seal = _seal(signed.take(_SEQUENCE))
    if is_2014 != (seal.form == FORM_2014):
        raise _malformed("签章与印章的版本不同", "the signature and its seal are of two forms")
    time_ms = _time_in_bits(signed.bits()) if is_2014 else signed.time_ms()
    data_hash, property_info = signed.bits(), signed.text()
    if is_2014:
        certificate, algorithm, signature = signed.octets(), signed.oid(), fields.bits()
        has_time_stamp = time_ms is None
    else:
        certificate, algorithm, signature = fields.octets(), fields.oid(), fields.bits()
        has_time_stamp = not fields.is_done
        fields.skip_optional(_OPTIONAL, _BIT_STRING)
    signed.skip_optional(_OPTIONAL, _SEQUENCE)
    signed.end()
    fields.end()
    form = FORM_2014 if is_2014 else FORM_2020
    return SealSignature(
        form,
        to_sign,
        seal,
        time_ms,
        data_hash,
        property_info,
        certificate,
        algorithm,
        signature,
        has_time_stamp,
    )


def _seal(der: bytes) -> Seal:
    fields = _Fields(der, "SESeal")
    info_der = fields.take(_SEQUENCE)
    is_2014 = fields.next_tag == _SEQUENCE
    maker = _Fields(fields.take(_SEQUENCE), "SES_SignInfo") if is_2014 else fields
    certificate_der, algorithm_der = maker.take(_OCTET_STRING), maker.take(_OID)
    signature = maker.bits()
    maker.end()
    fields.end()
    together = _encode_sequence(info_der + certificate_der + algorithm_der)
    info = _Fields(info_der, "SES_SealInfo")
    header = _Fields(info.take(_SEQUENCE), "SES_Header")
    header.text()
    header.integer()
    vendor = header.text()
    header.end()
    identifier = info.text()
    fields_of_property = _Fields(info.take(_SEQUENCE), "SES_ESPropertyInfo")
    fields_of_property.integer()
    name = fields_of_property.text()
    kind = 1 if is_2014 else fields_of_property.integer()
    people = _Fields(fields_of_property.take(_SEQUENCE), "certList")
    certificates, digests = ((), _digests(people)) if kind == _DIGEST_LIST else (_octet_list(people), ())
    created_ms, from_ms, to_ms = (fields_of_property.time_ms() for _ in range(3))
    fields_of_property.end()
    picture = _Fields(info.take(_SEQUENCE), "SES_ESPictrueInfo")
    picture_type, picture_data = picture.text(), picture.octets()
    picture.integer()
    picture.integer()
    picture.end()
    info.skip_optional(_OPTIONAL, _SEQUENCE)
    info.end()
    return Seal(
        form=FORM_2014 if is_2014 else FORM_2020,
        der=der,
        info_der=info_der,
        signed_forms=(together, info_der) if is_2014 else (info_der, together),
        identifier=identifier,
        vendor=vendor,
        name=name,
        certificates=certificates,
        certificate_digests=digests,
        created_ms=created_ms,
        valid_from_ms=from_ms,
        valid_to_ms=to_ms,
        picture_type=picture_type,
        picture=picture_data,
        maker_certificate=_Fields.of(certificate_der).octets(),
        algorithm=_Fields.of(algorithm_der).oid(),
        signature=signature,
    )


class _Fields:
    """The fields of one SEQUENCE in turn; definite lengths in their shortest form only."""

    def __init__(self, sequence: bytes, name: str) -> None:
        """Take the DER of a whole SEQUENCE."""
        tag, start, end = _header(sequence, 0)
        if tag != _SEQUENCE or end != len(sequence):
            raise _malformed(f"{name} 不是 SEQUENCE", f"{name} is no SEQUENCE")
        self._raw, self._position, self._name = sequence, start, name

    @classmethod
    def of(cls, field: bytes) -> _Fields:
        """Return the reader of a single field that was taken before."""
        return cls(_encode_sequence(field), "field")

    @property
    def is_done(self) -> bool:
        return self._position >= len(self._raw)

    @property
    def next_tag(self) -> int:
        """The tag of the next field, -1 after the last."""
        return -1 if self.is_done else self._raw[self._position]

    def take(self, *tags: int) -> bytes:
        """Return the DER of the next field, which has one of these tags."""
        if self.next_tag not in tags:
            raise _malformed(f"{self._name} 的字段种类或次序不符", f"{self._name}: a field of another kind or order")
        start = self._position
        self._position = _header(self._raw, start)[2]
        return self._raw[start : self._position]

    def skip_optional(self, *tags: int) -> None:
        """Pass over an optional last field."""
        if not self.is_done:
            self.take(*tags)

    def end(self) -> None:
        """Return if no field is left."""
        if not self.is_done:
            raise _malformed(f"{self._name} 有多余字段", f"{self._name} has fields too many")

    def content(self, *tags: int) -> bytes:
        field = self.take(*tags)
        return field[_header(field, 0)[1] :]

    def octets(self) -> bytes:
        return self.content(_OCTET_STRING)

    def bits(self) -> bytes:
        content = self.content(_BIT_STRING)
        if content[:1] != b"\0":
            raise _malformed(f"{self._name} 的位串不是整字节", f"{self._name}: a bit string of no whole bytes")
        return content[1:]

    def integer(self) -> int:
        content = self.content(_INTEGER)
        if not 1 <= len(content) <= _MAX_INTEGER_BYTES:
            raise _malformed(f"{self._name} 的整数过长", f"{self._name}: a number that is too long")
        return int.from_bytes(content, "big", signed=True)

    def text(self) -> str:
        content = self.content(*_TEXTS)
        if len(content) > MAX_SEAL_TEXT_BYTES:
            raise _malformed(f"{self._name} 的文字过长", f"{self._name}: a text that is too long")
        # Only shown, never compared or signed again: vendors write GBK where the forms say IA5.
        return shown(content.decode("utf-8", "replace"))

    def oid(self) -> str:
        content = self.content(_OID)
        if not 1 <= len(content) <= _MAX_OID_BYTES or content[-1] & 0x80:
            raise _malformed(f"{self._name} 的算法标识不可用", f"{self._name}: an object identifier that is not usable")
        numbers, value = [], 0
        for byte in content:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

    def time_ms(self) -> int:
        field = self.take(_UTC_TIME, _GENERALIZED_TIME)
        found = _time(field[_header(field, 0)[1] :], is_short=field[0] == _UTC_TIME)
        if found is None:
            raise _malformed(f"{self._name} 的时间不可用", f"{self._name}: a time that is not usable")
        return found


def _octet_list(fields: _Fields) -> tuple[bytes, ...]:
    found = []
    while not fields.is_done:
        found.append(fields.octets())
        _check_count(len(found))
    return tuple(found)


def _digests(fields: _Fields) -> tuple[tuple[str, bytes], ...]:
    found = []
    while not fields.is_done:
        one = _Fields(fields.take(_SEQUENCE), "CertDigestObj")
        found.append((one.text(), one.octets()))
        one.end()
        _check_count(len(found))
    return tuple(found)


def _check_count(count: int) -> None:
    if count > MAX_SEAL_CERTIFICATES:
        raise _malformed(
            f"证书应不超过 {MAX_SEAL_CERTIFICATES} 张", f"expected at most {MAX_SEAL_CERTIFICATES} certificates"
        )


def _time_in_bits(content: bytes) -> int | None:
    """Return the time in a bit string of GM/T 0031, as text or as DER; None for a time stamp."""
    if len(content) > 2 and content[0] in (_UTC_TIME, _GENERALIZED_TIME) and content[1] == len(content) - 2:
        return _time(content[2:], is_short=content[0] == _UTC_TIME)
    long_form = _time(content, is_short=False)
    return _time(content, is_short=True) if long_form is None else long_form


def _time(content: bytes, *, is_short: bool) -> int | None:
    match = _TIME.fullmatch(content)
    if match is None or len(match[1]) != (12 if is_short else 14):
        return None
    text = (match[1] + match[2]).decode("ascii")
    if is_short:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000


def _header(raw: bytes, position: int) -> tuple[int, int, int]:
    """Return tag, start and end of the content of the field at a position."""
    length = raw[position + 1] if position + 1 < len(raw) else -1
    start = position + 2
    if length >= 0x80:
        size = length & 0x7F
        length = int.from_bytes(raw[start : start + size], "big") if 1 <= size <= 4 else -1
        start += size
        if length < 0x80 or length.bit_length() <= 8 * (size - 1):
            length = -1
    if length < 0 or start + length > len(raw):
        raise _malformed("不是 DER", "not DER")
    return raw[position], start, start + length


def _encode_sequence(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((_SEQUENCE, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((_SEQUENCE, 0x80 | len(length))) + length + content


def _whole(raw: bytes) -> bytes:
    if len(raw) > MAX_SEAL_BYTES:
        raise _malformed(f"应不超过 {MAX_SEAL_BYTES} 字节", f"expected at most {MAX_SEAL_BYTES} bytes")
    return raw


def _malformed(zh: str, en: str) -> InputError:
    return InputError(
        "SEAL_MALFORMED",
        f"不是 GB/T 38540（或 GM/T 0031）形式的签章数据：{zh}",
        f"no seal data of GB/T 38540 (or GM/T 0031): {en}",
    )
