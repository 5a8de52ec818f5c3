"""An issuer that serves one document, its holder, and a department that asks for it, over a hand-made chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.identifiers import make_identifier
from contracts.registration import AccountRegistration
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.certificate_sharing.desk import Desk
from sdk.certificate_sharing.exchange import SharingRequest
from sdk.certificate_sharing.holdings import Holdings
from sdk.certificate_sharing.service import make_service
from sdk.certificate_sharing.statements import Statements
from sdk.certificate_sharing.store import SharingStore
from sdk.client import Client
from sdk.department_services.accounts import SignedCallers
from sdk.gateway.supply_beginning import SupplyBeginning
from sdk.trust import save_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from tests.served import serve
from verification.access.reads import decode_read
from verification.authorisations import Authorisation, make_authorisation, sign_authorisation
from verification.certificate_files.document import (
    Attachment,
    CertificateDocument,
    document_secret,
    draft_document,
    encode_file,
    file_digest,
    seal_document,
)
from verification.certificate_files.seals import sign_document
from verification.trust import trust_of_genesis

__all__ = ["serve"]

SECRET = b"\7" * 32
ISSUER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
TYPE_CODE, RESOURCE = "11100000MB03271699001", "307013301/000001"
OFD = b"PK sample of an OFD file"
PURPOSE = "办理抵押登记"
YEAR_MS = 365 * 86_400_000


@dataclass
class SharingOffice:
    """Everything that takes part; `fetcher` is the account of the department that asks."""

    folder: Path
    node: Any
    issuer: Client
    consumer: Client
    holder: Signer
    fetcher: Signer
    clerk: Signer
    chain: tuple[Certificate, ...]
    root: Certificate
    document: CertificateDocument
    grant: bytes
    store: SharingStore
    recorder: Recorder

    def desk(self, supply: SupplyBeginning | None = None) -> Desk:
        holdings = Holdings([], self.folder / "documents", self.folder / "files", SECRET)
        statements = Statements(self.issuer, holdings, self.store)
        return Desk(
            statements, self.clerk, self.chain, self.recorder, now_ms=lambda: self.node.chain.time_ms, supply=supply
        )

    def statement(self, **changes: Any) -> Authorisation:
        """A statement as a holder signs it."""
        said: dict[str, Any] = {
            "genesis": self.node.chain.genesis.hash,
            "number": 0,
            "recipient": CONSUMER,
            "purpose": PURPOSE,
            "fields": ["坐落"],
            "attachments": [],
            "from_ms": self.node.chain.time_ms,
            "to_ms": self.node.chain.time_ms + YEAR_MS,
            "max_fetches": 2,
            "salt": sm3(b"salt"),
        }
        made = make_authorisation(self.document, **said | changes)
        return sign_authorisation(made, self.document.core, self.holder)

    def another_certificate(self, recipient: str) -> Authorisation:
        """A statement of the same holder about a second certificate."""
        document = issue(self.node, self.clerk, self.chain, self.holder.public_key, "20260000077")
        (self.folder / "documents" / f"{document.core.identifier}.json").write_bytes(encode_file(document))
        made = make_authorisation(
            document,
            genesis=self.node.chain.genesis.hash,
            number=0,
            recipient=recipient,
            purpose=PURPOSE,
            fields=[],
            attachments=[],
            from_ms=self.node.chain.time_ms,
            to_ms=self.node.chain.time_ms + YEAR_MS,
            max_fetches=2,
            salt=sm3(b"another"),
        )
        return sign_authorisation(made, document.core, self.holder)

    def asked(self, statement: Authorisation, **changes: Any) -> SharingRequest:
        """A request as the department's system makes it."""
        said: dict[str, Any] = {
            "use_cause": PURPOSE,
            "grant": self.grant.hex(),
            "case_number": "2026-000001",
            "system": "抵押登记系统",
            "request_id": "0" * 32,
            "access_token": statement.id,
        }
        return SharingRequest(**said | changes)

    def reads(self) -> list[Any]:
        """The access records of the issuer's stream, oldest first."""
        return [decode_read(raw) for raw in self.recorder.store.encoded_reads(1, 2**62)]


def issue(node: Any, clerk: Signer, chain: tuple[Certificate, ...], holder_key: bytes, serial: str) -> Any:
    identifier = make_identifier(TYPE_CODE, ISSUER, serial)
    metadata = {
        "ZZBS": identifier,
        "ZZMC": "不动产权证书",
        "ZZBFJG": "示范局",
        "ZZBFRQ": "2026-05-01",
        "ZZYXQQSRQ": "2026-05-01",
        "ZZBH": "示(2026)第1号",
        "CZZT": "张三",
        "CZZTDM": "990101199001011234",
        "CZZTDMLXDM": "111",
    }
    draft = draft_document(
        metadata,
        [("坐落", "示例路1号"), ("面积", "98.5")],
        [Attachment("产权证.ofd", "application/ofd", file_digest(OFD))],
        document_secret(SECRET, identifier),
        holder_key=holder_key,
    )
    content = draft.content
    node.chain.call(
        node.chain.clerk,
        "certificates",
        "issue",
        identifier=identifier,
        document_digest=content.document_digest,
        holder_commitment=content.holder_commitment,
        valid_from_ms=content.valid_from_ms,
        valid_to_ms=content.valid_to_ms,
    )
    return seal_document(draft, sign_document(draft.digest, clerk, chain, node.chain.time_ms))


def add_recorder(node: Any) -> PrivateKey:
    key, roles = PrivateKey.generate(), ["recorder"]
    registration = AccountRegistration(node.chain.genesis.hash, ISSUER, key.public_key, "领取服务", roles)
    stated = {"department": ISSUER, "public_key": key.public_key, "name": "领取服务", "roles": roles}
    node.chain.call(node.chain.governor, "members", "add_account", **stated, signature=key.sign(registration.digest))
    return key


def make_grant(node: Any, items: tuple[str, ...] = ("证照",), code: str = RESOURCE) -> bytes:
    """Publish a resource with these items, which is shared unconditionally, and return the consumer's grant of all of them."""
    node.chain.call(
        node.chain.clerk,
        "catalogue",
        "publish",
        resource=ResourceDescription(
            code=code,
            name="电子证照共享",
            summary="凭持证人授权领取电子证照",
            format="JSON",
            items=tuple(ResourceItem(name, "C") for name in items),
            sharing_type=1,
            sharing_basis="",
            sharing_method="接口",
            update_cycle=1,
            data_class=3,
        ),
        replaces=0,
    )
    with Client(node.url, Signer(node.chain.consumer)) as consumer:
        period = {"from_ms": node.chain.time_ms, "to_ms": node.chain.time_ms + YEAR_MS}
        said: dict[str, Any] = {"resource": code, "purpose": PURPOSE, "legal_basis": "示例"}
        said |= {"items": list(items), "case_types": [], "rows_per_day": 0}
        return bytes.fromhex(consumer.call("sharing", "request", **said, **period).output[2:])


@pytest.fixture
def sharing(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharingOffice]:
    monkeypatch.setattr("sdk.certificate_sharing.statements.REFUSAL_S", 0.0)
    now_ms = node.chain.time_ms
    root = x509.issue_root("Demo City Root", now_ms=now_ms)
    department = x509.issue_department(root, ISSUER, "示范局", now_ms=now_ms)
    clerk, holder = Signer(PrivateKey.generate()), Signer(PrivateKey.generate())
    person = x509.issue_person(department, "签发人", clerk.public_key, now_ms=now_ms)
    chain = (person, department.certificate)
    document = issue(node, clerk, chain, holder.public_key, "20260000001")
    for name in ("documents", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "documents" / f"{document.core.identifier}.json").write_bytes(encode_file(document))
    (tmp_path / "files" / f"{sm3(OFD).hex()}.ofd").write_bytes(OFD)
    fetcher = Signer(node.chain.consumer)
    store = SharingStore(tmp_path / "sharing.sqlite")
    grant = make_grant(node)
    with Client(node.url, Signer(add_recorder(node))) as issuer, Client(node.url, fetcher) as consumer:
        recorder = Recorder(tmp_path / "reads.sqlite", ISSUER, issuer.address, RecordingPolicy())
        yield SharingOffice(
            tmp_path,
            node,
            issuer,
            consumer,
            holder,
            fetcher,
            clerk,
            chain,
            root.certificate,
            document,
            grant,
            store,
            recorder,
        )
    recorder.close()
    store.close()


@pytest.fixture
def service(sharing: SharingOffice, serve: Callable[[Any], str]) -> str:
    """The address of the issuer's service."""
    return serve(make_service(sharing.desk(), SignedCallers(sharing.issuer, frozenset())))


@pytest.fixture
def desk_folder(sharing: Any) -> Path:
    """Key files of everybody, under one password."""
    folder: Path = sharing.folder
    keys = {
        "holder": sharing.holder,
        "consumer": sharing.fetcher,
        "clerk": sharing.clerk,
        "recorder": sharing.issuer._signer,
    }
    for name, signer in keys.items():
        save_key(folder / f"{name}.key", signer._key, b"password", iterations=1_000)
    for name, text in (("password", "password"), ("secret", "07" * 32)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(f"{text}\n")
    trusted = msgspec.structs.replace(
        trust_of_genesis(sharing.node.chain.genesis), root_certificates=(sharing.root.der.hex(),)
    )
    save_trust(folder / "trust.json", trusted)
    (folder / "chain.pem").write_text("".join(one.pem for one in sharing.chain))
    return folder
