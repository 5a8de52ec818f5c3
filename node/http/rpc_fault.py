"""What a JSON-RPC call ends in when it fails, and how its parameters are read."""

from __future__ import annotations

from typing import Any, Final

from node.http.json_form import show_briefly

MAX_SHOWN_LENGTH: Final = 80

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
UNKNOWN_HEIGHT: Final = -32001
TRANSACTION_REJECTED: Final = -32003
METHOD_NOT_SUPPORTED: Final = -32004
LIMIT_EXCEEDED: Final = -32005
FILTER_NOT_FOUND: Final = -32000
"""What clients know it by, so that they make the filter anew."""
RESTRICTED: Final = -32010
CALL_REFUSED: Final = 3


class RpcFault(Exception):
    """A call that ends in a JSON-RPC error: its number, its text in Chinese and English, and data for programs.

    `data` as text is a contract's own, in hex, which stands alone in the error as clients know it from geth.
    """

    def __init__(self, code: int, zh: str, en: str, data: dict[str, Any] | str | None = None) -> None:
        super().__init__(en)
        self.code, self.zh, self.en, self.data = code, zh, en, data


def shorten(text: str) -> str:
    """Return a caller's text as it is shown back: one line, at most MAX_SHOWN_LENGTH characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: MAX_SHOWN_LENGTH + 1])
    return clean if len(clean) <= MAX_SHOWN_LENGTH else clean[: MAX_SHOWN_LENGTH - 1] + "…"


def parse_bytes(value: Any, field: str, max_bytes: int) -> bytes:
    """Return bytes given in hex, with or without 0x; raise RpcFault otherwise."""
    if isinstance(value, str) and len(value) <= 2 * max_bytes + 2:
        digits = value[2:] if value.startswith("0x") else value
        if len(digits) % 2:
            zh, en = f"偶数位十六进制而非 {len(digits)} 位", f"an even number of hex digits, not {len(digits)}"
            raise wrong_parameter(field, zh, en, value)
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            raw = None
        # fromhex skips white space, which this interface does not take.
        if raw is not None and 2 * len(raw) == len(digits):
            return raw
    raise wrong_parameter(field, f"至多 {max_bytes} 字节的十六进制", f"at most {max_bytes} bytes in hex", value)


def wrong_parameter(field: str, expected_zh: str, expected_en: str, found: Any) -> RpcFault:
    """Return the fault of a parameter that is not what was expected."""
    shown = shorten(found if isinstance(found, str) else show_briefly(found))
    zh, en = f"{field} 应为{expected_zh}，实际为 {shown}", f"{field}: expected {expected_en}, found {shown}"
    return RpcFault(INVALID_PARAMS, zh, en, {"code": "PARAMETER_INVALID", "field": field})


def restricted_fault() -> RpcFault:
    """Return the fault of asking here for what auditors and parties alone may read, or trying to write it without sending."""
    zh = "审计事项仅向审计方和当事部门开放，请用签名的 REST 请求查询；写入请直接发送交易，不能试运行"
    en = (
        "audits are for auditors and the departments concerned: ask REST with a signed request; to write one send the "
        "transaction, it cannot be tried first"
    )
    return RpcFault(RESTRICTED, zh, en, {"code": "SIGNATURE_REQUIRED"})
