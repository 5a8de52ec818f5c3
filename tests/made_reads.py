"""Reads as tests record them."""

from __future__ import annotations

from typing import Any

from contracts.data_sharing.access import DENIED, SERVED
from sm_crypto.sm3 import sm3
from verification.access import reads
from verification.access.reads import NO_DIGEST, CasePart, Details, ReadDraft, SharingPart, Subject

DEPARTMENT, CONSUMER = "11330100002489405Q", "113301000024893842"


def made_draft(name: str = "one", **changes: Any) -> ReadDraft:
    """Return what happened in one read; every digest in it is made from its name."""
    stated: dict[str, Any] = {
        "grant": sm3(b"grant"),
        "person": sm3(name.encode()),
        "case_number": "2025-1",
        "outcome": SERVED,
        "rows": 2,
        "refusal": "",
        "side": reads.PROVIDER_SIDE,
    } | changes
    salt = sm3(name.encode())[:16]
    result = NO_DIGEST if stated["outcome"] == DENIED else sm3(b"result")
    return ReadDraft(
        stated["side"],
        stated["outcome"],
        Subject(stated["person"], b"", salt),
        SharingPart(stated["grant"], "307/1", DEPARTMENT, CONSUMER, bytes(20), "系统", salt),
        CasePart("计税", "存量房", stated["case_number"], NO_DIGEST, salt),
        Details(
            sm3(b"id" + name.encode()),
            "GET /x",
            (),
            stated["rows"],
            sm3(b"q"),
            result,
            1,
            2,
            3,
            4,
            stated["refusal"],
            salt,
        ),
    )
