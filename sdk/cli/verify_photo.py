"""What govnode verify says of the photo of a code, and of a certificate's own file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sdk.cli.options import open_client
from sdk.cli.output import EXIT_FORCE_UNKNOWN, EXIT_REFUSED, fields, show
from sdk.cli.verdict_lines import certificate_facts, document_facts, file_step_lines, verdict_text
from sdk.code_verification import PhotoQuestion, PhotoVerdict, verify_certificate_file, verify_deposit, verify_photo

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.deposits import DepositLink

_CARRIES = {
    "link": "证照链接 / a link",
    "presentation": "证照出示件 / a presentation",
    "document": "证照文件 / a certificate document",
    "annotated-copy": "证照加注件 / an annotated copy",
}
_ONLY_THE_CODE: Final = (
    "核验的是码里的内容；纸上或屏幕上的其他内容不在核验之列，请与下列内容逐项对照 / what the code holds is verified; what else stands "
    "on the paper or screen is not: compare it with what follows"
)


def show_photo_verdict(photo: Path, url: str | None, question: PhotoQuestion, as_json: bool) -> int:
    """Print the verdict on the code in a photo, by the node at `url` or offline; return the exit status."""
    return _show(lambda client: verify_photo(photo, client, question), url, as_json, is_photo=True)


def show_file_verdict(file: Path, url: str | None, question: PhotoQuestion, as_json: bool) -> int:
    """Print the verdict on a document, presentation or annotated copy likewise; return the exit status."""
    return _show(lambda client: verify_certificate_file(file, client, question), url, as_json, is_photo=False)


def show_deposit_verdict(link: DepositLink, url: str | None, question: PhotoQuestion, as_json: bool) -> int:
    """Print the verdict on what a link's deposit holds likewise; return the exit status."""
    return _show(lambda client: verify_deposit(link, client, question), url, as_json, is_photo=False)


def _show(judge: Callable[[Client | None], PhotoVerdict], url: str | None, as_json: bool, *, is_photo: bool) -> int:
    started_ns = time.perf_counter_ns()
    if url is None:
        verdict = judge(None)
    else:
        with open_client(url) as client:
            verdict = judge(client)
    elapsed_ms = round((time.perf_counter_ns() - started_ns) / 1e6, 2)
    text = _text(verdict, elapsed_ms, is_photo=is_photo)
    show(msgspec.to_builtins(verdict) | {"elapsed_ms": elapsed_ms}, as_json, text)
    if verdict.is_force_unknown:
        return EXIT_FORCE_UNKNOWN
    return 0 if verdict.is_accepted else EXIT_REFUSED


def _text(verdict: PhotoVerdict, elapsed_ms: float, *, is_photo: bool) -> str:
    known: list[tuple[str, object]] = [
        ("内容 / content", _CARRIES[verdict.carries]),
        ("证照标识 / identifier", verdict.identifier),
    ]
    if is_photo:
        known.append(("注意 / note", _ONLY_THE_CODE))
    lines = [fields(known), ""]
    if verdict.proof is not None:
        lines.append(verdict_text(verdict.proof, elapsed_ms, verdict.names))
        if verdict.proof.code == verdict.code:
            return "\n".join(lines)
    document = None if verdict.document is None else msgspec.to_builtins(verdict.document)
    if document is not None:
        lines += file_step_lines(document)
        for pairs in (certificate_facts({}, document, {}), document_facts(document)):
            lines += ["", fields(pairs)] if pairs else []
    result = "通过 / accepted" if verdict.is_accepted else "不通过 / refused"
    if verdict.is_force_unknown:
        result = "真实，效力未核对 / genuine, force not checked"
    words = [("结论 / verdict", f"{result} [{verdict.code}]"), ("", verdict.zh), ("", verdict.en)]
    return "\n".join([*lines, "", fields([*words, ("用时 / took", f"{elapsed_ms} ms")])])
