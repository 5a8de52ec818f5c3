"""Deposits between a department, a node and whoever has the link: sealed and opened here, so that the node never sees the key."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import TYPE_CHECKING, Any

from sm_crypto import sm4
from verification.certificate_files.annotated_copy import decode_annotated_copy
from verification.certificate_files.file_verification import certificate_file_kind
from verification.certificate_files.presentation import decode_presentation
from verification.days import show_day, show_moment
from verification.deposits import (
    MAX_LIFE_DAYS,
    MAX_LIFE_MS,
    Deposited,
    DepositLink,
    make_deposit_link,
    open_deposit,
    seal_deposit,
)
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client


def deposit(client: Client, raw: bytes, expires_ms: int, base: str | None = None) -> DepositLink:
    """Leave the file of a presentation or annotated copy at a node until a time in ms, and return the link that finds and opens it.

    The client signs with an account of the department that deposits; `base` is where the link leads, the client's node for None.
    Raises InputError DEPOSIT_REFUSED, what a malformed file raises, UNTIL_OUT_OF_RANGE, UNTIL_TOO_LATE, LINK_BASE_INVALID, and
    RequestRefused of the node.
    """
    key = secrets.token_bytes(sm4.KEY_BYTES)
    sealed = seal_deposit(raw, key)
    _check_end(raw, expires_ms, time.time_ns() // 1_000_000)
    # Made once before anything is sent: a base that no link can have leaves no deposit behind.
    make_deposit_link(base or client.url, "", key)
    content = {"sealed": base64.b64encode(sealed).decode("ascii"), "expires_ms": expires_ms}
    kept = client.post("/deposits", content, signed=True)
    return make_deposit_link(base or client.url, str(kept["id"]), key)


def fetch_deposit(client: Client, link: DepositLink) -> Deposited:
    """Return what a link's deposit holds, from the client's node wherever the link leads; nothing of it is verified.

    Raises RequestRefused DEPOSIT_UNKNOWN, DEPOSIT_EXPIRED or DEPOSIT_WITHDRAWN, InputError KEY_WRONG or DEPOSIT_REFUSED.
    """
    found = client.get(f"/deposits/{link.id}")
    try:
        sealed = base64.b64decode(found["sealed"], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        # What a node of another make sends opens no better than a deposit that was changed.
        sealed = b""
    return open_deposit(sealed, link.key)


def list_deposits(client: Client, limit: int) -> list[dict[str, Any]]:
    """Return what the node keeps for the signer's department, the latest first, at most `limit` of them."""
    return client.get_all("/deposits", limit=limit, signed=True)


def withdraw_deposit(client: Client, deposit_id: str) -> None:
    """Have the node delete a deposit of the signer's department; raise RequestRefused where it is not there or another's."""
    client.post(f"/deposits/{deposit_id}/withdrawal", {}, signed=True)


def _check_end(raw: bytes, expires_ms: int, now_ms: int) -> None:
    """Return if a deposit may lie there until a time, and what is in it be used as long; raise InputError."""
    if not now_ms < expires_ms <= now_ms + MAX_LIFE_MS:
        # The last day that ends within the time.
        last = show_day(now_ms + MAX_LIFE_MS - 86_400_000)
        raise InputError(
            "UNTIL_OUT_OF_RANGE",
            f"--until 应在今天至 {last} 之间（至多 {MAX_LIFE_DAYS} 天）",
            f"--until lies between today and {last} ({MAX_LIFE_DAYS} days at most)",
        )
    if certificate_file_kind(raw) == "presentation":
        binding = decode_presentation(raw).binding
        own_end_ms = None if binding is None else binding.expires_ms
    else:
        own_end_ms = decode_annotated_copy(raw).annotation.expires_ms
    if own_end_ms is not None and expires_ms > own_end_ms:
        end = show_moment(own_end_ms)
        raise InputError(
            "UNTIL_TOO_LATE",
            f"文件本身只能用到 {end}，请以 --until 给出不晚于它的日子",
            f"the file itself may be used until {end}: give a day no later than that with --until",
        )
