"""A folder of proofs and of the documents they speak of, verified offline: one verdict a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from node.http.proof_file import MAX_PROOF_FILE_BYTES
from sdk.documents import MAX_DOCUMENT_BYTES, read_limited
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from verification.certificate_files.file_verification import (
    MAKERS_WORD,
    Expectations,
    certificate_file_kind,
    verify_file,
)
from verification.errors import InputError
from verification.freshness import TrustedList, with_trusted_lists
from verification.listed import Finding, ListedVerdict, ListReport, shown
from verification.proof_verdicts import BATCH_CERTIFICATE
from verification.proofs import GivenDocument, Verdict, verify_proof
from verification.report import Mood
from verification.trust import TrustFile

MAX_FOLDER_FILES: Final = 10_000
_CUT_PROOF: Final = re.compile(rb'"format"\s*:\s*"govnode-(?:batch-)?proof/')
_PROOF_FORMATS: Final = ("govnode-proof/", "govnode-batch-proof/")
"""Of any version: one that cannot be read here is a broken proof."""
_HEAD_BYTES: Final = 4_096
"""Where the format of what is no JSON is looked for: a proof that was cut off is a broken proof, not a document."""


class _Proof(msgspec.Struct, frozen=True):
    """A proof of the folder: where it is, and what it speaks of."""

    path: Path
    identifier: str | None
    """That of the certificate that it proves; None where it proves another record."""
    digest: str | None
    height: int


class _Format(msgspec.Struct):
    format: str = ""


class _Trusted(NamedTuple):
    """What the verifier knows, and where proofs of certificate files come from that the folder has none of."""

    trust: TrustFile
    roots: tuple[Certificate, ...] | None
    now_ms: int
    fetch: Callable[[bytes], bytes] | None
    lists: Sequence[TrustedList]
    recipient: str | None


def verify_folder(
    folder: Path,
    trust: TrustFile,
    now_ms: int,
    roots: tuple[Certificate, ...] | None = None,
    fetch: Callable[[bytes], bytes] | None = None,
    lists: Sequence[TrustedList] = (),
    recipient: str | None = None,
) -> tuple[ListReport, bytes]:
    """Return the verdict on every file of a folder (not of folders in it), and what stands for its content: names and SM3.

    A document and the proof that it goes with have one verdict, the document's.

    A proof is verified under the trust file. A document is verified with the latest proof of the folder that speaks of it. A
    certificate file without one is verified with the proof that `fetch` gives for its bytes, or else by its seal, under the root
    certificates (those of the trust file when None). Of what is proved, the status lists say what became of it since. `recipient`
    is who asks, as presentations and copies name it; where it is None, what is made out to somebody says so. Raises InputError
    where there is nothing to verify.
    """
    known = _Trusted(trust, trust.roots() if roots is None else roots, now_ms, fetch, lists, recipient)
    paths = _files(folder)
    proofs: list[_Proof] = []
    verdicts: dict[Path, ListedVerdict] = {}
    digests = []
    documents = []
    for line, path in enumerate(paths, 1):
        raw = read_limited(path, MAX_DOCUMENT_BYTES)
        digests.append(f"{path.name}\t{sm3(raw).hex()}\n")
        if not _is_proof(raw):
            documents.append((line, path))
            continue
        verdict = _verify_proof(raw[: MAX_PROOF_FILE_BYTES + 1], None, known)
        fields = verdict.record if isinstance(verdict.record, dict) else {}
        digest = str(fields.get("document_digest") or fields.get("digest") or "").removeprefix("0x")
        if verdict.height is not None:
            proofs.append(_Proof(path, _proved_identifier(verdict), digest or None, verdict.height))
        verdicts[path] = _of_proof(line, path, verdict, known)
    proofs.sort(key=lambda proof: proof.height, reverse=True)
    paired: set[Path] = set()
    for line, path in documents:
        verdicts[path] = _verify_document(line, path, proofs, known, paired)
    # A document and its proof are one certificate, and one line.
    items = tuple(verdicts[path] for path in paths if path not in paired)
    report = ListReport("files", trust.network_name, trust.genesis_hash, None, None, now_ms, "", (), None, items)
    return report, "".join(digests).encode("utf-8", "replace")


def _files(folder: Path) -> Sequence[Path]:
    paths: list[Path] = []
    for path in folder.iterdir():
        if not path.is_file() or path.name.startswith("."):
            continue
        paths.append(path)
        if len(paths) > MAX_FOLDER_FILES:
            raise InputError(
                "FOLDER_TOO_LARGE",
                f"文件夹 {folder} 应至多有 {MAX_FOLDER_FILES} 个文件，请拆分",
                f"expected at most {MAX_FOLDER_FILES} files in {folder}: split it",
            )
    if not paths:
        raise InputError("FOLDER_EMPTY", f"文件夹 {folder} 中没有文件", f"there is no file in {folder}")
    return sorted(paths, key=lambda path: path.name)


def _is_proof(raw: bytes) -> bool:
    """Return whether a file says that it is a proof, wherever in it; of what is no JSON, whether its beginning does."""
    head = raw[:_HEAD_BYTES]
    if head.lstrip()[:1] not in (b"{", b""):
        return False
    try:
        return msgspec.json.decode(raw, type=_Format).format.startswith(_PROOF_FORMATS)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return head.lstrip()[:1] == b"{" and _CUT_PROOF.search(head) is not None


def _verify_document(
    line: int, path: Path, proofs: Sequence[_Proof], known: _Trusted, paired: set[Path]
) -> ListedVerdict:
    """Return the verdict on a document; the proof of the folder that it goes with is in `paired` afterwards."""
    raw = read_limited(path, MAX_DOCUMENT_BYTES)
    kind = certificate_file_kind(raw) if raw.lstrip()[:1] == b"{" else None
    # A certificate file's word on itself only finds the proof that it is verified against; its SM3 says nothing.
    identifier = None if kind is None else _identifier_of(raw)
    digest = sm3(raw).hex() if kind is None else None
    wanted = (one for one in proofs if (digest == one.digest if identifier is None else identifier == one.identifier))
    found = None if digest is None and identifier is None else next(wanted, None)
    if found is not None:
        paired.add(found.path)
        return _with_proof(line, path, raw, read_limited(found.path, MAX_PROOF_FILE_BYTES), known, found.path.name)
    if kind is not None and known.fetch is not None:
        try:
            proof = known.fetch(raw)
        except InputError as error:
            return _judged(line, path, identifier, error.code, error.zh, error.en)
        return _with_proof(line, path, raw, proof, known, None)
    if kind is None or known.roots is None:
        return _judged(line, path, identifier, "NO_PROOF", "文件夹中没有它的证明文件", "the folder has no proof of it")
    seen = verify_file(raw, kind, Expectations(known.now_ms, known.roots, recipient=known.recipient))
    told = _judged(line, path, seen.identifier or identifier, seen.code, seen.zh, seen.en, is_genuine=seen.is_accepted)
    findings = _whose(msgspec.to_builtins(seen), known) if seen.is_accepted else ()
    return msgspec.structs.replace(told, findings=tuple(findings))


def _verify_proof(proof: bytes, document: GivenDocument | None, known: _Trusted) -> Verdict:
    verdict = verify_proof(proof, document, known.trust, known.now_ms)
    is_certificate = verdict.kind in ("certificate", BATCH_CERTIFICATE)
    return with_trusted_lists(verdict, known.lists) if known.lists and is_certificate else verdict


def _with_proof(
    line: int, path: Path, raw: bytes, proof: bytes, known: _Trusted, proof_name: str | None
) -> ListedVerdict:
    verdict = _verify_proof(proof, GivenDocument(raw, known.roots, known.recipient), known)
    return _of_proof(line, path, verdict, known, proof_name)


def _judged(
    line: int, path: Path, identifier: str | None, code: str, zh: str, en: str, *, is_genuine: bool = False
) -> ListedVerdict:
    """Return the verdict on a document without a proof: it does not count as valid, for nothing says that it is in force."""
    mood: Mood = "warn" if is_genuine or code == "NO_PROOF" else "bad"
    return ListedVerdict(line, _subject(path, identifier), None, code, False, mood, zh, en, (), None, None)


class _Core(msgspec.Struct):
    identifier: str = msgspec.field(default="", name="ZZBS")


class _Original(msgspec.Struct):
    core: _Core = msgspec.field(default_factory=_Core)


class _CertificateFile(msgspec.Struct):
    """Where the three kinds of certificate file have their identifier."""

    core: _Core = msgspec.field(default_factory=_Core)
    original: _Original = msgspec.field(default_factory=_Original)


def _identifier_of(raw: bytes) -> str | None:
    try:
        file = msgspec.json.decode(raw, type=_CertificateFile)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return file.core.identifier or file.original.core.identifier or None


def _proved_identifier(verdict: Verdict) -> str | None:
    """Return the identifier of the certificate that a proof proves, None where it proves none."""
    if verdict.kind not in ("certificate", BATCH_CERTIFICATE) or not isinstance(verdict.record, dict):
        return None
    identifier: str | None = verdict.record.get("identifier")
    return identifier


def _whose(document: dict[str, Any], known: _Trusted) -> Sequence[Finding]:
    """Return what a certificate file that holds leaves open: whether it is made out to who asks, and whether the holder showed it."""
    findings = []
    if known.recipient is None and document["recipient"] is not None:
        name = shown(document["recipient"])
        zh, en = (
            f"这是给 {name} 的，未核对收件方（--recipient）",
            f"made out to {name}; for whom was not checked (--recipient)",
        )
        findings.append(Finding("RECIPIENT_NOT_CHECKED", "warn", zh, en))
    if document["is_on_makers_word"]:
        findings.append(Finding("HOLDER_DID_NOT_SIGN", "warn", *MAKERS_WORD))
    return findings


def _of_proof(line: int, path: Path, verdict: Verdict, known: _Trusted, proof: str | None = None) -> ListedVerdict:
    findings = []
    if proof is not None:
        findings.append(Finding("PROVED_BY", "good", f"证明文件 {proof}", f"proof file {proof}"))
    fresh = verdict.freshness
    if fresh is not None:
        mood: Mood = "good" if fresh["state"] == "held" else "warn"
        findings.append(Finding(fresh["code"], mood, fresh["zh"], fresh["en"]))
    document = verdict.document or {}
    if document.get("is_accepted"):
        findings += _whose(document, known)
    return ListedVerdict(
        line,
        _subject(path, _proved_identifier(verdict)),
        document.get("document_digest"),
        verdict.code,
        verdict.is_accepted,
        "good" if verdict.is_accepted else "bad",
        verdict.zh,
        verdict.en,
        tuple(findings),
        verdict.height,
        verdict.time_ms,
    )


def _subject(path: Path, identifier: str | None) -> str:
    return shown(path.name) if identifier is None else f"{shown(path.name)}\n{identifier}"
