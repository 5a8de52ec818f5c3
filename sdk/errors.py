"""What goes wrong when talking to a network: always with a reason's name, in both languages."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

from sdk.refusal_texts import readable_refusal
from verification.errors import GovnodeError

_REASON: Final = re.compile(r"([A-Z][A-Z0-9_]{1,63})(?:: |$)")


class NodeUnreachable(GovnodeError):
    """No answer from the node: not there, too slow, or not a node of this network."""


class RequestRefused(GovnodeError):
    """The node understood the request and said no."""


class _Stated(msgspec.Struct):
    """What the body of a refusal has, beside what other readers look at (RFC 9457)."""

    # It goes into access records, which take no more.
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9_]{0,63}$")]
    zh: str
    en: str


_STATED: Final = msgspec.json.Decoder(_Stated)


def read_refusal(body: bytes) -> RequestRefused | None:
    """Return the refusal that the body of a node's or service's answer states, or None where it is not of that form."""
    try:
        stated = _STATED.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return RequestRefused(stated.code, stated.zh, stated.en)


class CallReverted(RequestRefused):
    """A contract's code undid a call that was only tried; `output` is what it gave as the reason, ABI data in hex.

    `reason` is the name that the contract's own text begins with (`TAKEN: …`) or that its error has, None where it gave none.
    """

    def __init__(self, code: str, zh: str, en: str, output: str, reason: str | None = None) -> None:
        """Keep the reason, its texts as people read them."""
        super().__init__(code, *readable_refusal(code, zh, en))
        self.output = output
        self.reason = reason

    @property
    def details(self) -> dict[str, Any]:
        """The contract's own name for its reason."""
        return {} if self.reason is None else {"reason": self.reason}


class CallRefused(GovnodeError):
    """The transaction is final, and the contract refused its call; `transaction_id` (32 bytes) names it, `height` where it is.

    `output` is the reason as ABI data in hex: Error(string), or whatever a contract's code reverted with; `reason` as CallReverted has it.
    """

    def __init__(
        self,
        code: str,
        zh: str,
        en: str,
        transaction_id: bytes,
        height: int,
        output: str = "0x",
        reason: str | None = None,
    ) -> None:
        """Keep the refusal, its texts as people read them, and where it is recorded."""
        super().__init__(code, *readable_refusal(code, zh, en))
        self.transaction_id = transaction_id
        self.height = height
        self.output = output
        self.reason = reason

    @property
    def details(self) -> dict[str, Any]:
        """The contract's own name for its reason, and the transaction and block that hold the refusal."""
        place = {"transaction": "0x" + self.transaction_id.hex(), "height": self.height}
        return place if self.reason is None else {"reason": self.reason, **place}


def reason_name(text: str) -> str | None:
    """Return the name that a contract's own text begins with, or is, such as TAKEN of `TAKEN: …`; None where it has none."""
    match = _REASON.match(text)
    return None if match is None else match[1]
