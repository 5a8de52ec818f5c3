"""What a node says about a certificate: one statement after the other, each with who proves it, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from contracts.batches import BatchRecord, find_batch_name, load_batch, member_record
from contracts.certificate_records import CERTIFICATES, CertificateRecord, load_history_page, load_status
from contracts.identifiers import CertificateIdentifier
from contracts.records import Reader
from explorer import statements as say
from explorer.manifests import Listing
from explorer.problems import Text
from explorer.statements import VERDICTS, AsOf, Mood, Statement
from verification.days import day_end_ms, day_start_ms
from verification.status_spans import Span, status_spans


class Question(msgspec.Struct, frozen=True):
    """What is asked of a certificate: at a time in ms or on a day of China, the block's time when neither is given.

    `document_digest` is the SM3 of its document, or the first bytes of it, as codes on paper carry them.
    """

    document_digest: bytes | None = None
    at_ms: int | None = None
    day: str = ""
    """YYYY-MM-DD, China time; `at_ms` is None then."""


NOW: Final = Question()

AskManifest: TypeAlias = Callable[[BatchRecord, str], Listing | None]
"""Returns what a batch's manifest says of an identifier, None where there is no copy of it."""


class Verification(msgspec.Struct, frozen=True):
    """The outcome for one identifier: a code of VERDICTS, the statements, and the record (None when there is none)."""

    verdict: str
    statements: tuple[Statement, ...]
    as_of: AsOf
    at_ms: int
    record: CertificateRecord | None
    text: Text
    """What the verdict is called; an ended certificate's says how it ended."""
    batch: str = ""
    """The batch whose serials the identifier's is among; empty where there is none, or the certificate has a record of its own."""
    day: str = ""
    """The day that was asked for, empty where it was a time."""
    spans: tuple[Span, ...] = ()
    """What it was in the course of that day, as far as the block's time."""
    identifier: str = ""
    """The one that was asked about; empty where a document's digest was, and no certificate has it."""

    @property
    def mood(self) -> Mood:
        """How the verdict is shown."""
        return VERDICTS[self.verdict][0]


def verify_certificate(
    state: Reader,
    identifier: CertificateIdentifier,
    as_of: AsOf,
    question: Question = NOW,
    ask_manifest: AskManifest | None = None,
) -> Verification:
    """Return what the state after block `as_of`, and the manifest of a batch, say of the certificate with this identifier."""
    record = CERTIFICATES.load(state, identifier.text.encode())
    if record is not None:
        return verify_record(state, identifier, record, as_of, question, say.on_ledger(record, as_of))
    batch = find_batch_name(state, identifier.text)
    found = load_batch(state, batch) if batch else None
    listing = None if found is None or ask_manifest is None else ask_manifest(found, identifier.text)
    if found is not None and listing is not None and listing.member is not None:
        record = member_record(found, listing.member.content, identifier)
        origin = say.member_of_batch(batch, listing.member.position, found.issued.from_ms, as_of, is_by_manifest=True)
        return verify_record(state, identifier, record, as_of, question, origin)
    statements = [say.check_character(identifier), say.final(as_of)]
    if listing is not None:
        batch = ""
        statements.append(say.not_in_manifest(found.name if found is not None else "", as_of))
    elif batch:
        statements.append(say.in_batch(batch, as_of))
    else:
        statements.append(say.not_on_ledger(as_of))
    verdict = "IN_BATCH" if batch else "NOT_ON_LEDGER"
    right = None if found is not None else say.right_to_issue(state, identifier)
    if right is not None:
        statements.append(right)
    at_ms = as_of.time_ms if question.at_ms is None else question.at_ms
    text = VERDICTS[verdict][1]
    return Verification(verdict, tuple(statements), as_of, at_ms, None, text, batch, identifier=identifier.text)


def verify_record(
    state: Reader,
    identifier: CertificateIdentifier,
    record: CertificateRecord,
    as_of: AsOf,
    question: Question,
    origin: Statement,
) -> Verification:
    """Return what the state says of a certificate by its record, its own or what a batch's leaf stands for; `origin` says which."""
    day, spans = question.day, _spans(state, record, as_of, question)
    at_ms = _asked_ms(as_of, question)
    status = load_status(state, record, at_ms)
    statements = [
        say.check_character(identifier),
        say.final(as_of),
        origin,
        say.issuer(state, record),
        say.status(state, record, status, at_ms),
        say.validity(record, at_ms),
    ]
    verdict = status.verdict
    if at_ms > as_of.time_ms:
        statements.append(say.time_ahead(as_of, at_ms))
    elif day:
        statements.append(say.whole_day(day, spans, as_of))
        if {span.status.is_valid for span in spans} == {True, False}:
            verdict = "PART_OF_DAY"
    digest = question.document_digest
    if digest is not None:
        matches = record.document_digest.startswith(digest)
        statements.append(say.document(matches, is_whole=len(digest) == len(record.document_digest)))
        verdict = verdict if matches else "DOCUMENT_CHANGED"
    text = VERDICTS[verdict][1]
    if verdict == "ENDED":
        name = say.status_name(state, record.type_code, status.status)
        text = Text(f"已{name.zh}", name.en.capitalize())
    return Verification(verdict, tuple(statements), as_of, at_ms, record, text, "", day, spans, identifier.text)


def unknown_document(as_of: AsOf) -> Verification:
    """Return the outcome for a document whose digest no certificate on the ledger carries."""
    statements = (say.final(as_of), say.document_not_on_ledger())
    return Verification("NOT_ON_LEDGER", statements, as_of, as_of.time_ms, None, VERDICTS["NOT_ON_LEDGER"][1])


def _asked_ms(as_of: AsOf, question: Question) -> int:
    """Return the time that a question speaks of: of a day its end, or the block's time where that lies within."""
    if not question.day:
        return as_of.time_ms if question.at_ms is None else question.at_ms
    start_ms = day_start_ms(question.day)
    return max(start_ms, min(day_end_ms(question.day), as_of.time_ms))


def _spans(state: Reader, record: CertificateRecord, as_of: AsOf, question: Question) -> tuple[Span, ...]:
    if not question.day:
        return ()
    start_ms, end_ms = day_start_ms(question.day), min(day_end_ms(question.day), as_of.time_ms)
    return status_spans(record, lambda time_ms: load_history_page(state, record, time_ms), start_ms, end_ms)
