"""Many certificates verified at one height: what a node answers to a list."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from contracts.identifiers import parse_identifier
from contracts.validator_sets import load_validators_at
from explorer.problems import Text
from explorer.statements import AsOf
from explorer.verification import NOW, AskManifest, Question, Verification, verify_certificate
from node.ledger.ledger_reads import LedgerReads, PinnedLedger, StateReader
from verification.listed import Finding, Listed, ListedVerdict, ListReport, digest_of, refuse_malformed

if TYPE_CHECKING:
    from node.ledger.ledger import Ledger

CACHE_NODES: Final = 1_000


def verify_list(
    ledger: Ledger,
    listed: Sequence[Listed],
    question: Question = NOW,
    *,
    height: int | None = None,
    ask_manifest: AskManifest | None = None,
) -> ListReport:
    """Return the verdict on every certificate of a list, all as of one final height (the latest when None); any thread may ask.

    `question` has the time or day that is asked about; each document has its own digest in the list.

    Raises UnknownHeight or HistoryNotHeld where the state after `height` is not kept.
    """
    with closing(ledger.pin()) as storage:
        pinned = PinnedLedger(storage, CACHE_NODES)
        # A state that is not kept is noticed here, before the block is looked for.
        state = pinned.state(height)
        as_of = _as_of(pinned, pinned.height if height is None else height)
        items = tuple(_verify_listed(state, one, as_of, question, ask_manifest) for one in listed)
    genesis = ledger.genesis
    return ListReport(
        "node",
        genesis.network_name,
        genesis.hash.hex(),
        as_of.height,
        as_of.time_ms,
        as_of.time_ms if question.at_ms is None else question.at_ms,
        question.day,
        as_of.signers,
        as_of.validator_count,
        items,
    )


def _as_of(ledger: LedgerReads, height: int) -> AsOf:
    """Return a final block and who signed it; raise UnknownHeight before block 1."""
    certificate = ledger.certificate(height)
    records = load_validators_at(ledger.state(), height)
    signers = tuple(records[index].name for index in certificate.signers)
    return AsOf(height, ledger.header(height).time_ms, signers, len(records))


def _verify_listed(
    state: StateReader, listed: Listed, as_of: AsOf, question: Question, ask_manifest: AskManifest | None
) -> ListedVerdict:
    refused = refuse_malformed(listed)
    if refused is not None:
        return refused
    parsed, digest = parse_identifier(listed.identifier), digest_of(listed)
    asked = msgspec.structs.replace(question, document_digest=digest)
    found = verify_certificate(state, parsed, as_of, asked, ask_manifest)
    text, findings = _explain(found)
    return ListedVerdict(
        listed.line,
        parsed.text,
        None if digest is None else digest.hex(),
        found.verdict,
        found.verdict == "IN_FORCE",
        found.mood,
        text.zh,
        text.en,
        findings,
        as_of.height,
        as_of.time_ms,
    )


def _explain(found: Verification) -> tuple[Text, tuple[Finding, ...]]:
    """Return the verdict in words, with the validity of what is in force, and everything that is not as it should be."""
    text = found.text
    span = next((one.text for one in found.statements if one.code == "WITHIN_VALIDITY"), None)
    if found.verdict == "IN_FORCE" and span is not None:
        text = Text(f"{text.zh}，{span.zh}", f"{text.en}, {span.en}")
    findings = tuple(
        Finding(one.code, one.mood, one.text.zh, one.text.en) for one in found.statements if one.mood != "good"
    )
    return text, findings
