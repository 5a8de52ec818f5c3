"""Both sides of an exchange: the provider seals a payload and records it; the consumer opens it, compares and answers for it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from contracts.data_sharing.deliveries import (
    ANSWERS,
    DIFFERS,
    MAX_PAYLOAD_BYTES,
    MAX_PAYLOAD_ROWS,
    RECEIVED,
    UNANSWERED,
    DeliveryRecord,
    Parcel,
)
from contracts.data_sharing.encryption_keys import EncryptionKeyRecord, EncryptionKeyStatement
from sdk.client import Client, FinalReceipt
from sdk.data_exchange.files import (
    FORMAT,
    MAX_NAME_LENGTH,
    SALT_BYTES,
    Envelope,
    FileDigests,
    Note,
    OpenedFile,
    open_file,
    read_envelope,
    seal_file,
)
from sdk.documents import file_sm3, private_file, read_limited, unreadable, write_private
from sdk.errors import CallRefused
from sdk.system_contracts.deliveries import Deliveries
from sdk.system_contracts.members import Members
from sdk.system_contracts.sharing import Sharing
from sm_crypto.sealing import key_id
from sm_crypto.sm2 import PrivateKey
from verification.days import show_time
from verification.errors import InputError

_STALE: Final = frozenset({"DELIVERY_REWRITTEN", "DELIVERY_GAP", "ENCRYPTION_KEY_NOT_PRESENT"})
"""Why the ledger does not take a delivery that was sealed before something else happened."""
WAYBILL_SUFFIX: Final = ".waybill.json"
MAX_WAYBILL_BYTES: Final = 4_096
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Waybill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider keeps beside a sealed file, until it is recorded and sent: all that the ledger is told of it. Nothing is secret."""

    format: Literal["govnode-exchange-waybill/1"]
    envelope: Envelope
    payload: _Hex32
    sealed: _Hex32
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAYLOAD_BYTES)]
    sealed_size: Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_PAYLOAD_BYTES)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAYLOAD_ROWS)]
    source_salt: _Hex32
    source: _Hex32
    """Salted digest of the payload alone, which tells whether another run is about the same file; the salt keeps it from telling more."""

    @property
    def grant(self) -> bytes:
        """The grant's 32-byte id."""
        return bytes.fromhex(self.envelope.grant)

    @property
    def parcel(self) -> Parcel:
        """What the ledger is told."""
        payload, sealed = bytes.fromhex(self.payload), bytes.fromhex(self.sealed)
        return Parcel(payload, sealed, self.size, self.sealed_size, self.rows, self.envelope.key_number)


class Received(msgspec.Struct, frozen=True):
    """A payload that was opened and is what the ledger has: what stood on it, and its delivery as the ledger has it now."""

    envelope: Envelope
    note: Note
    delivery: DeliveryRecord
    is_acknowledged_now: bool
    """Whether opening it put the answer on the ledger; otherwise nothing was, or it was answered for before."""


def set_encryption_key(client: Client, key: PrivateKey) -> EncryptionKeyRecord:
    """Make a key the one that others seal to the client's department with, and return its record; the key signs that once."""
    department = client.own_department()
    statement = EncryptionKeyStatement(genesis_hash(client), department, key.public_key)
    members = Members(client)
    members.set_encryption_key(public_key=key.public_key, signature=key.sign(statement.digest))
    return members.encryption_key(department)


def genesis_hash(client: Client) -> bytes:
    """Return the hash of the genesis of the client's network."""
    return bytes.fromhex(str(client.status()["genesis_hash"]).removeprefix("0x"))


def waybill_path(sealed_file: Path) -> Path:
    """Return where the waybill of a sealed file lies: beside it."""
    return sealed_file.with_name(sealed_file.name + WAYBILL_SUFFIX)


def seal_payload(client: Client, source: Path, target: Path, grant: bytes, rows: int) -> Waybill:
    """Seal a file to the consumer of a grant, as its next delivery, and return the waybill, which is written beside `target`.

    Where both are there already from a run that was cut short, they stay as they are: what is recorded must be what is sent.
    Raises InputError, among others WAYBILL_DIFFERS where they are of another grant or another file.
    """
    if target.exists():
        kept = load_waybill(waybill_path(target))
        is_same = not source.is_file() or source_digest(source, kept.source_salt) == kept.source
        if (kept.grant, kept.rows) != (grant, rows) or not is_same:
            raise InputError(
                "WAYBILL_DIFFERS",
                f"{target} 是授权 {kept.envelope.grant} 下另一份数据（{kept.size} 字节，{kept.rows} 行）的交换文件，请另选 --out",
                f"{target} is an exchange file of other data under the grant {kept.envelope.grant} ({kept.size} bytes, {kept.rows} "
                "rows): choose another --out",
            )
        return kept
    record = Sharing(client).data_request(grant)
    key = Members(client).encryption_key(record.consumer)
    envelope = Envelope(
        format=FORMAT,
        genesis=genesis_hash(client).hex(),
        grant=grant.hex(),
        number=Deliveries(client).deliveries(grant).count + 1,
        provider=record.provider,
        consumer=record.consumer,
        key_number=key.number,
    )
    # A name that is no UTF-8 has bytes that no text can hold.
    name = source.name.encode(errors="replace").decode()[:MAX_NAME_LENGTH]
    note = Note(name, rows, secrets.token_hex(SALT_BYTES))
    try:
        with source.open("rb") as payload, private_file(target) as sealed:
            digests = seal_file(payload, sealed, envelope, note, key.public_key)
            waybill = _waybill(envelope, digests, rows, source)
            # Before the sealed file is in its place: one that is there always has its waybill.
            write_private(waybill_path(target), msgspec.json.encode(waybill))
    except OSError as error:
        raise unreadable(source, error) from None
    return waybill


def load_waybill(path: Path) -> Waybill:
    """Return the waybill in a file; raise InputError WAYBILL_MALFORMED."""
    raw = read_limited(path, MAX_WAYBILL_BYTES)
    try:
        return msgspec.json.decode(raw, type=Waybill)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(
            "WAYBILL_MALFORMED",
            f"{path} 不是交换文件的运单（{error}），请删除封装好的文件后重新封装",
            f"{path} is not the waybill of an exchange file ({error}): remove the sealed file and seal again",
        ) from None


def record_delivery(client: Client, waybill: Waybill) -> DeliveryRecord:
    """Put a delivery on the ledger as the provider's recorder, unless it is there, and return what the ledger has of it.

    Raises InputError WAYBILL_STALE where another delivery took its number, or the consumer has another key by now.
    """
    ledger, number = Deliveries(client), waybill.envelope.number
    if ledger.deliveries(waybill.grant).count >= number:
        kept = ledger.delivery(grant=waybill.grant, number=number)
        if kept.parcel == waybill.parcel:
            return kept
    try:
        ledger.deliver(grant=waybill.grant, number=number, parcel=waybill.parcel)
    except CallRefused as refused:
        if refused.code not in _STALE:
            raise
        raise InputError(
            "WAYBILL_STALE",
            f"封装之后情况有变（{refused.zh}）：请删除封装好的文件与运单，重新执行",
            f"things have changed since it was sealed ({refused.en}): remove the sealed file and its waybill, and run it again",
        ) from None
    return ledger.delivery(grant=waybill.grant, number=number)


def find_delivery(client: Client, envelope: Envelope) -> DeliveryRecord:
    """Return what the ledger has of an exchange file by its envelope; raise InputError where that is of another network or other sides."""
    own = genesis_hash(client).hex()
    if envelope.genesis != own:
        raise InputError(
            "OTHER_NETWORK",
            f"交换文件属于创世哈希为 {envelope.genesis} 的网络，此网络为 {own}",
            f"the exchange file is of the network of genesis hash {envelope.genesis}, this one has {own}",
        )
    delivery = Deliveries(client).delivery(grant=bytes.fromhex(envelope.grant), number=envelope.number)
    said = (envelope.provider, envelope.consumer, envelope.key_number)
    if said != (delivery.provider, delivery.consumer, delivery.parcel.key_number):
        raise InputError(
            "ENVELOPE_DIFFERS",
            "信封与账本登记的交付不符，请勿采用，并告知提供方",
            "the envelope is not that of the delivery on the ledger: do not use it, and tell the provider",
        )
    return delivery


def receive_payload(
    client: Client, key: PrivateKey, source: Path, target: Path, *, acknowledges: bool = True
) -> Received:
    """Open an exchange file, compare it with the ledger, keep its payload, and answer that it was received, unless told not to.

    One that was answered for otherwise is opened only where nothing is to be acknowledged: ANSWERED_OTHERWISE, nothing written.
    Nothing is written where it differs: FILE_DAMAGED, so that the same file is to be sent again, PAYLOAD_DIFFERS or SEALED_WRONGLY,
    which the caller answers for with `answer_differs`, and PARCEL_DIFFERS where size or rows were recorded wrongly: that is not taken.
    Run again after a crash it does what is left.
    """
    try:
        with source.open("rb") as sealed:
            envelope = read_envelope(sealed)
            delivery = find_delivery(client, envelope)
            if acknowledges:
                _check_not_declined(delivery)
            check_recipient(client, envelope, key)
            sealed.seek(0)
            with private_file(target) as payload:
                try:
                    opened = open_file(sealed, payload, key)
                except InputError as error:
                    raise _why_not_opened(delivery, source) from error
                _compare(delivery, opened)
    except OSError as error:
        raise unreadable(source, error) from None
    number, digest = envelope.number, opened.digests.payload
    if not acknowledges or delivery.answer != UNANSWERED:
        return Received(envelope, opened.note, delivery, False)
    ledger = Deliveries(client)
    ledger.answer(grant=delivery.grant, number=number, answer=RECEIVED, received=digest, note="")
    return Received(envelope, opened.note, ledger.delivery(grant=delivery.grant, number=number), True)


def _check_not_declined(delivery: DeliveryRecord) -> None:
    """Return where a delivery can be acknowledged, or was; raise InputError ANSWERED_OTHERWISE with the answer that stands."""
    if delivery.answer in {UNANSWERED, RECEIVED}:
        return
    (zh, en), since = ANSWERS[delivery.answer], show_time(delivery.answered_ms)
    raise InputError(
        "ANSWERED_OTHERWISE",
        f"第 {delivery.number} 次交付已于 {since} 答复“{zh}”（{delivery.note}），答复不能更改：未打开，未签收。"
        "只看内容请加 --unacknowledged；仍需要数据，请提供方重新交付",
        f'delivery {delivery.number} was answered "{en}" at {since} ({delivery.note}), and an answer stands: nothing was opened or '
        "acknowledged. To look at it only, add --unacknowledged; to take the data after all, have the provider deliver anew",
    )


def check_recipient(client: Client, envelope: Envelope, key: PrivateKey) -> None:
    """Return if a key is the one of its consumer that an envelope names; raise InputError KEY_NOT_OF_ENVELOPE."""
    named = Members(client).encryption_key_numbered(department=envelope.consumer, number=envelope.key_number)
    if key_id(named.public_key) != key_id(key.public_key):
        raise InputError(
            "KEY_NOT_OF_ENVELOPE",
            f"交换文件须用部门 {envelope.consumer} 的第 {envelope.key_number} 把加密密钥打开，请用 --encryption-key 指明",
            f"the exchange file opens with encryption key {envelope.key_number} of department {envelope.consumer}: "
            "name its file with --encryption-key",
        )


def answer_differs(client: Client, delivery: DeliveryRecord, found: bytes, note: str) -> FinalReceipt:
    """Answer on the ledger that something else came than was recorded: `found` is the digest of that."""
    return Deliveries(client).answer(
        grant=delivery.grant, number=delivery.number, answer=DIFFERS, received=found, note=note
    )


def _compare(delivery: DeliveryRecord, opened: OpenedFile) -> None:
    """Return if a file that was opened is the one recorded; raise InputError FILE_DAMAGED, PAYLOAD_DIFFERS or PARCEL_DIFFERS."""
    parcel, found = delivery.parcel, opened.digests
    if found.sealed != parcel.sealed:
        raise _damaged()
    if found.payload != parcel.payload:
        raise InputError(
            "PAYLOAD_DIFFERS",
            f"文件打开后的内容与提供方登记的不符（摘要 {found.payload.hex()}），请勿采用，并以 govnode exchange answer --differs 答复",
            f"what the file opens to is not what its provider recorded (digest {found.payload.hex()}): do not use it, and "
            "answer with govnode exchange answer --differs",
        )
    stated, is_so = (parcel.size, parcel.rows), (found.size, opened.note.rows)
    if stated != is_so:
        # Its digest is the recorded one, so that nothing else came: only the provider can say anew what it is.
        raise InputError(
            "PARCEL_DIFFERS",
            f"数据是登记的那份，但登记为 {stated[0]} 字节、{stated[1]} 行，文件为 {is_so[0]} 字节、{is_so[1]} 行：请以 govnode exchange "
            "answer --not-taken --note 答复，并请提供方重新交付",
            f"the payload is the recorded one, but {stated[0]} bytes and {stated[1]} rows were recorded, and the file has {is_so[0]} and "
            f"{is_so[1]}: answer with govnode exchange answer --not-taken --note, and have the provider deliver anew",
        )


def _why_not_opened(delivery: DeliveryRecord, source: Path) -> InputError:
    """Return why a file does not open with the key that its envelope names: it was changed on its way, or was never any good."""
    found = source_digest(source, "")
    if found != delivery.parcel.sealed.hex():
        return _damaged()
    return InputError(
        "SEALED_WRONGLY",
        f"文件就是提供方登记的那份（SM3 {found}），却打不开：是提供方封装有误，请以 govnode exchange answer --differs {found} 答复",
        f"the file is the one that its provider recorded (SM3 {found}), and does not open: it was sealed wrongly; answer with "
        f"govnode exchange answer --differs {found}",
    )


def _damaged() -> InputError:
    return InputError(
        "FILE_DAMAGED",
        "收到的文件不是账本登记的那份（途中被改动、截断，或是另一份），请提供方重发同一文件",
        "the file is not the one that the ledger has (changed or cut short on its way, or another one): have the provider send the same "
        "file again",
    )


def source_digest(source: Path, salt: str) -> str:
    """Return the digest of a file after a salt, both as hex; raise InputError FILE_UNREADABLE."""
    return file_sm3(source, bytes.fromhex(salt)).hex()


def _waybill(envelope: Envelope, digests: FileDigests, rows: int, source: Path) -> Waybill:
    salt = secrets.token_hex(SALT_BYTES)
    return Waybill(
        "govnode-exchange-waybill/1",
        envelope,
        digests.payload.hex(),
        digests.sealed.hex(),
        digests.size,
        digests.sealed_size,
        rows,
        salt,
        # What is read once only, as a pipe, cannot be looked at again.
        source_digest(source, salt) if source.is_file() else bytes(32).hex(),
    )
