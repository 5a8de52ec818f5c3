"""Asks another department's service: one address, signed requests, answers of a limited size within a limited time, refusals as errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx

from sdk.client import CONNECT_TIMEOUT_S
from sdk.closing import Closing
from sdk.errors import NodeUnreachable, read_refusal
from sdk.http_client import TimeOver, ending_within, open_http, parse_address
from sdk.request_signing import RequestSigner, signed_headers
from verification.errors import InputError

MAX_SHOWN_ADDRESS: Final = 80


class ServiceKind(NamedTuple):
    """What is asked: how it is called in both languages, where one would be, and the codes of its absence and of another's answer."""

    zh: str
    en: str
    """With its article: `an inbox`."""
    example: str
    unreachable: str
    another: str
    is_at_root: bool = False
    """Its paths are its host's: a path in its address, of one of its pages perhaps, is passed over."""


class Limits(NamedTuple):
    """What one answer may cost: its bytes, how long its service may be silent, and how long all of it may take."""

    answer_bytes: int
    silence_s: float
    total_s: float


class Signing(NamedTuple):
    """By whose key requests are signed, and on which chain."""

    signer: RequestSigner
    chain_id: int


class Answer(NamedTuple):
    """An answer of any status, complete."""

    status: int
    headers: httpx.Headers
    body: bytes


class ServiceClient(Closing):
    """Asks the service at one address; may be called from any thread. Use as a context manager."""

    def __init__(self, kind: ServiceKind, url: str, limits: Limits) -> None:
        """Take the service's `http(s)://host:port`, maybe with a path in front of its own; raise InputError URL_INVALID."""
        base = parse_address(url)
        if base is None:
            shown = url[:MAX_SHOWN_ADDRESS]
            raise InputError(
                "URL_INVALID",
                f"{kind.zh}地址应形如 {kind.example}，实为 {shown!r}",
                f"expected the address of {kind.en} such as {kind.example}, found {shown!r}",
            )
        self.base = base
        self._kind, self._limits = kind, limits
        self._front = b"" if kind.is_at_root else self.base.raw_path.rstrip(b"/")
        timeout = httpx.Timeout(limits.silence_s, connect=min(limits.silence_s, CONNECT_TIMEOUT_S))
        self._http = open_http(self.base.scheme, timeout)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, by: Signing | None
    ) -> bytes:
        """Return the body of the answer to a request for a path and query, signed where it says by whom.

        Raises RequestRefused with the service's reason, NodeUnreachable as `exchange` does or where an answer of 400 and more has none.
        """
        target = path.encode("ascii")
        all_headers = dict(headers or {})
        if by is not None:
            authority = self.base.netloc.decode("ascii")
            all_headers |= signed_headers(by.signer, by.chain_id, method, authority, self._front + target, body)
        answer = self.exchange(method, target, body, all_headers)
        if answer.status >= httpx.codes.BAD_REQUEST:
            raise read_refusal(answer.body) or self.another()
        return answer.body

    def exchange(self, method: str, target: bytes, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer of whatever status to a request for a path and query.

        Raises NodeUnreachable: ANSWER_TOO_SLOW, or with the kind's codes where none came or it is larger than that service's are.
        """
        raw = bytearray()
        try:
            url = self.base.copy_with(raw_path=self._front + target)
            with (
                ending_within(self._limits.total_s),
                self._http.stream(method, url, content=body or None, headers=headers) as answer,
            ):
                for chunk in answer.iter_bytes():
                    raw += chunk
                    if len(raw) > self._limits.answer_bytes:
                        raise self.another()
        except TimeOver:
            raise NodeUnreachable(
                "ANSWER_TOO_SLOW",
                f"{self._kind.zh} {self.base} 没有及时答完，请稍后再试",
                f"the answer from {self.base}, {self._kind.en}, did not come in time: try again later",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnreachable(
                self._kind.unreachable,
                f"{self._kind.zh} {self.base} 没有应答（{type(error).__name__}），请检查地址后再试",
                f"no answer from {self.base} ({type(error).__name__}): check that it is the address of {self._kind.en}, try again",
            ) from None
        return Answer(answer.status_code, answer.headers, bytes(raw))

    def another(self) -> NodeUnreachable:
        """Return the error that an answer is not one of this kind of service."""
        return NodeUnreachable(
            self._kind.another,
            f"{self.base} 的应答不是{self._kind.zh}的格式，请检查地址",
            f"the answer from {self.base} is not that of {self._kind.en}: check the address",
        )
