"""More than two hundred ways to tamper, in more than twelve categories: each is refused, and for the right reason."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.verification.tampering.forged_extras import Fetches
from tests.verification.tampering.forged_lists import OTHER, clashing_batch
from tests.verification.tampering.forged_world import DEED, PDF, ForgedWorld, outcome
from tests.verification.tampering.forgeries import CATEGORIES, MAX_IN_CATEGORY, PAGE, forgeries_of, page_of
from verification.authorisations import decode_authorisation, verify_authorisation
from verification.certificate_files.document import encode_file, file_digest
from verification.codes import pack_presentation, unpack_presentation
from verification.freshness import with_status_list


@pytest.fixture(scope="session")
def world() -> ForgedWorld:
    return ForgedWorld()


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_forgery_is_refused_for_the_right_reason(world: ForgedWorld, category: str) -> None:
    found = {one.what: (one.attempt(), one.code) for one in forgeries_of(world, category)}
    assert {what: codes for what, codes in found.items() if codes[0] != codes[1]} == {}


def test_unchanged_everything_that_is_forged_is_accepted(world: ForgedWorld) -> None:
    w = world
    accepted: dict[str, Callable[[], Any]] = {
        "document": lambda: w.verify(w.proofs["single"], w.files["single"], attachments={DEED: file_digest(PDF)}),
        "document of a batch": lambda: w.verify(w.member_proof, w.member_file),
        "presentation": lambda: w.verify(w.proofs["single"], w.shown_file),
        "bound presentation": lambda: w.verify(w.proofs["bound"], w.bound_file, recipient="使用局"),
        "copy": lambda: w.verify(w.proofs["bound"], w.copy_file, recipient="示例银行"),
        "copy of what was not bound": lambda: w.verify(w.proofs["single"], w.free_copy_file),
        "proof with a walk": lambda: w.verify(w.walked),
        "suspended, before": lambda: w.verify(w.before["suspended"], now_ms=w.as_of_ms),
        "revoked, before": lambda: w.verify(w.before["revoked"], now_ms=w.as_of_ms),
        "renewed, before": lambda: w.verify(w.before["renewed"], now_ms=w.as_of_ms),
        "member, before": lambda: w.verify(w.member_before),
        "status list": lambda: with_status_list(w.verify(w.proofs["single"]), w.list_now, w.list_trust),
        "batch list": lambda: with_status_list(w.verify(w.member_proof), w.batch_list, w.list_trust),
        "code": lambda: w.verify(w.proofs["single"], encode_file(unpack_presentation(pack_presentation(w.shown)))),
    }
    assert {name: outcome(attempt) for name, attempt in accepted.items()} == dict.fromkeys(
        accepted, "accepted: IN_FORCE"
    )
    made = Fetches(w)
    verify_authorisation(decode_authorisation(made.raw), made.document, w.chain.genesis.hash)
    statement = made.make(w.now_ms, 200)
    assert made.record(statement).is_accepted
    assert made.fetch(statement).is_accepted


def test_a_batchs_list_vouches_for_no_identifier(world: ForgedWorld) -> None:
    """Another certificate had the identifier, and was revoked: the list of the batch cannot know, and promises no more than it knows."""
    found = clashing_batch(world).listed(OTHER)
    assert (found.is_accepted, found.code) == (True, "GENUINE")
    assert "另有记录未核对" in found.zh


def test_there_are_enough_and_the_page_lists_them(world: ForgedWorld) -> None:
    counts = {category: len(forgeries_of(world, category)) for category in CATEGORIES}
    assert len(counts) >= 12
    assert max(counts.values()) <= MAX_IN_CATEGORY
    assert sum(min(count, MAX_IN_CATEGORY) for count in counts.values()) >= 200
    for category in CATEGORIES:
        named = [one.what for one in forgeries_of(world, category)]
        assert len(set(named)) == len(named), category
    assert PAGE.read_text("utf-8") == page_of(world), "write it anew: python -m tests.verification.tampering.forgeries"
