"""Verifies a file that somebody hands to a node, or the code in a photo: what it shows by itself, and what the ledger says.

Nothing of the file is kept, cached or logged. What takes processor time runs in a thread, one file at a time; what is read of
the ledger is read in one go, as of one block.
"""

from __future__ import annotations

import re
import time
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
from starlette.concurrency import run_in_threadpool

from contracts.batches import BatchRecord, find_batch_name, load_batch, member_record, verify_member
from contracts.certificate_records import CERTIFICATES, CertificateContent
from contracts.identifiers import CertificateIdentifier, parse_identifier
from contracts.refusals import Refused
from explorer import statements as say
from explorer.api_certificates import verify_document
from explorer.code_reader import is_photo
from explorer.problems import Problem, Text
from explorer.services import Services
from explorer.statements import VERDICTS, AsOf, Mood
from explorer.verification import NOW, Question, Verification, verify_certificate, verify_record
from node.http.proof_file import FORMAT as PROOF_FORMAT
from node.http.proof_file import decode_proof_file
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate, parse_certificate
from verification.batch_proof import BatchMember, decode_batch_proof, sealed_member
from verification.certificate_files.annotated_copy import decode_annotated_copy
from verification.certificate_files.document import DocumentCore, decode_document, encode_file
from verification.certificate_files.file_verification import (
    DocumentStep,
    DocumentVerdict,
    Expectations,
    Kind,
    certificate_file_kind,
    verify_file,
)
from verification.certificate_files.presentation import Presentation, decode_presentation
from verification.certificate_files.seals import BatchSeal, IssuerSeal
from verification.codes import MAX_CODE_CHARACTERS, VerificationLink
from verification.deposits import CodeContent, DepositLink, open_deposit, read_code_content
from verification.errors import InputError
from verification.proof_verdicts import BATCH_PROOF_FORMAT, Verdict
from verification.proofs import verify_proof
from verification.trust import TrustFile, trust_of_genesis

MAX_UPLOAD_BYTES: Final = 24 * 1024 * 1024
MAX_JSON_BYTES: Final = 2 * 1024 * 1024
"""Of a file that is looked into: a longer one takes more of a node's time than a stranger may have; `govnode verify` has none of this."""
MAX_JSON_COLONS: Final = 40_000
"""Of such a file, as many as it has names at most: what it takes to decode one goes by them."""
_HEAD_BYTES: Final = 4_096
_OURS: Final = re.compile(rb'\s*\{[^\0]*"format"\s*:\s*"govnode-')

ProofKind: TypeAlias = Literal["proof", "batch-proof"]
MAX_CODE_TEXT_BYTES: Final = MAX_CODE_CHARACTERS + 2
"""The text of a code with the line's end that scanners add."""

FileKind: TypeAlias = Literal["document", "presentation", "annotated-copy", "proof", "batch-proof", "code", "other"]

_PROOF_KINDS: Final[dict[str, ProofKind]] = {PROOF_FORMAT: "proof", BATCH_PROOF_FORMAT: "batch-proof"}


class FileStep(msgspec.Struct, frozen=True):
    """One step of what a file itself shows; `code` names why it broke, and is empty where it did not."""

    step: str
    state: str
    code: str
    text: Text


class FileFinding(msgspec.Struct, frozen=True):
    """What a file itself shows, whatever became of its certificate; the rest is filled in where the file holds and says so."""

    is_accepted: bool
    code: str
    text: Text
    steps: tuple[FileStep, ...]
    values: dict[str, str] | None = None
    hidden: tuple[str, ...] = ()
    signer: str | None = None
    recipient: str | None = None
    purpose: str | None = None
    expires_ms: int | None = None
    proven_height: int | None = None
    """The block that a proof speaks of, and its time; None in other files."""
    proven_ms: int | None = None


class FileVerification(msgspec.Struct, frozen=True):
    """The outcome for a file: the file's own finding (None where only its digest counts), and each certificate that it is about."""

    kind: FileKind
    file_digest: bytes
    verdict: str
    mood: Mood
    text: Text
    as_of: AsOf
    now_ms: int
    finding: FileFinding | None
    certificates: tuple[Verification, ...]

    @property
    def age_ms(self) -> int:
        """How long before the verification the block was made that the ledger's part speaks of."""
        return max(0, self.now_ms - self.as_of.time_ms)


class _Opened(NamedTuple):
    core: DocumentCore
    seal: IssuerSeal | BatchSeal


class _Proved(NamedTuple):
    """What a proof shows: `identifier` is None where it does not hold or is about no certificate."""

    verdict: Verdict
    identifier: CertificateIdentifier | None
    member: BatchMember | None


class _Ledger(NamedTuple):
    """What the ledger says before the file is judged: of its certificate where the file holds, and where it does not."""

    expected: Expectations
    batch: BatchRecord | None
    if_accepted: Verification
    otherwise: Verification


class _Format(msgspec.Struct):
    format: str = ""


async def verify_upload(
    services: Services, client: str, raw: bytes, question: Question, recipient: str | None
) -> FileVerification:
    """Return the outcome for any file that a client sent; `recipient` is who asks, as presentations and copies name it."""
    # What is cheap to see needs no turn.
    kind = await run_in_threadpool(_kind_of, raw)
    if kind is not None:
        async with services.turns.take(client):
            if kind == "proof" or kind == "batch-proof":
                return await _verify_proof(services, raw, kind, question)
            return await _verify_certificate_file(services, raw, kind, question, recipient)
    code = await _read_code_text(raw)
    if code is not None:
        return await _verify_code(services, client, raw, code, question, recipient)
    by_digest = await _verify_other(services, raw, question)
    if by_digest.certificates[0].record is not None or not is_photo(raw):
        return by_digest
    try:
        found = await services.code_reader.read(client, raw)
    except InputError as error:
        return _without_code(by_digest, error)
    return await _verify_code(services, client, raw, found, question, recipient)


def expect_certificate(
    services: Services, found: FileVerification, identifier: CertificateIdentifier, question: Question
) -> FileVerification:
    """Return the outcome for a file that is said to be of this certificate: refused where it is of another (ANOTHER_CERTIFICATE)."""
    named = [one.identifier for one in found.certificates if one.identifier]
    if found.kind == "other":
        asked = msgspec.structs.replace(question, document_digest=found.file_digest)
        told = verify_certificate(services.state(), identifier, services.as_of(), asked, services.manifests.find)
        changes = {"verdict": told.verdict, "mood": told.mood, "text": told.text, "as_of": told.as_of}
        return msgspec.structs.replace(found, certificates=(told,), **changes)
    is_refused = found.finding is not None and not found.finding.is_accepted
    if identifier.text in named or (is_refused and not named):
        return found
    text = Text(
        f"文件不是所填证照 {identifier.text} 的", f"The file is not of the certificate asked about, {identifier.text}"
    )
    return msgspec.structs.replace(found, verdict="ANOTHER_CERTIFICATE", mood="bad", text=text)


def _kind_of(raw: bytes) -> Kind | ProofKind | None:
    """Return what a file says it is, None where its digest alone counts; raise Problem where it is too long to be looked into."""
    if len(raw) > MAX_JSON_BYTES:
        # Its digest would say no more than that the ledger does not have it.
        if _OURS.match(raw[:_HEAD_BYTES]):
            limit = MAX_JSON_BYTES
            expected = Text(
                f"不超过 {limit} 字节的证照文件或证明，更大的用 govnode verify 离线核验",
                f"a certificate file or proof of at most {limit} bytes; verify a larger one with govnode verify",
            )
            raise Problem("BODY_TOO_LARGE", expected=expected, found=str(len(raw)))
        return None
    if raw.lstrip()[:1] != b"{":
        return None
    if raw.count(b":") > MAX_JSON_COLONS:
        expected = Text(f"不超过 {MAX_JSON_COLONS} 个冒号的 JSON", f"JSON with at most {MAX_JSON_COLONS} colons")
        raise Problem("BODY_TOO_LARGE", expected=expected, found=f"> {MAX_JSON_COLONS}")
    try:
        proof = _PROOF_KINDS.get(msgspec.json.decode(raw, type=_Format).format)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return certificate_file_kind(raw) if proof is None else proof


async def _verify_certificate_file(
    services: Services, raw: bytes, kind: Kind, question: Question, recipient: str | None
) -> FileVerification:
    opened = await run_in_threadpool(_open, raw, kind)
    now_ms, as_of = _now_ms(), services.as_of()
    if opened is None:
        verdict = await run_in_threadpool(verify_file, raw, kind, Expectations(now_ms))
        return _outcome(kind, raw, as_of, now_ms, _finding(verdict), None)
    ledger = _ask_ledger(services, opened, question, recipient, now_ms)
    verdict = await run_in_threadpool(verify_file, raw, kind, ledger.expected)
    finding = _finding(verdict)
    if finding.is_accepted and ledger.batch is not None:
        finding = _check_member(finding, ledger.batch, opened)
    verification = ledger.if_accepted if finding.is_accepted else ledger.otherwise
    return _outcome(kind, raw, as_of, now_ms, finding, verification)


def _open(raw: bytes, kind: Kind) -> _Opened | None:
    """Return core and seal of a well-formed file, None otherwise."""
    try:
        if kind == "document":
            document = decode_document(raw)
            return _Opened(document.core, document.seal)
        shown = decode_presentation(raw) if kind == "presentation" else decode_annotated_copy(raw).original
    except InputError:
        return None
    return _Opened(shown.core, shown.seal)


def _ask_ledger(services: Services, opened: _Opened, question: Question, recipient: str | None, now_ms: int) -> _Ledger:
    state, as_of, roots = services.state(), services.as_of(), network_roots(services)
    identifier = parse_identifier(opened.core.identifier)
    record = CERTIFICATES.load(state, identifier.text.encode())
    if record is not None:
        content = CertificateContent(
            record.identifier,
            record.document_digest,
            record.holder_commitment,
            record.valid_from_ms,
            record.valid_to_ms,
        )
        found = verify_record(state, identifier, record, as_of, question, say.on_ledger(record, as_of))
        return _Ledger(Expectations(now_ms, roots, ledger=content, recipient=recipient), None, found, found)
    unproven = verify_certificate(state, identifier, as_of, question)
    batch = load_batch(state, find_batch_name(state, identifier.text))
    if batch is None:
        return _Ledger(Expectations(now_ms, roots, recipient=recipient), None, unproven, unproven)
    proven = unproven
    if isinstance(opened.seal, BatchSeal):
        # Shown only where the file holds, which its path to the batch's root is part of.
        proven = _verify_member(services, identifier, batch, sealed_member(opened.core, opened.seal), question)
    return _Ledger(Expectations(now_ms, roots, ledger_root=batch.root, recipient=recipient), batch, proven, unproven)


def _verify_member(
    services: Services, identifier: CertificateIdentifier, batch: BatchRecord, member: BatchMember, question: Question
) -> Verification:
    """Return what the ledger says of a certificate of a batch that has no record of its own."""
    state, as_of = services.state(), services.as_of()
    record = member_record(batch, member.content, identifier)
    origin = say.member_of_batch(batch.name, member.position, batch.issued.from_ms, as_of)
    return verify_record(state, identifier, record, as_of, question, origin)


def _check_member(finding: FileFinding, batch: BatchRecord, opened: _Opened) -> FileFinding:
    """Return the finding as it is where the document is a member of the batch as the ledger has it, by its count too."""
    assert isinstance(opened.seal, BatchSeal), "accepted against the root of a batch"
    member = sealed_member(opened.core, opened.seal)
    try:
        verify_member(batch, member.position, member.content, list(member.path))
    except Refused as refused:
        text = Text(*refused.texts)
        steps = tuple(
            FileStep(one.step, "broken", refused.code, text) if one.step == "batch" else one for one in finding.steps
        )
        return FileFinding(False, refused.code, text, steps)
    return finding


async def _verify_proof(services: Services, raw: bytes, kind: ProofKind, question: Question) -> FileVerification:
    now_ms = _now_ms()
    trust = trust_of_genesis(services.view.ledger.genesis)
    verdict, identifier, member = await run_in_threadpool(_prove, raw, kind, trust, now_ms)
    steps = tuple(FileStep(one.code, one.state, one.finding, Text(one.zh, one.en)) for one in verdict.steps)
    finding = FileFinding(
        _holds(verdict),
        verdict.code,
        Text(verdict.zh, verdict.en),
        steps,
        proven_height=verdict.height,
        proven_ms=verdict.time_ms,
    )
    # As of now, not as of the proof: what changed since is what its holder does not show.
    verification = None if identifier is None else _verify_now(services, identifier, member, question)
    return _outcome(kind, raw, services.as_of(), now_ms, finding, verification)


def _prove(raw: bytes, kind: ProofKind, trust: TrustFile, now_ms: int) -> _Proved:
    """Return what a proof shows to whoever trusts the network's founding."""
    verdict = verify_proof(raw, None, trust, now_ms)
    if not _holds(verdict):
        return _Proved(verdict, None, None)
    if kind == "batch-proof":
        member = decode_batch_proof(raw).proof.member
        return _Proved(verdict, parse_identifier(member.content.identifier), member)
    if verdict.kind != "certificate":
        return _Proved(verdict, None, None)
    # The key, because a proof of absence has no record.
    name = decode_proof_file(raw).proof.key.removeprefix(CERTIFICATES.prefix)
    try:
        return _Proved(verdict, parse_identifier(name.decode()), None)
    except (Refused, UnicodeDecodeError):
        return _Proved(verdict, None, None)


def _holds(verdict: Verdict) -> bool:
    """Return whether a proof proves something, be it that a certificate was not in force or not there."""
    return verdict.broken_step in {None, "status"} and verdict.code in {*VERDICTS, "RECORDED"}


def _verify_now(
    services: Services, identifier: CertificateIdentifier, member: BatchMember | None, question: Question
) -> Verification:
    """Return what the ledger says by now of a certificate that a proof is about; `member` is its proven place in a batch."""
    state = services.state()
    found = verify_certificate(state, identifier, services.as_of(), question)
    batch = load_batch(state, found.batch) if member is not None and found.batch else None
    if batch is None or member is None:
        return found
    return _verify_member(services, identifier, batch, member, question)


async def _read_code_text(raw: bytes) -> CodeContent | None:
    """Return what the text of a code carries, as a scanner gives it; None where the bytes are no such text."""
    if len(raw) > MAX_CODE_TEXT_BYTES:
        return None
    try:
        return await run_in_threadpool(read_code_content, raw.decode("ascii").strip())
    except UnicodeDecodeError:
        return None
    except InputError as error:
        if error.code == "KEY_MALFORMED":
            # A link to a deposit that was cut short; its digest would say nothing.
            raise Problem(error.code) from None
        return None


async def _verify_code(
    services: Services, client: str, raw: bytes, code: CodeContent, question: Question, recipient: str | None
) -> FileVerification:
    if isinstance(code, DepositLink):
        return await verify_deposit(services, client, code.id, code.key, question, recipient)
    if isinstance(code, Presentation):
        async with services.turns.take(client):
            content = await run_in_threadpool(encode_file, code)
            found = await _verify_certificate_file(services, content, "presentation", question, recipient)
        return msgspec.structs.replace(found, kind="code", file_digest=sm3(raw))
    linked = verify_link(services, code, question)
    as_of, text = linked.as_of, linked.text
    return FileVerification("code", sm3(raw), linked.verdict, linked.mood, text, as_of, _now_ms(), None, (linked,))


async def verify_deposit(
    services: Services, client: str, deposit_id: str, key: bytes, question: Question = NOW, recipient: str | None = None
) -> FileVerification:
    """Return the outcome for what a deposit at this node holds, as its file's; the key is forgotten with the answer.

    Raises Problem where there is no such deposit here; no other node is asked.
    """
    found = await services.deposits.find(deposit_id)
    try:
        opened = await run_in_threadpool(open_deposit, found.sealed, key)
    except InputError as error:
        if error.code == "KEY_WRONG":
            raise Problem(error.code) from None
        raise Problem("VALUE_REFUSED", reason=Text(error.zh, error.en)) from None
    async with services.turns.take(client):
        return await _verify_certificate_file(services, opened.raw, opened.kind, question, recipient)


def verify_link(services: Services, link: VerificationLink, question: Question) -> Verification:
    """Return what the ledger says of the certificate that a link on paper is of, and of the beginning of the digest in it."""
    prefix = bytes.fromhex(link.digest_prefix) or None
    question = msgspec.structs.replace(question, document_digest=prefix)
    return verify_certificate(
        services.state(), parse_identifier(link.identifier), services.as_of(), question, services.manifests.find
    )


def _without_code(found: FileVerification, error: InputError) -> FileVerification:
    """Return the outcome for a picture that is no certificate by its digest, and in which no code could be read."""
    text = Text(error.zh, error.en)
    finding = FileFinding(False, error.code, text, ())
    title = Text("没有读到证照二维码", "No certificate's code was read")
    return msgspec.structs.replace(
        found, kind="code", verdict=error.code, mood="warn", text=title, finding=finding, certificates=()
    )


async def _verify_other(services: Services, raw: bytes, question: Question) -> FileVerification:
    digest = await run_in_threadpool(sm3, raw)
    found = await verify_document(services, digest, question)
    first, as_of = found[0], services.as_of()
    return FileVerification(
        "other", digest, first.verdict, first.mood, first.text, as_of, _now_ms(), None, tuple(found)
    )


def _outcome(
    kind: FileKind,
    raw: bytes,
    as_of: AsOf,
    now_ms: int,
    finding: FileFinding,
    verification: Verification | None,
) -> FileVerification:
    """Return the outcome: a file that does not hold outweighs what the ledger says of the certificate that it names."""
    mood: Mood = "bad"
    verdict, text = finding.code, Text("文件不予采信", "The file is refused")
    if finding.is_accepted and verification is not None:
        verdict, mood, text = verification.verdict, verification.mood, verification.text
    elif finding.is_accepted:
        # A proof that is about no certificate.
        mood, text = ("good" if finding.code == "RECORDED" else "warn"), finding.text
    certificates = () if verification is None else (verification,)
    return FileVerification(kind, sm3(raw), verdict, mood, text, as_of, now_ms, finding, certificates)


def _finding(verdict: DocumentVerdict) -> FileFinding:
    return FileFinding(
        verdict.is_accepted,
        verdict.code,
        Text(verdict.zh, verdict.en),
        tuple(map(_step, verdict.steps)),
        verdict.values,
        verdict.hidden,
        verdict.signer,
        verdict.recipient,
        verdict.purpose,
        verdict.expires_ms,
    )


def _step(step: DocumentStep) -> FileStep:
    return FileStep(step.step, step.state, step.code, Text(step.zh, step.en))


def network_roots(services: Services) -> tuple[Certificate, ...] | None:
    """Return the root certificates of the network, None where its genesis has none."""
    der = services.view.ledger.genesis.root_certificate
    return (parse_certificate(der),) if der else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
