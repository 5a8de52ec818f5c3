"""What forgers have to work on: a chain with certificates in every state, their documents, copies, proofs, lists and codes, all genuine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from consensus.validators import Validator, ValidatorSet
from contracts.batches import batch_name, leaf_hash, load_batch
from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier, parse_identifier
from contracts.refusals import Refused
from node.chain.block import block_id
from node.chain.transaction import address_of
from node.http.proof_file import encode_proof_file
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS, TYPE_CODE, HandMadeChain, make_chain
from verification.batch_proof import BatchMember, encode_batch_proof, sealed_member
from verification.certificate_files.annotated_copy import AnnotatedCopy, make_annotated_copy
from verification.certificate_files.document import (
    Attachment,
    CertificateDocument,
    Draft,
    FileDigest,
    document_secret,
    draft_document,
    encode_file,
    file_digest,
    seal_document,
)
from verification.certificate_files.file_verification import Expectations, certificate_file_kind, verify_file
from verification.certificate_files.presentation import Presentation, bind_presentation, present
from verification.certificate_files.seals import BatchSeal, sign_batch, sign_document
from verification.errors import InputError
from verification.freshness import ListTrust, sign_status_list
from verification.proofs import GivenDocument, Verdict, verify_proof
from verification.status_list import (
    ListBlock,
    Scope,
    StatusListFile,
    changed_identifiers,
    changed_positions,
    encode_status_list,
    entry_places,
    make_batch_list,
    make_hash_list,
    scope_prefix,
)
from verification.trust import TrustFile, trust_of_genesis

DAY_MS = 86_400_000
PDF, PLAN = b"%PDF-1.4 deed", b"\x89PNG plan"
DEED, PLAN_NAME = "产权证.pdf", "宗地图.png"
BATCH_SERIALS = [f"2027{number:07}" for number in range(5)]
GOOD_DAYS = {"ZZBFRQ": "2026-05-01", "ZZYXQQSRQ": "2026-05-01", "ZZYXQJZRQ": "2031-04-30"}


@dataclass(frozen=True)
class Forgery:
    """One attempt: `what` was done, the `code` of the reason it must be refused for, and the attempt, which returns the code found."""

    what: str
    code: str
    attempt: Callable[[], str]


Forgeries = Iterable[tuple[str, str, Callable[[], Any]]]
"""What, code, and a call that returns a verdict or raises the reason."""


@dataclass(frozen=True)
class Office:
    """A department as X.509 knows it, and a person of it who signs."""

    authority: x509.Authority
    signer: Signer
    chain: tuple[x509.Certificate, ...]


def make_office(root: x509.Authority, code: str, name: str) -> Office:
    authority = x509.issue_department(root, code, name, now_ms=START_MS - DAY_MS)
    key = PrivateKey.generate()
    person = x509.issue_person(authority, f"{name}签章人", key.public_key, now_ms=START_MS - DAY_MS)
    return Office(authority, Signer(key), (person, authority.certificate))


def code_of(found: object) -> str:
    """Return the code of a verdict; of a broken proof also the step; what is accepted says so."""
    if isinstance(found, Verdict):
        if found.is_accepted:
            return f"accepted: {found.code}"
        return f"PROOF_BROKEN: {found.broken_step}" if found.code == "PROOF_BROKEN" else found.code
    if getattr(found, "is_accepted", True):
        return f"accepted: {getattr(found, 'code', found)}"
    return str(found.code)  # type: ignore[attr-defined]


def outcome(attempt: Callable[[], object]) -> str:
    """Return the code that an attempt comes to."""
    try:
        return code_of(attempt())
    except (InputError, Refused) as refused:
        return refused.code


def edited(raw: bytes, *path: Any, to: Any) -> bytes:
    """Return JSON with the value at a path replaced; `to` may be a function of what stands there."""
    content = json.loads(raw)
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to(place[path[-1]]) if callable(to) else to
    return json.dumps(content, ensure_ascii=False).encode()


def at(raw: bytes, *path: Any) -> Any:
    """Return the value at a path of JSON."""
    content = json.loads(raw)
    for name in path:
        content = content[name]
    return content


def flip(digits: str) -> str:
    """Return hex digits with one bit of the last changed."""
    return digits[:-1] + f"{int(digits[-1], 16) ^ 1:x}"


class ForgedWorld:
    """All of it, made once."""

    def __init__(self) -> None:
        self.chain_identifier = make_identifier(TYPE_CODE, DEPARTMENT, "20250000001")
        self.chain: HandMadeChain = make_chain(self.chain_identifier)
        root = x509.issue_root("Demo City Root", now_ms=START_MS - DAY_MS)
        self.root = root.certificate
        self.issuer = make_office(root, DEPARTMENT, "示范局")
        self.copier = make_office(root, CONSUMER, "使用局")
        impostor_root = x509.issue_root("Demo City Root", now_ms=START_MS - DAY_MS)
        self.impostor_root = impostor_root.certificate
        self.impostor = make_office(impostor_root, DEPARTMENT, "示范局")
        self.holder, self.thief = Signer(PrivateKey.generate()), Signer(PrivateKey.generate())
        self.trust: TrustFile = msgspec.structs.replace(
            trust_of_genesis(self.chain.genesis), root_certificates=(self.root.der.hex(),)
        )
        self._issue()
        self.as_of_ms = self.chain.time_ms
        self.now_ms = self.as_of_ms + DAY_MS
        self._prove()

    def draft(self, serial: str, *, with_key: bool = False, holder: str = "张三", **changes: str) -> Draft:
        identifier = make_identifier(TYPE_CODE, DEPARTMENT, serial, changes.pop("version", "001"))
        metadata = {
            "ZZBS": identifier,
            "ZZMC": "不动产权证书",
            "ZZBFJG": "示范局",
            **GOOD_DAYS,
            "ZZBH": f"示(2026)第{serial[-3:]}号",
            "CZZT": holder,
            "CZZTDM": "990101199001011234",
            "CZZTDMLXDM": "111",
            **changes,
        }
        fields = [("坐落", f"示例路{serial[-2:]}号"), ("面积", "98.5"), ("用途", "住宅")]
        attachments = [
            Attachment(DEED, "application/pdf", file_digest(PDF)),
            Attachment(PLAN_NAME, "image/png", file_digest(PLAN)),
        ]
        key = self.holder.public_key if with_key else b""
        return draft_document(metadata, fields, attachments, document_secret(b"\7" * 32, identifier), holder_key=key)

    def seal(self, draft: Draft, office: Office | None = None, signed_ms: int = START_MS) -> CertificateDocument:
        by = office or self.issuer
        return seal_document(draft, sign_document(draft.digest, by.signer, by.chain, signed_ms))

    def seal_batch(self, drafts: list[Draft], office: Office | None = None) -> list[CertificateDocument]:
        """Return the documents of a batch, in the order of their identifiers, whether it is on the ledger or not."""
        by = office or self.issuer
        leaves = [leaf_hash(draft.content) for draft in drafts]
        name = batch_name(TYPE_CODE, DEPARTMENT, parse_identifier(drafts[0].core.identifier).serial)
        root = merkle_root(leaves)
        signed = sign_batch(name, len(drafts), root, sm3(b"manifest"), by.signer, by.chain, START_MS)
        return [
            seal_document(draft, signed.seal(position, merkle_path(leaves, position)))
            for position, draft in enumerate(drafts)
        ]

    def _issue(self) -> None:
        """Put certificates on the ledger, one for every state that there is."""
        drafts = {
            "bound": self.draft("20260000001", with_key=True),
            "single": self.draft("20260000002"),
            "other": self.draft("20260000003", holder="李四"),
            "suspended": self.draft("20260000004"),
            "revoked": self.draft("20260000005"),
            "renewed": self.draft("20260000006"),
            "expired": self.draft("20260000007", ZZYXQJZRQ="2026-05-10"),
            "future": self.draft("20260000008", ZZYXQQSRQ="2027-01-01"),
            "leaving": self.draft("20260000009"),
        }
        self.drafts = drafts
        for draft in drafts.values():
            self.call("issue", **msgspec.structs.asdict(draft.content))
        self.documents = {name: self.seal(draft) for name, draft in drafts.items()}
        self.batch_drafts = [self.draft(serial) for serial in BATCH_SERIALS]
        self.batch, _ = self.chain.issue_batch([draft.content for draft in self.batch_drafts])
        self.members = self.seal_batch(self.batch_drafts)
        later = [self.draft(f"2028{number:07}") for number in range(5)]
        self.other_batch, _ = self.chain.issue_batch([draft.content for draft in later])
        self.other_members = self.seal_batch(later)
        self.before = {name: self.prove(name) for name in ("suspended", "revoked", "renewed")}
        self.member_before = self.prove_member(3)
        self.list_before = self.status_list(Scope(TYPE_CODE, DEPARTMENT))
        self.height_before = self.chain.height
        self._change()

    def _change(self) -> None:
        names = {name: draft.core.identifier for name, draft in self.drafts.items()}
        self.call("suspend", identifier=names["suspended"], reason="挂失")
        self.call("revoke", identifier=names["revoked"], status="03", reason="骗取")
        self.successor = self.draft("20260000006", version="002", associatedZzeCertID=names["renewed"])
        content = msgspec.structs.asdict(self.successor.content)
        self.call("renew", predecessor=names["renewed"], reason="换发", **content)
        self.call("transfer_out", identifier=names["leaving"], recipient=CONSUMER, reason="迁出")
        self.chain.admit(self.batch, self.member(3))
        self.call("suspend", identifier=self.members[3].core.identifier, reason="挂失")

    def _prove(self) -> None:
        """Make what is presented: proofs, presentations, copies, status lists."""
        self.files = {name: encode_file(document) for name, document in self.documents.items()}
        self.member_file = encode_file(self.members[2])
        self.proofs = {name: self.prove(name) for name in self.documents}
        self.member_proof = self.prove_member(2)
        until = self.now_ms + 30 * DAY_MS
        self.shown: Presentation = present(self.documents["single"], ["坐落", "面积"], [DEED])
        self.bound: Presentation = bind_presentation(
            present(self.documents["bound"], ["坐落"], [DEED]), self.holder, "使用局", "办理抵押", self.as_of_ms, until
        )
        self.copy: AnnotatedCopy = self.annotate(self.bound)
        self.free_copy: AnnotatedCopy = self.annotate(self.shown)
        self.shown_file, self.bound_file = encode_file(self.shown), encode_file(self.bound)
        self.copy_file, self.free_copy_file = encode_file(self.copy), encode_file(self.free_copy)
        self.list_now = self.status_list(Scope(TYPE_CODE, DEPARTMENT))
        self.batch_list = self.status_list(Scope(TYPE_CODE, DEPARTMENT, BATCH_SERIALS[0]))
        self.walked = self._walk()

    def annotate(self, original: Presentation, office: Office | None = None, **changes: Any) -> AnnotatedCopy:
        by = office or self.copier
        words: dict[str, Any] = {
            "reason": "存档",
            "recipient": "示例银行",
            "made_ms": self.as_of_ms,
            "expires_ms": self.now_ms + 10 * DAY_MS,
        }
        return make_annotated_copy(original, by.signer, by.chain, **{**words, **changes})

    def call(self, method: str, **arguments: Any) -> None:
        self.chain.call(self.chain.clerk, "certificates", method, **arguments)

    def identifier(self, name: str) -> str:
        return self.drafts[name].core.identifier

    def prove(self, name: str) -> bytes:
        return self.prove_identifier(self.identifier(name))

    def prove_identifier(self, identifier: str) -> bytes:
        return encode_proof_file(self.chain.prove(certificate_key(identifier)))

    def member(self, position: int) -> BatchMember:
        document = self.members[position]
        assert isinstance(document.seal, BatchSeal)
        return sealed_member(document.core, document.seal)

    def prove_member(self, position: int) -> bytes:
        return encode_batch_proof(self.chain.prove_member(self.batch, self.member(position)))

    def _walk(self) -> bytes:
        """Return a proof after the validators changed, with the walk to them."""
        keys = [*self.chain.validator_keys[:3], PrivateKey.generate()]
        self.chain.validator_keys.append(keys[-1])
        after = ValidatorSet([Validator(address_of(key.public_key), key.public_key) for key in keys])
        change = self.chain.change_validators(after)
        self.chain.height += 1
        proof = self.chain.prove(certificate_key(self.identifier("single")), after)
        return encode_proof_file(msgspec.structs.replace(proof, walk=(change,)))

    def status_list(self, scope: Scope, office: Office | None = None, **changes: Any) -> bytes:
        """Return a signed list of what the ledger holds now; `changes` are made to its content before it is signed."""
        by = office or self.issuer
        state = self.chain.state
        header = self.chain.prove(b"any").header
        block = ListBlock(header.height, block_id(header), header.time_ms)
        prefix = scope_prefix(scope)
        entries = ((key, value) for key, value in sorted(state.items()) if key.startswith(prefix))
        if scope.is_batch:
            batch = load_batch(state, scope.name)
            assert batch is not None
            content = make_batch_list(
                self.chain.genesis.hash, batch, block, changed_positions(state, entries, block.time_ms)
            )
        else:
            changed = changed_identifiers(state, entries, block.time_ms)
            content = make_hash_list(self.chain.genesis.hash, scope, block, entry_places(block, changed))
        content = msgspec.structs.replace(content, **changes)
        signed = sign_status_list(content, DEPARTMENT, by.signer, by.chain, block.time_ms)
        return encode_status_list(StatusListFile(content, (signed,)))

    @property
    def list_trust(self) -> ListTrust:
        return ListTrust(self.now_ms, self.trust.anchor, (self.root,))

    def verify(
        self,
        proof: bytes,
        file: bytes | None = None,
        *,
        recipient: str | None = None,
        attachments: dict[str, FileDigest] | None = None,
        now_ms: int | None = None,
    ) -> Verdict:
        """Return the verdict on a proof, with or without a file."""
        given = None if file is None else GivenDocument(file, (self.root,), recipient, attachments or {})
        return verify_proof(proof, given, self.trust, now_ms or self.now_ms)

    def verify_alone(self, file: bytes, *, now_ms: int | None = None, **expected: Any) -> Any:
        """Return the verdict on a file by root certificates, without a ledger."""
        kind = certificate_file_kind(file)
        assert kind is not None
        return verify_file(file, kind, Expectations(now_ms or self.now_ms, (self.root,), **expected))
