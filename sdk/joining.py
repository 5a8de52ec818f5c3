"""Requests to join: what a member makes beside its new key, without the private part, for those who may admit it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from contracts.accounts import ROLES, address_of_key
from contracts.members import MAX_NAME_LENGTH
from contracts.registration import AccountRegistration
from sdk.client import Client, FinalReceipt
from sdk.documents import read_limited
from sdk.request_signing import RequestSigner
from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import TaggedHash, sm3
from verification.errors import InputError
from verification.reasons import decoding_reason
from verification.trust import Hex32

MAX_REQUEST_BYTES: Final = 16_384
DEPARTMENT_REQUEST_HASH: Final = TaggedHash("govnode/department-request/1")

Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]
Text = Annotated[str, msgspec.Meta(max_length=MAX_NAME_LENGTH)]


class AccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new key asks to act for a department; its signature is what the contract wants to see. Bytes are hexadecimal."""

    format: Literal["govnode-account-request/1"]
    genesis_hash: Hex32
    department: Text
    name: Text
    roles: Annotated[tuple[Text, ...], msgspec.Meta(max_length=len(ROLES))]
    public_key: Hex64
    signature: Hex64

    @property
    def address(self) -> bytes:
        """The 20-byte address that the account gets."""
        return address_of_key(bytes.fromhex(self.public_key))

    def is_signed(self) -> bool:
        """Return whether the key that asks has signed just this."""
        registration = AccountRegistration(
            bytes.fromhex(self.genesis_hash), self.department, bytes.fromhex(self.public_key), self.name, self.roles
        )
        return registration.is_signed_by_key(bytes.fromhex(self.signature))


class DepartmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A department asks for a certificate of its own authority, and says how the ledger should know it."""

    format: Literal["govnode-department-request/1"]
    genesis_hash: Hex32
    code: Text
    name: Text
    region: Text
    level: Text
    parent: Text
    public_key: Hex64
    signature: Hex64

    @property
    def fingerprint(self) -> str:
        """SM3 of the authority's public key, for both sides to compare aloud."""
        return sm3(bytes.fromhex(self.public_key)).hex()

    def is_signed(self) -> bool:
        """Return whether the key that asks has signed just this."""
        digest = _department_digest(
            bytes.fromhex(self.genesis_hash),
            (self.code, self.name, self.region, self.level, self.parent),
            bytes.fromhex(self.public_key),
        )
        try:
            verify(bytes.fromhex(self.public_key), digest, bytes.fromhex(self.signature))
        except (InvalidKey, InvalidSignature):
            return False
        return True


R = TypeVar("R", AccountRequest, DepartmentRequest)


def make_account_request(
    signer: RequestSigner, genesis_hash: bytes, department: str, name: str, roles: tuple[str, ...]
) -> AccountRequest:
    """Return the request of a new key, signed by it for one network, department, name and set of roles."""
    registration = AccountRegistration(genesis_hash, department, signer.public_key, name, roles)
    signature = signer.sign(registration.digest)
    return AccountRequest(
        "govnode-account-request/1",
        genesis_hash.hex(),
        department,
        name,
        roles,
        signer.public_key.hex(),
        signature.hex(),
    )


def register_account(client: Client, request: AccountRequest) -> FinalReceipt:
    """Submit a request as the client's account and return the receipt; raise InputError where it is for another network."""
    check_network(request, bytes.fromhex(str(client.status()["genesis_hash"]).removeprefix("0x")))
    return client.call(
        "members",
        "add_account",
        department=request.department,
        public_key=bytes.fromhex(request.public_key),
        name=request.name,
        roles=list(request.roles),
        signature=bytes.fromhex(request.signature),
    )


def make_department_request(
    signer: RequestSigner, genesis_hash: bytes, code: str, name: str, region: str, level: str, parent: str
) -> DepartmentRequest:
    """Return the request of a new department, signed by the key of its authority for one network."""
    signature = signer.sign(_department_digest(genesis_hash, (code, name, region, level, parent), signer.public_key))
    return DepartmentRequest(
        "govnode-department-request/1",
        genesis_hash.hex(),
        code,
        name,
        region,
        level,
        parent,
        signer.public_key.hex(),
        signature.hex(),
    )


def register_department(client: Client, request: DepartmentRequest) -> FinalReceipt:
    """Enter a department on the ledger as its request states it; raise InputError where it is for another network."""
    check_network(request, bytes.fromhex(str(client.status()["genesis_hash"]).removeprefix("0x")))
    stated = {name: getattr(request, name) for name in ("code", "name", "region", "level", "parent")}
    return client.call("members", "add_department", **stated)


def save_request(path: Path, request: AccountRequest | DepartmentRequest) -> None:
    """Write a request as indented JSON into a new file; raise InputError where there is one already, OSError."""
    text = msgspec.json.format(msgspec.json.encode(request), indent=2) + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise InputError(
            "FILE_EXISTS", f"{path} 已存在，请另选文件名", f"{path} exists already; choose another name"
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)


def load_request(path: Path, kind: type[R]) -> R:
    """Return the request in a file, whose key has signed it; raise InputError that says what is wrong with it."""
    try:
        request = msgspec.json.decode(read_limited(path, MAX_REQUEST_BYTES), type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(
            "REQUEST_INVALID",
            f"{path} 不是所需的申请文件：{decoding_reason(error)[0]}；请向申请方重新索取",
            f"{path} is not the request that is wanted here: {decoding_reason(error)[1]}; ask for it again",
        ) from None
    if not request.is_signed():
        raise InputError(
            "REQUEST_CHANGED",
            f"{path} 与其签名不符，已被改动；请向申请方重新索取",
            f"{path} is not what its key has signed: it was changed; ask for it again",
        )
    return request


def check_network(request: AccountRequest | DepartmentRequest, genesis_hash: bytes) -> None:
    """Return where a request is for the network with this genesis; raise InputError that names both otherwise."""
    if request.genesis_hash != genesis_hash.hex():
        raise InputError(
            "OTHER_NETWORK",
            f"该申请针对创世哈希为 {request.genesis_hash} 的网络，此网络为 {genesis_hash.hex()}；请申请方用本网络的文件重新申请",
            f"the request is for the network of genesis hash {request.genesis_hash}, this one has {genesis_hash.hex()}; "
            "have it made again with this network's file",
        )


def _department_digest(genesis_hash: bytes, stated: tuple[str, ...], public_key: bytes) -> bytes:
    return DEPARTMENT_REQUEST_HASH(msgspec.msgpack.encode([genesis_hash, *stated, public_key]))
