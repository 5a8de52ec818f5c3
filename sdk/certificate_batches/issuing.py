"""A prepared batch and the ledger: what both share, whether it is there already, and the one transaction that issues it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from contracts.batches import BatchRecord
from contracts.serial_ranges import MAX_RANGES
from sdk.certificate_batches.archive import BatchArchive, IssuedBatch, Stage
from sdk.certificate_batches.rows import BatchHead
from sdk.client import Client
from sdk.errors import CallRefused, RequestRefused
from sdk.system_contracts.batches import Batches
from sdk.system_contracts.certificates import Certificates
from sdk.system_contracts.members import Members
from verification.errors import GovnodeError, InputError

IDENTIFIERS_AT_ONCE: Final = 5_000


def load_head(client: Client, type_code: str, issued_on: str) -> BatchHead:
    """Return what certificates of a type, issued by the signer's department, share; the names are the ledger's.

    Raises InputError ISSUER_NOT_AUTHORISED where there is no such type or the department has no right to it, before anything is
    prepared.
    """
    department = client.own_department()
    certificates = Certificates(client)
    if not certificates.is_issuer(type_code=type_code, department=department):
        if not _is_registered(certificates, type_code):
            raise InputError(
                "ISSUER_NOT_AUTHORISED",
                f"账本上没有证照类型 {type_code[:40]}：请核对 21 位类型代码，或由治理账户登记",
                f"there is no type {type_code[:40]} on the ledger: look at its 21 characters, or have a governor register it",
            )
        raise InputError(
            "ISSUER_NOT_AUTHORISED",
            f"部门 {department} 无权颁发类型 {type_code}，请由治理账户登记",
            f"the department {department} has no right to issue the type {type_code}; a governor registers it",
        )
    type_name = certificates.certificate_type(type_code).name
    return BatchHead(type_code, type_name, department, Members(client).department(department).name, issued_on)


def _is_registered(certificates: Certificates, type_code: str) -> bool:
    try:
        certificates.certificate_type(type_code)
    except RequestRefused:
        return False
    return True


def known_identifiers(client: Client, identifiers: Sequence[str]) -> set[str]:
    """Return which of the identifiers have a record on the ledger; raise RequestRefused where the node does not say."""
    known = set()
    answers = client.views("certificates", "certificate", [{"identifier": identifier} for identifier in identifiers])
    for identifier, answer in zip(identifiers, answers, strict=True):
        if not isinstance(answer, GovnodeError):
            known.add(identifier)
        elif answer.code != "CERTIFICATE_UNKNOWN":
            raise answer
    return known


def known_outside_batches(client: Client, identifiers: Sequence[str]) -> set[str]:
    """Return which of the identifiers have a record and are of no batch; check_serials_free speaks of those that are of one."""
    known = sorted(known_identifiers(client, identifiers))
    names = client.views("batches", "batch_of", [{"identifier": identifier} for identifier in known])
    return {identifier for identifier, name in zip(known, names, strict=True) if name == ""}


def check_serials_free(client: Client, archive: BatchArchive) -> None:
    """Return if no other batch of the type and issuer has serials between those of the rows; raise InputError SERIALS_TAKEN.

    The contract refuses it too; here it is said before anything is made.
    """
    head, count = archive.head, archive.count
    first, last = archive.serial_range()
    taken = client.get_all("/batches", limit=MAX_RANGES, type_code=head.type_code, issuer=head.issuer_code)
    for batch in taken:
        # One of the same range is perhaps this batch itself, whose archive was lost: what its root says is found out later.
        is_same = (batch["first"], batch["last"], int(batch["count"])) == (first, last, count)
        if batch["first"] <= last and first <= batch["last"] and not is_same:
            raise InputError(
                "SERIALS_TAKEN",
                f"流水号 {first} 至 {last} 与已颁发的批次 {batch['first']} 至 {batch['last']} 重叠，请换一段流水号",
                f"the serials {first} to {last} meet those of an issued batch, {batch['first']} to {batch['last']}: use others",
            )


def issue_batch(client: Client, archive: BatchArchive, *, is_resumed: bool) -> IssuedBatch:
    """Issue a signed batch and keep that it is; where the ledger has it already, only the latter. Never issues it twice.

    Of one that an earlier run prepared, the ledger is asked for every identifier again. Raises InputError CERTIFICATE_EXISTS
    where it has one meanwhile, BATCH_DIFFERS where another batch has this name, CallRefused where the contract refused it.
    """
    if archive.stage == Stage.ISSUED:
        return archive.issued
    issued = _find_issued(client, archive)
    if issued is None:
        if is_resumed:
            _check_still_free(client, archive)
        tree = archive.tree
        try:
            receipt = Batches(client).issue_batch(
                type_code=archive.head.type_code,
                first=tree.first,
                last=tree.last,
                count=tree.count,
                root=tree.root,
                manifest_digest=tree.manifest_digest,
            )
            issued = IssuedBatch(receipt.time_ms, receipt.transaction_id, receipt.height)
        except CallRefused:
            # The transaction of a run that was cut off may have come to the ledger meanwhile; its serials are taken then.
            issued = _find_issued(client, archive)
            if issued is None:
                raise
    archive.save_issued(issued)
    return issued


def check_name_free(client: Client, archive: BatchArchive) -> None:
    """Return if the ledger has no other batch of the name of a prepared one; raise InputError BATCH_DIFFERS, as issuing would."""
    if archive.stage < Stage.ISSUED:
        _find_issued(client, archive)


def discard_unissued(client: Client, path: Path) -> None:
    """Delete the archive of a batch that was prepared and that the ledger does not have; nothing where there is none.

    Raises InputError BATCH_ISSUED where it has it: the documents are made from the archive. What a run that was cut off in the
    last two minutes sent may still become final.
    """
    if not path.exists():
        return
    with BatchArchive(path) as archive:
        if _is_issued(client, archive):
            raise InputError(
                "BATCH_ISSUED",
                f"{path} 的批次已颁发，不能删去：证照文件由它取出；请换一个档案名",
                f"the batch of {path} is issued, and its documents are made from it: it is not deleted, choose another name",
            )
        archive.remove()


def _is_issued(client: Client, archive: BatchArchive) -> bool:
    if archive.stage == Stage.ISSUED:
        return True
    if archive.stage < Stage.ROOTED:
        return False
    try:
        return _find_issued(client, archive) is not None
    except InputError:
        # Another batch has the name: this one cannot be issued any more.
        return False


def _check_still_free(client: Client, archive: BatchArchive) -> None:
    # The contract does not look: a record outweighs the leaf under the same identifier, and the document would not verify.
    identifiers = archive.identifiers()
    while asked := list(islice(identifiers, IDENTIFIERS_AT_ONCE)):
        known = known_identifiers(client, asked)
        if known:
            first = min(known)
            raise InputError(
                "CERTIFICATE_EXISTS",
                f"批次准备之后，账本上已有证照 {first}，请从表中删去，并另用一个档案",
                f"the ledger has the certificate {first} since the batch was prepared: take it out of the file and "
                "use another archive",
            )


def _find_issued(client: Client, archive: BatchArchive) -> IssuedBatch | None:
    """Return since when the ledger has this batch, None where it has none of its name."""
    tree = archive.tree
    try:
        record: BatchRecord = Batches(client).batch(tree.name)
    except RequestRefused as refused:
        if refused.code == "BATCH_UNKNOWN":
            return None
        raise
    kept = (tree.first, tree.last, tree.count, tree.root, tree.manifest_digest)
    if (record.first, record.last, record.count, record.root, record.manifest_digest) != kept:
        raise InputError(
            "BATCH_DIFFERS",
            f"账本上的批次 {tree.name} 不是这一批：根 {record.root.hex()}，档案中为 {tree.root.hex()}；请换一段流水号",
            f"the batch {tree.name} on the ledger is another: root {record.root.hex()}, {tree.root.hex()} in the archive; "
            "use other serials",
        )
    return IssuedBatch(record.issued.from_ms)
