"""Status lists between a department, a node and a file: made, signed, anchored and published, fetched and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from contracts.anchors import anchor_key
from node.chain.codec import CodecError, encode
from node.chain.proof import decode_record_proof
from node.http.proof_file import decode_proof_file
from sdk.documents import read_limited
from sdk.errors import CallRefused
from sdk.proofs import export_proof
from verification.errors import InputError
from verification.freshness import sign_status_list
from verification.status_list import (
    MAX_ANCHORS,
    MAX_SIGNATURES,
    MAX_STATUS_LIST_FILE_BYTES,
    StatusListFile,
    decode_status_list,
    encode_status_list,
    parse_scope,
)

if TYPE_CHECKING:
    from sdk.client import Client
    from sm_crypto.keystore import Signer
    from sm_crypto.x509 import Certificate

MAKING_TIMEOUT_S: Final = 600.0
"""A node reads some 500,000 records a second half of the time, and makes one list after the other."""
LABEL: Final = "status-list/1"


def load_status_list(path: Path) -> StatusListFile:
    """Return the list in a file; raise InputError that says what is wrong in it."""
    return decode_status_list(read_limited(path, MAX_STATUS_LIST_FILE_BYTES))


def save_status_list(path: Path, file: StatusListFile) -> None:
    """Write a list in the place of an older one, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(encode_status_list(file))
    fresh.replace(path)


def make_status_list(client: Client, scope: str, height: int | None = None) -> StatusListFile:
    """Return the list that a node makes from its ledger after a block, the latest for None; nothing vouches for it yet."""
    name = parse_scope(scope).name
    return _decoded(client.get(f"/status-lists/{name}/content", signed=True, height=height), scope)


def fetch_status_list(client: Client, scope: str) -> StatusListFile:
    """Return the list that a node keeps of a scope; what vouches for it is not judged."""
    return _decoded(client.get(f"/status-lists/{parse_scope(scope).name}"), scope)


def sign(file: StatusListFile, signer: Signer, chain: Sequence[Certificate], signed_ms: int) -> StatusListFile:
    """Return the list with the signature of the department that a chain's second certificate is of, in place of an earlier one of it."""
    department = chain[1].organization_identifier if len(chain) > 1 else ""
    signature = sign_status_list(file.content, department, signer, chain, signed_ms)
    others = tuple(one for one in file.signatures if one.department != department)
    if len(others) >= MAX_SIGNATURES:
        raise InputError(
            "STATUS_LIST_SIGNATURES",
            f"清单至多有 {MAX_SIGNATURES} 个部门的签名",
            f"a list carries the signatures of at most {MAX_SIGNATURES} departments",
        )
    return msgspec.structs.replace(file, signatures=(*others, signature))


def compare(client: Client, file: StatusListFile) -> None:
    """Return if a node's ledger makes the same list at its block; raise InputError STATUS_LIST_DIFFERS otherwise."""
    content = file.content
    made = make_status_list(client, content.scope.name, content.block.height).content
    if made != content:
        raise InputError(
            "STATUS_LIST_DIFFERS",
            f"清单与账本在区块 {content.block.height} 的状态不符：账本得出 {made.changed_count} 份不在有效状态，摘要 {made.digest.hex()}",
            f"the list is not what the ledger held after block {content.block.height}: by the ledger {made.changed_count} were not in "
            f"force, and the digest is {made.digest.hex()}",
        )


def anchor(client: Client, file: StatusListFile) -> StatusListFile:
    """Anchor a list's digest for the signer's department, where it is not yet, and return the list with the proof of it.

    Raises InputError STATUS_LIST_DIFFERS, and anchors nothing, where the node's ledger makes another list at that block, and
    STATUS_LIST_ANCHORS where the list has too many.
    """
    content, key = file.content, anchor_key(file.content.digest, client.own_department())
    others = tuple(raw for raw in file.anchors if _proved_key(raw) != key)
    if len(others) >= MAX_ANCHORS:
        raise InputError(
            "STATUS_LIST_ANCHORS",
            f"清单至多有 {MAX_ANCHORS} 个部门的锚定",
            f"a list carries the anchors of at most {MAX_ANCHORS} departments",
        )
    compare(client, file)
    try:
        client.call("anchors", "anchor", digest=content.digest, label=f"{LABEL} {content.block.height}")
    except CallRefused as refused:
        if refused.code != "ANCHOR_EXISTS":
            raise
    proof = decode_proof_file(export_proof(client, key)).proof
    return msgspec.structs.replace(file, anchors=(*others, encode(proof)))


def publish(client: Client, file: StatusListFile) -> None:
    """Have a node keep a list for download; raise RequestRefused with the node's reason, such as that nobody but the issuer may."""
    client.post(f"/status-lists/{file.content.scope.name}", orjson.Fragment(encode_status_list(file)), signed=True)


def _proved_key(raw: bytes) -> bytes:
    try:
        return decode_record_proof(raw).key
    except CodecError as error:
        raise InputError(
            "ANCHOR_INVALID",
            f"清单的锚定证明无法解读：{error}",
            f"an anchor's proof in the list cannot be read: {error}",
        ) from None


def _decoded(answer: object, scope: str) -> StatusListFile:
    file = decode_status_list(orjson.dumps(answer))
    if file.content.scope.name != scope:
        raise InputError(
            "STATUS_LIST_MALFORMED",
            f"节点给出的是 {file.content.scope.name} 的清单，所要的是 {scope}",
            f"the node gave the list of {file.content.scope.name}, asked for was that of {scope}",
        )
    return file
