"""What became of many calls, each about one certificate, as text or as one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sdk.cli.output import EXIT_REFUSED, show
from verification.errors import InputError
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sdk.certificates import Outcome

_HINTS: Final = {
    "CERTIFICATE_UNKNOWN": "批次中的证照请加 --archive 批次档案 / one of a batch: add --archive with the batch's archive",
    "NOT_EXPIRED": "有效期见 / its validity: govnode cert show",
    "STATUS_FORBIDS": "经过见 / how it came there: govnode cert history; 可行的操作见 / what may follow: govnode cert type codes",
}
"""What the command line can do about a refusal whose text stands in the ledger."""


def show_outcomes(outcomes: list[Outcome], as_json: bool) -> int:
    """Print what became of each; return the exit status: 0 only when all are done."""
    if not outcomes:
        raise InputError("NOTHING_TO_DO", "没有可处理的行", "there is nothing to do: no row is left")
    results: list[dict[str, Any]] = []
    lines = []
    for outcome in outcomes:
        receipt, error = outcome.receipt, outcome.error
        if error is not None:
            results.append(
                {"identifier": outcome.identifier, "error": {"code": error.code, "zh": error.zh, "en": error.en}}
            )
            lines.append(
                shown_line(f"✗ {outcome.identifier}  [{error.code}] {error}{_hint(outcome.identifier, error.code)}")
            )
            continue
        result: dict[str, Any] = {"identifier": outcome.identifier, "transaction": None, "height": None}
        line = f"✓ {outcome.identifier}  此前已完成 / done before"
        if receipt is not None:
            transaction = receipt.transaction_id.hex()
            result |= {"transaction": "0x" + transaction, "height": receipt.height, "time_ms": receipt.time_ms}
            line = f"✓ {outcome.identifier}  区块 / block {receipt.height}  {transaction}"
        results.append(result | {"error": None})
        lines.append(shown_line(line))
    done = sum(outcome.error is None for outcome in outcomes)
    lines.append(f"完成 / done {done}, 未完成 / not done {len(outcomes) - done}")
    show({"done": done, "failed": len(outcomes) - done, "results": results}, as_json, "\n".join(lines))
    return 0 if done == len(outcomes) else EXIT_REFUSED


def _hint(identifier: str, code: str) -> str:
    """Return what can be done about a refusal; of an identifier that is not known, first whether it is mistyped."""
    from verification.identifier_check import check_identifier

    parts = check_identifier(identifier).parts
    if code == "CERTIFICATE_UNKNOWN" and parts is not None and parts.check != parts.expected_check:
        return f"; 校验位应为 {parts.expected_check}，请核对录入 / its check character should be {parts.expected_check}: mistyped?"
    return f"; {_HINTS[code]}" if code in _HINTS else ""
