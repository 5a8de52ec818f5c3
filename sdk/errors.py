"""What goes wrong when talking to a network, reading documents or checking proofs: always with a reason's name, in both languages."""

from __future__ import annotations


class SdkError(Exception):
    """Base of all errors of the sdk: `code` names the reason; the texts say what was expected, what was found and what to do."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        """Keep the reason; each text is one line."""
        super().__init__(f"{zh} / {en}")
        self.code = code
        self.zh = zh
        self.en = en


class InputError(SdkError):
    """A file or value given by the caller is not of the expected form."""


class NodeUnreachable(SdkError):
    """No answer from the node: not there, too slow, or not a node of this network."""


class RequestRefused(SdkError):
    """The node understood the request and said no."""


class CallReverted(RequestRefused):
    """A contract's code undid a call that was only tried; `output` is what it gave as the reason, ABI data in hex."""

    def __init__(self, code: str, zh: str, en: str, output: str) -> None:
        """Keep the reason."""
        super().__init__(code, zh, en)
        self.output = output


class CallRefused(SdkError):
    """The transaction is final, and the contract refused its call; `transaction_id` (32 bytes) names it, `height` where it is.

    `output` is the reason as ABI data in hex: Error(string), or whatever a contract's code reverted with.
    """

    def __init__(self, code: str, zh: str, en: str, transaction_id: bytes, height: int, output: str = "0x") -> None:
        """Keep the refusal and where it is recorded."""
        super().__init__(code, zh, en)
        self.transaction_id = transaction_id
        self.height = height
        self.output = output
