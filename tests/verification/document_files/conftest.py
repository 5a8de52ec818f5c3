"""OFD files made here, sealed with our own SM2 keys: everything that a test may want to make differently is an argument."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import core

from sm_crypto import x509
from sm_crypto.der import encode_signature
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Authority, Certificate

NOW_MS = 1_785_000_000_000
DAY_MS = 86_400_000
SM2_WITH_SM3 = "1.2.156.10197.1.501"
SM3_OID = "1.2.156.10197.1.401"
SIGNS = "Doc_0/Signs"
CONTENT = {
    "OFD.xml": b'<ofd:OFD xmlns:ofd="http://www.ofdspec.org/2016" Version="1.1" DocType="OFD"><ofd:DocBody><ofd:DocInfo>'
    b"<ofd:DocID>1</ofd:DocID><ofd:Title>\xe8\xaf\x81\xe7\x85\xa7</ofd:Title></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot>"
    b"<ofd:Signatures>/Doc_0/Signs/Signatures.xml</ofd:Signatures></ofd:DocBody></ofd:OFD>",
    "Doc_0/Document.xml": b'<ofd:Document xmlns:ofd="http://www.ofdspec.org/2016"><ofd:CommonData/><ofd:Pages>'
    b'<ofd:Page ID="1" BaseLoc="Pages/Page_0/Content.xml"/></ofd:Pages>'
    b"<ofd:Attachments>Attachs/Attachments.xml</ofd:Attachments></ofd:Document>",
    "Doc_0/Pages/Page_0/Content.xml": b'<ofd:Page xmlns:ofd="http://www.ofdspec.org/2016"/>',
    "Doc_0/Attachs/Attachments.xml": b'<ofd:Attachments xmlns:ofd="http://www.ofdspec.org/2016">'
    b'<ofd:Attachment ID="2" Name="a" Format="xml">'
    b"<ofd:FileLoc>a.xml</ofd:FileLoc></ofd:Attachment></ofd:Attachments>",
    "Doc_0/Attachs/a.xml": b"<metadata>1</metadata>",
}


def sequence(*fields: Any) -> bytes:
    content = b"".join(one if isinstance(one, bytes) else one.dump() for one in fields)
    return core.Sequence(contents=content).dump()  # type: ignore[no-any-return]


def tagged(content: bytes) -> bytes:
    """An optional field under [0]."""
    return b"\xa0" + bytes((len(content),)) + content


def moment(time_ms: int, *, is_short: bool = False) -> Any:
    when = datetime.fromtimestamp(time_ms / 1000, UTC)
    return core.UTCTime(when) if is_short else core.GeneralizedTime(when)


def bits(value: bytes) -> bytes:
    return core.OctetBitString(value).dump()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Person:
    key: PrivateKey
    certificate: Certificate


@dataclass(frozen=True)
class Ofd:
    """One sealed file; `parts` are what it was zipped of."""

    parts: dict[str, bytes]

    @property
    def raw(self) -> bytes:
        return zipped(self.parts)

    def with_part(self, name: str, data: bytes) -> Ofd:
        return Ofd({**self.parts, name: data})

    def without(self, name: str) -> Ofd:
        return Ofd({key: value for key, value in self.parts.items() if key != name})


def zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Sealing:
    """How a file is sealed."""

    signer: Person
    maker: Person
    is_2014: bool = False
    algorithm: str = SM2_WITH_SM3
    check_method: str = SM3_OID
    sealed_ms: int = NOW_MS
    valid_to_ms: int = NOW_MS + 100 * DAY_MS
    listed: tuple[bytes, ...] | None = None
    lists_digests: bool = False
    kind: str = "Seal"
    has_time_stamp: bool = False
    is_plain_signature: bool = False
    maker_signs_all: bool | None = None
    uncovered: tuple[str, ...] = ()
    content: dict[str, bytes] = field(default_factory=lambda: dict(CONTENT))

    def seal(self) -> bytes:
        if self.lists_digests:
            people = sequence(
                sequence(core.PrintableString(SM3_OID), core.OctetString(sm3(self.signer.certificate.der)))
            )
        else:
            listed = (self.signer.certificate.der,) if self.listed is None else self.listed
            people = sequence(*(core.OctetString(one) for one in listed))
        times = [moment(one, is_short=self.is_2014) for one in (NOW_MS, NOW_MS - DAY_MS, self.valid_to_ms)]
        kinds = [] if self.is_2014 else [core.Integer(2 if self.lists_digests else 1)]
        info = sequence(
            sequence(core.IA5String("ES"), core.Integer(1 if self.is_2014 else 4), core.IA5String("vendor")),
            core.IA5String("seal-1"),
            sequence(core.Integer(1), core.UTF8String("示例市自然资源局印章"), *kinds, people, *times),
            sequence(core.IA5String("PNG"), core.OctetString(b"picture"), core.Integer(40), core.Integer(40)),
        )
        certificate, algorithm = core.OctetString(self.maker.certificate.der), core.ObjectIdentifier(SM2_WITH_SM3)
        signs_all = self.is_2014 if self.maker_signs_all is None else self.maker_signs_all
        message = sequence(info, certificate, algorithm) if signs_all else info
        signature = bits(encode_signature(self.maker.key.sign(message)))
        if self.is_2014:
            return sequence(info, sequence(certificate, algorithm, signature))
        return sequence(info, certificate, algorithm, signature)

    def sign(self, seal: bytes, signature_xml: bytes, when: Any = None) -> bytes:
        certificate, algorithm = core.OctetString(self.signer.certificate.der), core.ObjectIdentifier(self.algorithm)
        when = moment(self.sealed_ms) if when is None else when
        if self.is_2014:
            when = bits(b"stamp" if self.has_time_stamp else moment(self.sealed_ms, is_short=True).dump())
        to_sign = [core.Integer(4), seal, when, bits(sm3(signature_xml)), core.IA5String("Signature.xml")]
        if self.is_2014:
            message = sequence(*to_sign, certificate, algorithm)
            return sequence(message, bits(encode_signature(self.signer.key.sign(message))))
        message = sequence(*to_sign)
        raw = self.signer.key.sign(message)
        value = bits(raw if self.is_plain_signature else encode_signature(raw))
        rest = [tagged(bits(b"stamp"))] if self.has_time_stamp else []
        return sequence(message, certificate, algorithm, value, *rest)

    def make(self) -> Ofd:
        references = "".join(
            f'<ofd:Reference FileRef="/{name}"><ofd:CheckValue>{base64.b64encode(sm3(data)).decode()}</ofd:CheckValue></ofd:Reference>'
            for name, data in self.content.items()
            if name not in self.uncovered
        )
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><ofd:Signature xmlns:ofd="http://www.ofdspec.org/2016"><ofd:SignedInfo>'
            f'<ofd:References CheckMethod="{self.check_method}">{references}</ofd:References>'
            '<ofd:StampAnnot ID="1" PageRef="1" Boundary="0 0 40 40"/><ofd:Seal><ofd:BaseLoc>Seal.esl</ofd:BaseLoc></ofd:Seal>'
            f"</ofd:SignedInfo><ofd:SignedValue>/{SIGNS}/Sign_0/SignedValue.dat</ofd:SignedValue></ofd:Signature>"
        ).encode()
        seal = self.seal()
        signatures = (
            '<ofd:Signatures xmlns:ofd="http://www.ofdspec.org/2016"><ofd:MaxSignId>1</ofd:MaxSignId>'
            f'<ofd:Signature ID="1" Type="{self.kind}" BaseLoc="Sign_0/Signature.xml"/></ofd:Signatures>'
        ).encode()
        return Ofd(
            {
                **self.content,
                f"{SIGNS}/Signatures.xml": signatures,
                f"{SIGNS}/Sign_0/Signature.xml": xml,
                f"{SIGNS}/Sign_0/Seal.esl": seal,
                f"{SIGNS}/Sign_0/SignedValue.dat": self.sign(seal, xml),
            }
        )


def _person(department: Authority, name: str, now_ms: int) -> Person:
    key = PrivateKey.generate()
    return Person(key, x509.issue_person(department, name, key.public_key, now_ms=now_ms))


@dataclass(frozen=True)
class SealWorld:
    root: Certificate
    department: Certificate
    signer: Person
    expired: Person
    maker: Person
    now_ms: int

    def sealing(self, **changes: Any) -> Sealing:
        return Sealing(**{"signer": self.signer, "maker": self.maker, **changes})


@pytest.fixture(scope="session")
def seal_world() -> SealWorld:
    long_ago_ms = NOW_MS - 4 * 366 * DAY_MS
    root = x509.issue_root("Seal Root", now_ms=long_ago_ms)
    department = x509.issue_department(root, "11990100MB0000002X", "示例市自然资源局", now_ms=long_ago_ms)
    return SealWorld(
        root.certificate,
        department.certificate,
        _person(department, "签章人", NOW_MS - DAY_MS),
        _person(department, "过期签章人", long_ago_ms),
        _person(department, "制章人", NOW_MS - DAY_MS),
        NOW_MS + 1_000,
    )


@pytest.fixture(scope="session")
def zip_of() -> Callable[[dict[str, bytes]], bytes]:
    return zipped
