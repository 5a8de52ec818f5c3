"""Reads: what a recorder states about one read of shared data, in four salted parts of which each can be shown or kept back.

The digest of a read covers its place in the stream and the digests of its parts, so that an auditor can be shown one part of a read and
still see that it stands where it stood (docs/spec/access-records.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from contracts.characters import has_control_character
from contracts.data_sharing.access import DENIED, OUTCOMES, SERVED
from contracts.fields import MAX_TIME_MS
from sm_crypto.merkle import leaf_hash, merkle_root
from sm_crypto.sm3 import TaggedHash
from verification.errors import InputError

SALT_BYTES: Final = 16
READ_NONCE_BYTES: Final = 16
MAX_READ_BYTES: Final = 128 * 1024
"""Of an encoded read: as many column names as a resource has items, of the longest kind, and everything else."""
MAX_SEALED_PERSON_BYTES: Final = 1_024
MAX_DEPARTMENT_LENGTH: Final = 18
MAX_RESOURCE_LENGTH: Final = 64
MAX_COLUMNS: Final = 256
MAX_COLUMN_LENGTH: Final = 128
MAX_PURPOSE_LENGTH: Final = 200
MAX_SYSTEM_LENGTH: Final = 64
MAX_CASE_LENGTH: Final = 64
MAX_CASE_TYPE_LENGTH: Final = 64
MAX_OPERATION_LENGTH: Final = 256
MAX_REFUSAL_LENGTH: Final = 64
MAX_NUMBER: Final = 2**63 - 1
"""Of every count and number in a read: what stores and other languages hold in a signed word."""

PROVIDER_SIDE: Final = "provider"
CONSUMER_SIDE: Final = "consumer"
SIDES: Final[dict[str, tuple[str, str]]] = {
    PROVIDER_SIDE: ("提供方", "provider"),
    CONSUMER_SIDE: ("使用方", "consumer"),
}
"""Who recorded a read: the department that holds the data, or the one that asked for it."""
NO_DIGEST: Final = bytes(32)
"""Stands for no person, no grant, no result."""

Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
AccountAddress: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Salt: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
ReadNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
Moment: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
"""Milliseconds since 1970-01-01T00:00Z."""
Department: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_DEPARTMENT_LENGTH)]
ItemName: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_COLUMN_LENGTH)]

_PART_HASH = TaggedHash("govnode/access-part/1")
_READ_HASH = TaggedHash("govnode/access-read/1")
_READ_ID_HASH = TaggedHash("govnode/read-id/1")


class Subject(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Whose data was read: a commitment, or NO_DIGEST; the number sealed to the authority where its service could not be asked."""

    person: Digest
    sealed_person: Annotated[bytes, msgspec.Meta(max_length=MAX_SEALED_PERSON_BYTES)]
    salt: Salt


class SharingPart(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Under which grant what was read and by whom; the grant is NO_DIGEST where none was named."""

    grant: Digest
    resource: Annotated[str, msgspec.Meta(max_length=MAX_RESOURCE_LENGTH)]
    provider: Department
    consumer: Department
    account: AccountAddress
    """Of the consumer, that asked."""
    system: Annotated[str, msgspec.Meta(max_length=MAX_SYSTEM_LENGTH)]
    salt: Salt


class CasePart(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Why: purpose and case, and a commitment to the official who asked (NO_DIGEST where none was named)."""

    purpose: Annotated[str, msgspec.Meta(max_length=MAX_PURPOSE_LENGTH)]
    case_type: Annotated[str, msgspec.Meta(max_length=MAX_CASE_TYPE_LENGTH)]
    case_number: Annotated[str, msgspec.Meta(max_length=MAX_CASE_LENGTH)]
    operator: Digest
    salt: Salt


class Details(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """What was asked and answered: digests, sizes in bytes and times, never content."""

    read_id: Digest
    """The same on both sides of one read."""
    operation: Annotated[str, msgspec.Meta(max_length=MAX_OPERATION_LENGTH)]
    """Method and path template."""
    columns: Annotated[tuple[ItemName, ...], msgspec.Meta(max_length=MAX_COLUMNS)]
    rows: Count
    query_digest: Digest
    result_digest: Digest
    """NO_DIGEST where nothing was given out."""
    request_bytes: Count
    result_bytes: Count
    asked_ms: Moment
    answered_ms: Moment
    refusal: Annotated[str, msgspec.Meta(max_length=MAX_REFUSAL_LENGTH)]
    """The code of why a read was denied, or in what way it was irregular; empty where it was served."""
    salt: Salt


class ReadDraft(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """What happened, before a recorder gives it a place and a time in its stream."""

    side: str
    outcome: int
    subject: Subject
    sharing: SharingPart
    case: CasePart
    details: Details


ReadName: TypeAlias = tuple[bytes, str, str]
"""The id of a read, and its provider and consumer."""


class Read(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """One read as its recorder states it; `number` is from 1 without gaps, `read_ms` when it took its place in the stream."""

    department: Department
    recorder: AccountAddress
    number: ReadNumber
    previous_digest: Digest
    read_ms: Moment
    side: str
    outcome: int
    subject: Subject
    sharing: SharingPart
    case: CasePart
    details: Details

    @property
    def is_of_party(self) -> bool:
        """Whether it is in a stream of the department whose side it states: nobody else can say what that side did."""
        return self.department == (self.sharing.provider if self.side == PROVIDER_SIDE else self.sharing.consumer)

    @property
    def name(self) -> ReadName:
        """Return what both sides' records of one read have alike: its id, between the same two departments."""
        return self.details.read_id, self.sharing.provider, self.sharing.consumer


class ReadPlace(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a read stands and how it ended: everything that its digest covers beside its parts."""

    department: str
    recorder: bytes
    number: int
    previous_digest: bytes
    read_ms: int
    side: str
    outcome: int


PartDigests: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""Of subject, sharing, case and details."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Read)


def encode_read(read: Read) -> bytes:
    """Return the one encoding of a read whose draft has passed check_draft."""
    return _ENCODER.encode(read)


def decode_read(raw: bytes) -> Read:
    """Return the read that these bytes encode; raise InputError on any other bytes."""
    if len(raw) > MAX_READ_BYTES:
        raise _malformed(
            f"至多 {MAX_READ_BYTES} 字节，实际 {len(raw)}", f"at most {MAX_READ_BYTES} bytes, found {len(raw)}"
        )
    try:
        read = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error), str(error)) from None
    if _ENCODER.encode(read) != raw:
        raise _malformed("编码不唯一", "it is not in its one encoding")
    check_draft(draft_of(read))
    return read


def check_draft(draft: ReadDraft) -> None:
    """Return if a recorder may state this; raise InputError, which names the field, otherwise."""
    try:
        encoded = _ENCODER.encode(draft)
        _DRAFT_DECODER.decode(encoded)
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError, TypeError) as error:
        raise _malformed(str(error), str(error)) from None
    if len(encoded) > MAX_READ_BYTES - _PLACE_BYTES:
        raise _malformed("过长", "it is too long")
    if draft.side not in SIDES:
        raise _malformed(f"一方应为 {', '.join(SIDES)}", f"side must be one of {', '.join(SIDES)}")
    if draft.outcome not in OUTCOMES:
        raise _malformed("结果应为 1、2 或 3", "outcome must be 1, 2 or 3")
    for field, text in _texts(draft):
        if has_control_character(text):
            raise _malformed(f"{field} 含控制字符", f"{field} has an invisible character")
    _check_outcome(draft)


def number_read(
    draft: ReadDraft, department: str, recorder: bytes, number: int, previous_digest: bytes, read_ms: int
) -> Read:
    """Return what happened as the read of this number in a stream."""
    return Read(
        department,
        recorder,
        number,
        previous_digest,
        read_ms,
        draft.side,
        draft.outcome,
        draft.subject,
        draft.sharing,
        draft.case,
        draft.details,
    )


def draft_of(read: Read) -> ReadDraft:
    """Return what happened, without its place in the stream."""
    return ReadDraft(read.side, read.outcome, read.subject, read.sharing, read.case, read.details)


def place_of(read: Read) -> ReadPlace:
    """Return where a read stands and how it ended."""
    return ReadPlace(
        read.department, read.recorder, read.number, read.previous_digest, read.read_ms, read.side, read.outcome
    )


def part_digest(part: Subject | SharingPart | CasePart | Details) -> bytes:
    """Return the 32-byte digest of one part; its salt keeps anybody from trying out what it says."""
    return _PART_HASH(_ENCODER.encode(part))


def part_digests(read: Read | ReadDraft) -> PartDigests:
    """Return the digests of the four parts, in their order."""
    return part_digest(read.subject), part_digest(read.sharing), part_digest(read.case), part_digest(read.details)


def placed_digest(place: ReadPlace, parts: PartDigests) -> bytes:
    """Return the 32-byte digest of a read from its place and the digests of its parts: what remains when parts are kept back."""
    return _READ_HASH(
        _ENCODER.encode(
            (
                place.department,
                place.recorder,
                place.number,
                place.previous_digest,
                place.read_ms,
                place.side,
                place.outcome,
                *parts,
            )
        )
    )


def read_digest(read: Read) -> bytes:
    """Return the 32-byte digest that the next read of the stream names this one by."""
    return placed_digest(place_of(read), part_digests(read))


def batch_root(digests: Sequence[bytes]) -> bytes:
    """Return the Merkle root of a batch from the digests of its reads in order, EMPTY_ROOT for none."""
    return merkle_root([leaf_hash(digest) for digest in digests])


def read_id(grant: bytes, account: bytes, nonce: bytes, session: bytes = b"") -> bytes:
    """Return the 32 bytes that name one read on both sides: of the grant, the consumer's account and its fresh nonce.

    `session` is the digest of the token that a gateway was asked with: a nonce that comes again under another token is another read.
    Raises ValueError where one has another length than 32, 20, READ_NONCE_BYTES and 32 or no bytes.
    """
    if (len(grant), len(account), len(nonce)) != (32, 20, READ_NONCE_BYTES) or len(session) not in (0, 32):
        raise ValueError(f"expected 32, 20, {READ_NONCE_BYTES}, and 32 or no bytes")
    return _READ_ID_HASH(grant + account + nonce + session)


_DRAFT_DECODER: Final = msgspec.msgpack.Decoder(ReadDraft)
_PLACE_BYTES: Final = 512
"""More than place, tags and framing of a read take."""


def _texts(draft: ReadDraft) -> list[tuple[str, str]]:
    sharing, case, details = draft.sharing, draft.case, draft.details
    return [
        ("resource", sharing.resource),
        ("provider", sharing.provider),
        ("consumer", sharing.consumer),
        ("system", sharing.system),
        ("purpose", case.purpose),
        ("case_type", case.case_type),
        ("case_number", case.case_number),
        ("operation", details.operation),
        ("refusal", details.refusal),
        ("columns", "".join(details.columns)),
    ]


def _check_outcome(draft: ReadDraft) -> None:
    """Refuse a read that was served without grant or result, or was denied and gave something out, or does not say why."""
    details = draft.details
    if draft.outcome == SERVED:
        if draft.sharing.grant == NO_DIGEST:
            raise _malformed("已提供的读取须有授权", "a read that was served names its grant")
        if details.refusal:
            raise _malformed("已提供的读取没有拒绝代码", "a read that was served has no refusal")
    elif not details.refusal:
        raise _malformed("须写明代码：为何拒绝或为何异常", "refusal must say why it was denied or irregular")
    if draft.outcome == DENIED:
        if details.result_digest != NO_DIGEST or details.rows:
            raise _malformed("已拒绝的读取没有结果", "a read that was denied has no result and no rows")
    elif details.result_digest == NO_DIGEST:
        raise _malformed("已提供的读取须有结果摘要", "a read that was given an answer has its digest")


def _malformed(zh: str, en: str) -> InputError:
    return InputError("READ_MALFORMED", f"访问记录无效：{zh}", f"not a record of a read: {en}")
