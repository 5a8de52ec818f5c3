"""All forgeries by category, and the page that lists them: docs/spec/tampering.md, written when this module is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.verification.tampering import (
    forged_copies,
    forged_extras,
    forged_files,
    forged_lists,
    forged_options,
    forged_proofs,
)
from tests.verification.tampering.forged_world import ForgedWorld, Forgeries, Forgery, outcome

MAX_IN_CATEGORY: Final = 25
PAGE: Final = Path(__file__).parents[3] / "docs" / "spec" / "tampering.md"
CATEGORIES: Final[dict[str, tuple[Callable[[ForgedWorld], Forgeries], ...]]] = {
    "document": (forged_files.document,),
    "hidden field": (forged_files.document_fields, forged_files.presented_fields),
    "salt": (forged_files.salt,),
    "path to a batch's root": (forged_files.seal_path,),
    "path to the state root": (forged_proofs.state_path,),
    "batch position": (forged_files.position,),
    "manifest": (forged_files.manifest, forged_files.manifest_copies),
    "header": (forged_proofs.header,),
    "issuer's seal": (forged_files.seals,),
    "commit certificate": (forged_proofs.commit,),
    "set history": (forged_proofs.set_history,),
    "status": (forged_proofs.status,),
    "replayed old proof": (forged_proofs.replayed_proof,),
    "another's copy": (forged_copies.presentations, forged_copies.annotated_copies),
    "forged file whose bytes are recorded": (forged_proofs.recorded,),
    "option of the verifier": (forged_options.options,),
    "swapped attachments": (forged_copies.files_at_hand, forged_copies.attachments),
    "authorisation": (forged_extras.statements, forged_extras.fetches),
    "status list": (forged_extras.list_contents, forged_extras.list_signatures),
    "batch beside its list": (forged_lists.covered_up,),
    "code": (forged_extras.damaged_codes, forged_extras.repacked_codes),
}
_HEAD: Final = """# Tamperings that are refused

Each row is one forgery that `tests/verification/tampering` makes of genuine files and gives to the verifier, and the code
that it is refused with: the right reason, asserted by name. Where a proof breaks, the step that breaks stands behind
`PROOF_BROKEN`. Unchanged, everything that is forged here is accepted. Files are given with a proof of their certificate
and root certificates, unless a row says otherwise. The page that verifies in a browser gives the same codes
(`test_forgeries_in_browser.py`).

Written by `python -m tests.verification.tampering.forgeries`; a test holds it to be current.
"""


def forgeries_of(world: ForgedWorld, category: str) -> list[Forgery]:
    """Return the forgeries of one category."""
    return [
        Forgery(what, code, lambda attempt=attempt: outcome(attempt))  # type: ignore[misc]
        for make in CATEGORIES[category]
        for what, code, attempt in make(world)
    ]


def page_of(world: ForgedWorld) -> str:
    """Return the page that lists all forgeries."""
    found = {category: forgeries_of(world, category) for category in CATEGORIES}
    total = sum(map(len, found.values()))
    parts = [_HEAD, f"{total} forgeries in {len(found)} categories.\n"]
    for category, forgeries in found.items():
        rows = "\n".join(f"| {one.what} | `{one.code}` |" for one in forgeries)
        parts.append(
            f"## {category[0].upper()}{category[1:]} ({len(forgeries)})\n\n| what | refused as |\n|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page_of(ForgedWorld()), "utf-8")
