"""A provider's way to a consumer's inbox: a recorded file in signed pieces, from where the inbox has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import msgspec

from sdk.client import CONNECT_TIMEOUT_S, Client
from sdk.data_exchange.exchange import Waybill, unreadable
from sdk.data_exchange.inbox_service import PIECE_BYTES, TICKET_HEADER
from sdk.department_services.answers import read_refusal
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.http_client import open_http
from sdk.request_signing import RequestSigner, signed_headers
from verification.errors import GovnodeError, InputError

TIMEOUT_S: Final = 60.0
"""For one piece and its answer; the last one's comes when the whole file is on disk."""
TRIES: Final = 5
"""Of one piece, when the inbox does not answer or is busy."""
PAUSE_S: Final = 0.2
"""Before the second try; twice as long before each further one."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_PASSING: Final = frozenset({"INBOX_BUSY", "BODIES_TOO_MANY", "SERVICE_UNREACHABLE", "NODE_UNREACHABLE"})


_ASK_ANEW: Final = frozenset({"OFFSET_DIFFERS", "TICKET_REQUIRED"})
"""Why a piece is not taken that is as it should be: one whose answer was lost is there already, or the inbox was started anew."""


class _Standing(msgspec.Struct):
    """What an inbox answers: how many bytes of the file it has, and the ticket for the next piece."""

    size: int
    ticket: str


class _Sender:
    """One file on its way to one inbox."""

    def __init__(self, inbox: str, http: httpx.Client, chain_id: int, signer: RequestSigner, waybill: Waybill) -> None:
        self._base = httpx.URL(inbox.rstrip("/"))
        self._http, self._chain_id, self._signer = http, chain_id, signer
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
        target = self._base.raw_path.rstrip(b"/") + (self._path + query).encode("ascii")
        authority = self._base.netloc.decode("ascii")
        headers = signed_headers(self._signer, self._chain_id, method, authority, target, body)
        if self._ticket:
            headers[TICKET_HEADER] = self._ticket
        raw = b""
        try:
            url = self._base.copy_with(raw_path=target)
            with self._http.stream(method, url, content=body or None, headers=headers) as answer:
                for part in answer.iter_bytes():
                    raw += part[: MAX_ANSWER_BYTES - len(raw)]
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnreachable(
                "SERVICE_UNREACHABLE",
                f"收件服务 {self._base} 没有应答（{type(error).__name__}），请检查地址后重发",
                f"no answer from the inbox {self._base} ({type(error).__name__}): check the address and send again",
            ) from None
        if answer.status_code >= 400:
            raise read_refusal(raw) or self._not_an_inbox()
        try:
            standing = msgspec.json.decode(raw, type=_Standing)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise self._not_an_inbox() from None
        self._ticket = standing.ticket
        return standing.size

    def _not_an_inbox(self) -> NodeUnreachable:
        return NodeUnreachable(
            "NOT_AN_INBOX",
            f"{self._base} 的应答不是收件服务的格式，请检查地址",
            f"the answer from {self._base} is not that of an inbox: check the address",
        )


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
    try:
        is_address = httpx.URL(inbox).scheme in {"http", "https"} and bool(httpx.URL(inbox).host)
    except httpx.InvalidURL:
        is_address = False
    if not is_address:
        raise InputError(
            "URL_INVALID",
            f"收件服务地址应形如 http://127.0.0.1:8591，实为 {inbox[:80]!r}",
            f"expected an address of an inbox such as http://127.0.0.1:8591, found {inbox[:80]!r}",
        )
    timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        with sealed_file.open("rb") as file, open_http(httpx.URL(inbox).scheme, timeout) as http:
            sender = _Sender(inbox, http, client.chain_id, signer, waybill)
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
