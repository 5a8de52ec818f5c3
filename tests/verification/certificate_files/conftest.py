"""A network's root, an issuing department with a person who signs, a holder with a key, and one document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from contracts.identifiers import make_identifier
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.x509 import Authority, Certificate
from verification.certificate_files.document import (
    Attachment,
    CertificateDocument,
    Draft,
    document_secret,
    draft_document,
    file_digest,
    seal_document,
)
from verification.certificate_files.file_verification import Expectations
from verification.certificate_files.seals import sign_document

NOW_MS = 1_785_000_000_000
ISSUER, COPIER = "11990100MB0000002X", "11990100MB00000031"
TYPE_CODE = "11100000MB03271699001"
DEPARTMENT_SECRET = b"\7" * 32
PDF = b"%PDF-1.4 sample"


@dataclass(frozen=True)
class Office:
    """A department: its authority, and a person of it who signs."""

    authority: Authority
    signer: Signer
    chain: tuple[Certificate, ...]


@dataclass(frozen=True)
class World:
    """Everybody who takes part."""

    root: Certificate
    issuer: Office
    copier: Office
    holder: Signer
    now_ms: int
    issuer_code: str
    copier_code: str

    def draft(self, serial: str = "20260000001", *, holder_key: bool = True, **changes: str) -> Draft:
        identifier = make_identifier(TYPE_CODE, ISSUER, serial)
        metadata = {
            "ZZBS": identifier,
            "ZZMC": "不动产权证书",
            "ZZBFJG": "示例市自然资源局",
            "ZZBFRQ": "2026-07-01",
            "ZZYXQQSRQ": "2026-07-01",
            "ZZYXQJZRQ": "2031-06-30",
            "ZZBH": "示(2026)不动产权第0000001号",
            "CZZT": "张三",
            "CZZTDM": "990101199001011234",
            "CZZTDMLXDM": "111",
            **changes,
        }
        return draft_document(
            metadata,
            [("坐落", "示例路1号\n2栋"), ("面积", "98.5"), ("用途", "住宅")],
            [Attachment("产权证.pdf", "application/pdf", file_digest(PDF))],
            document_secret(DEPARTMENT_SECRET, identifier),
            holder_key=self.holder.public_key if holder_key else b"",
        )

    def seal(self, draft: Draft) -> CertificateDocument:
        seal = sign_document(draft.digest, self.issuer.signer, self.issuer.chain, self.now_ms)
        return seal_document(draft, seal)

    def expect(self, **changes: Any) -> Expectations:
        return Expectations(**{"now_ms": self.now_ms + 1_000, "roots": (self.root,), **changes})


def _office(root: Authority, code: str, name: str) -> Office:
    authority = x509.issue_department(root, code, name, now_ms=NOW_MS)
    key = PrivateKey.generate()
    person = x509.issue_person(authority, f"{name}签章人", key.public_key, now_ms=NOW_MS)
    return Office(authority, Signer(key), (person, authority.certificate))


@pytest.fixture(scope="session")
def world() -> World:
    root = x509.issue_root("Demo City Root", now_ms=NOW_MS)
    return World(
        root.certificate,
        _office(root, ISSUER, "示例市自然资源局"),
        _office(root, COPIER, "示例市市场监管局"),
        Signer(PrivateKey.generate()),
        NOW_MS,
        ISSUER,
        COPIER,
    )


@pytest.fixture(scope="session")
def document(world: World) -> CertificateDocument:
    return world.seal(world.draft())


@pytest.fixture
def pdf() -> bytes:
    return PDF
