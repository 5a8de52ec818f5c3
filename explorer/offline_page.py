"""The page that verifies proofs without a node or a network: one HTML file, its scripts inline, made of what the node's code says."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from contracts import characters
from contracts.certificate_records import VERDICTS
from contracts.code_tables import ENDED, IN_FORCE
from contracts.refusals import REFUSALS
from node.http.proof_file import KIND_NAMES, record_types
from verification import freshness
from verification.certificate_files import file_verification
from verification.certificate_files.field_names import FIELD_NAMES
from verification.proof_verdicts import BATCH_STEPS, DELIVERY_HINT, DIGEST_FIELDS, NO_DIGEST, STEPS
from verification.record_words import CHOICES, CLAUSES

FOLDER: Final = Path(__file__).parent / "static"
SCRIPTS: Final = (
    "sm3.js",
    "offline/bytes.js",
    "offline/sm2.js",
    "offline/proof.js",
    "offline/verdict.js",
    "offline/record_words.js",
    "offline/x509.js",
    "offline/certificate_file.js",
    "offline/status_list.js",
)
"""What verifies, in the order in which one part needs another; the page's own script follows."""
FILE_NAME: Final = "offline-verifier.html"

_MEMBER_REFUSALS: Final = (
    "ANOTHER_CERTIFICATE",
    "CHECK_CHARACTER_MISMATCH",
    "DATES_REVERSED",
    "DATE_OUT_OF_RANGE",
    "DIGEST_ZERO",
    "NOT_IN_BATCH",
    "OUTSIDE_BATCH",
)
_CHARACTERS: Final = (
    "IDEOGRAPHS",
    "JOINED",
    "JOINERS",
    "MONGOLIAN",
    "MONGOLIAN_SELECTORS",
    "MONGOLIAN_SEPARATOR",
    "REFUSED",
    "SELECTORS",
    "SPACES",
)

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get(f"/{FILE_NAME}")
async def download(request: Request) -> Response:
    """Send the page as a file to keep: the node's own policy lets no script run inside a page that it shows."""
    return Response(
        offline_page(),
        media_type="text/html; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{FILE_NAME}"', "cache-control": "no-cache"},
    )


@lru_cache(maxsize=1)
def offline_page() -> bytes:
    """Return the page in UTF-8; the same release of this program gives the same bytes."""
    return assemble(verifier_script() + _read("offline/page.js"))


def assemble(script: str) -> bytes:
    """Return the page with this script in it, the only one that its policy lets a browser run."""
    style = _read("offline/page.css")
    page = _read("offline/page.html")
    # The script comes last: nothing in it is taken for a mark.
    for mark, text in (
        ("%STYLE_DIGEST%", _digest(style)),
        ("%DIGEST%", _digest(script)),
        ("%STYLE%", style),
        ("%SCRIPT%", script),
    ):
        page = page.replace(mark, text, 1)
    return page.encode("utf-8")


def _digest(text: str) -> str:
    """Return what the page's policy names an inline script or style by: it lets no other run, and nothing be loaded."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def verifier_script() -> str:
    """Return what verifies, without the page: functions verifyProof and readTrust, and all that they need."""
    words = orjson.dumps(_words()).decode("utf-8").replace("<", "\\u003c")
    return "\n".join((f'"use strict";\nconst WORDS = {words};', *map(_read, SCRIPTS)))


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _words() -> dict[str, Any]:
    """Return what the scripts take over from the code that verifies here: words, and the fields of every kind of record."""
    return {
        "steps": STEPS | BATCH_STEPS,
        "record_steps": list(STEPS),
        "batch_steps": list(BATCH_STEPS),
        "file_steps": file_verification.STEPS,
        "file_steps_of": file_verification.STEPS_OF,
        "field_names": FIELD_NAMES,
        "makers_word": file_verification.MAKERS_WORD,
        "verdicts": VERDICTS,
        "freshness": freshness.STEP_TEXTS,
        "list_findings": freshness.FINDINGS,
        "refusals": {code: REFUSALS[code] for code in _MEMBER_REFUSALS},
        "digest_fields": DIGEST_FIELDS,
        "no_digest": NO_DIGEST,
        "delivery_hint": DELIVERY_HINT,
        "record_clauses": {kind: [tuple(clause) for clause in clauses] for kind, clauses in CLAUSES.items()},
        "record_choices": CHOICES,
        "characters": {name: getattr(characters, name) for name in _CHARACTERS},
        "effects": {"in_force": IN_FORCE, "ended": ENDED},
        "kinds": {
            kind: {
                "prefix": prefix.hex(),
                "name": KIND_NAMES[kind],
                "fields": _layout(msgspec.inspect.type_info(record)),
            }
            for kind, (prefix, record) in record_types().items()
        },
    }


def _layout(kind: msgspec.inspect.Type) -> Any:
    """Return the fields of a record by name, nested as they are, and how many its encoding has at least; null for what is no struct."""
    if isinstance(kind, msgspec.inspect.StructType):
        fields = [(field.name, _layout(field.type)) for field in kind.fields]
        return {"fields": fields, "least": sum(field.required for field in kind.fields)}
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        inner = _layout(kind.item_type)
        return None if inner is None else {"item": inner}
    if isinstance(kind, msgspec.inspect.UnionType):
        return next((found for one in kind.types if (found := _layout(one)) is not None), None)
    return None
