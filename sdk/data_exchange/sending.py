"""A provider's way to a consumer's inbox: a recorded file in signed pieces, from where the inbox has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from sdk.client import Client
from sdk.data_exchange.exchange import Waybill
from sdk.data_exchange.inbox_service import PIECE_BYTES, TICKET_HEADER
from sdk.department_services.service_client import Limits, ServiceClient, ServiceKind, Signing
from sdk.documents import unreadable
from sdk.errors import RequestRefused
from sdk.request_signing import RequestSigner
from verification.errors import GovnodeError

TIMEOUT_S: Final = 60.0
"""For an inbox to be silent; the last piece's answer comes when the whole file is on disk."""
MAX_PIECE_S: Final = 600.0
"""For one piece and its answer in all: half a minute over a slow line of 1 Mbit/s, and the disk."""
TRIES: Final = 5
"""Of one piece, when the inbox does not answer or is busy."""
PAUSE_S: Final = 0.2
"""Before the second try; twice as long before each further one."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_KIND: Final = ServiceKind("收件服务", "an inbox", "http://127.0.0.1:8591", "SERVICE_UNREACHABLE", "NOT_AN_INBOX")
_PASSING: Final = frozenset({"INBOX_BUSY", "BODIES_TOO_MANY", "SERVICE_UNREACHABLE", "NODE_UNREACHABLE"})


_ASK_ANEW: Final = frozenset({"OFFSET_DIFFERS", "TICKET_REQUIRED"})
"""Why a piece is not taken that is as it should be: one whose answer was lost is there already, or the inbox was started anew."""


class _Standing(msgspec.Struct):
    """What an inbox answers: how many bytes of the file it has, and the ticket for the next piece."""

    size: int
    ticket: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{0,200}\Z")]


class _Sender:
    """One file on its way to one inbox."""

    def __init__(self, inbox: ServiceClient, signing: Signing, waybill: Waybill) -> None:
        self._inbox, self._signing = inbox, signing
        self._path = f"/exchange/{waybill.envelope.grant}/{waybill.envelope.number}"
        self._ticket = ""

    def put(self, offset: int, piece: bytes) -> int:
        """Return how many bytes the inbox has once it was sent a piece; it may have had it before."""
        try:
            return self.ask("PUT", f"?offset={offset}", piece)
        except RequestRefused as refused:
            if refused.code not in _ASK_ANEW:
                raise
        found = self.ask("GET")
        return found if found != offset else self.ask("PUT", f"?offset={offset}", piece)

    def ask(self, method: str, query: str = "", body: bytes = b"") -> int:
        """Return how many bytes the inbox has after a request, which is tried again when the inbox is away for a moment."""
        for number in range(TRIES):
            try:
                return self._ask(method, query, body)
            except GovnodeError as error:
                if error.code not in _PASSING or number == TRIES - 1:
                    raise
            time.sleep(PAUSE_S * 2**number)
        raise AssertionError("the last try returns or raises")

    def _ask(self, method: str, query: str, body: bytes) -> int:
        headers = {TICKET_HEADER: self._ticket} if self._ticket else {}
        raw = self._inbox.ask(method, self._path + query, body, headers, by=self._signing)
        try:
            standing = msgspec.json.decode(raw, type=_Standing)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise self._inbox.another() from None
        self._ticket = standing.ticket
        return standing.size


def send_file(
    inbox: str,
    client: Client,
    signer: RequestSigner,
    sealed_file: Path,
    waybill: Waybill,
    show: Callable[[int], None] = lambda size: None,
) -> None:
    """Send a recorded file to its consumer's inbox, from where that has it; `show` is told how many bytes are there.

    `signer` is a recorder's of the provider. Raises RequestRefused with the inbox's reason, NodeUnreachable where it does not answer.
    """
    limits, signing = Limits(MAX_ANSWER_BYTES, TIMEOUT_S, MAX_PIECE_S), Signing(signer, client.chain_id)
    try:
        with sealed_file.open("rb") as file, ServiceClient(_KIND, inbox, limits) as service:
            sender = _Sender(service, signing, waybill)
            size = sender.ask("GET")
            while size < waybill.sealed_size:
                show(size)
                file.seek(size)
                found = sender.put(size, file.read(PIECE_BYTES))
                if not size < found <= waybill.sealed_size:
                    raise RequestRefused(
                        "INBOX_STUCK",
                        f"收件服务没有接着收下文件（{size} 字节之后为 {found}），请查看其磁盘后重发",
                        f"the inbox does not go on with the file (after {size} bytes it has {found}): look at its disk, send again",
                    )
                size = found
            show(size)
    except OSError as error:
        raise unreadable(sealed_file, error) from None
