"""Certificates of a batch get records of their own, out of its archive, before anything else can happen to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from contracts.certificate_records import CertificateContent
from contracts.identifiers import parse_identifier
from contracts.refusals import Refused
from sdk.certificate_batches.archive import BatchArchive
from sdk.certificates import SUBMITTED_AT_ONCE, Outcome
from sdk.client import Client, FinalReceipt
from verification.errors import GovnodeError, InputError

T = TypeVar("T")


def admit_members(client: Client, archive: BatchArchive, identifiers: Sequence[str]) -> list[Outcome]:
    """Give certificates of a batch records of their own; return what became of each, in order, once all are final.

    Those that have their record already, also such as are not of the batch, have neither receipt nor error: a run that was cut
    off is taken up again so.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(identifiers), SUBMITTED_AT_ONCE):
        outcomes += _admit_some(client, archive, identifiers[start : start + SUBMITTED_AT_ONCE])
    return outcomes


def after_admission(
    client: Client,
    archive: BatchArchive,
    identifiers: Sequence[str],
    items: Sequence[T],
    act: Callable[[list[T]], list[Outcome]],
) -> list[Outcome]:
    """Return what `act` makes of the items, each about the identifier at its place, once these have records of their own.

    It does not get the items whose certificate got none; for these the outcome says why.
    """
    admitted = admit_members(client, archive, identifiers)
    ready = [item for item, outcome in zip(items, admitted, strict=True) if outcome.error is None]
    acted = iter(act(ready) if ready else [])
    return [outcome if outcome.error is not None else next(acted) for outcome in admitted]


def _admit_some(client: Client, archive: BatchArchive, identifiers: Sequence[str]) -> list[Outcome]:
    asked = client.views("certificates", "certificate", [{"identifier": one} for one in identifiers])
    found: dict[int, Outcome] = {}
    waiting: dict[int, tuple[int, CertificateContent]] = {}
    for place, (identifier, answer) in enumerate(zip(identifiers, asked, strict=True)):
        try:
            position = archive.position(_canonical(identifier))
            content = archive.content(position)
            if not isinstance(answer, GovnodeError):
                _check_same(content, bytes.fromhex(str(answer["document_digest"])[2:]))
                found[place] = Outcome(identifier, None, None)
            elif answer.code == "CERTIFICATE_UNKNOWN":
                waiting[place] = (position, content)
            else:
                found[place] = Outcome(identifier, None, answer)
        except InputError as error:
            # One of a list that has its own record needs no archive: it was issued singly, or is of another batch.
            is_known = error.code == "NOT_IN_ARCHIVE" and not isinstance(answer, GovnodeError)
            found[place] = Outcome(identifier, None, None if is_known else error)
    for place, outcome in zip(waiting, _submit(client, archive, list(waiting.values())), strict=True):
        found[place] = _outcome(identifiers[place], outcome)
    return [found[place] for place in range(len(identifiers))]


def _submit(
    client: Client, archive: BatchArchive, members: Sequence[tuple[int, CertificateContent]]
) -> list[FinalReceipt | GovnodeError]:
    if not members:
        return []
    name = archive.tree.name
    return client.outcomes(
        [
            client.sign_call(
                "batches", "admit", batch=name, position=position, content=content, path=archive.path_of(position)
            )
            for position, content in members
        ]
    )


def _outcome(identifier: str, result: FinalReceipt | GovnodeError) -> Outcome:
    if not isinstance(result, GovnodeError):
        return Outcome(identifier, result, None)
    # Named twice in one request, or admitted by somebody else since it was asked for: the record is there.
    return Outcome(identifier, None, None if result.code == "CERTIFICATE_EXISTS" else result)


def _check_same(content: CertificateContent, digest: bytes) -> None:
    """Return if the ledger's record has the digest of this certificate; raise InputError ANOTHER_CERTIFICATE otherwise."""
    if digest != content.document_digest:
        raise InputError(
            "ANOTHER_CERTIFICATE",
            f"账本上的 {content.identifier} 是另一份证照，不是档案中的这一份",
            f"the {content.identifier} on the ledger is another certificate than the one in the archive",
        )


def _canonical(identifier: str) -> str:
    try:
        return parse_identifier(identifier).text
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None
