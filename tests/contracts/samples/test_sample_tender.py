"""The tender register as a procurement office reads it, and as a bidder who would cheat tries it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from contracts.abi import decode_error
from sm_crypto.sm3 import sm3

DOCUMENT, SALT = sm3(b"tender documents"), sm3(b"a salt")
COMMIT_S, REVEAL_S, LEAST_S = 3_600, 7_200, 600


@pytest.fixture(scope="session")
def compiled(compile_vyper: Any) -> Any:
    return compile_vyper("tender")


class Tender:
    """One register with one tender of the land bureau; the tax bureau bids, and so does a third company."""

    def __init__(self, chain: Any, bench: Any, deployer: Any, compiled: Any) -> None:
        self.chain, self.bench = chain, bench
        self.register = chain.deploy(deployer, compiled, "approver", LEAST_S)
        self.office, self.bidder, self.second_of_bidder = bench.approver, bench.requester, bench.recorder
        self.company = bench.data_bureau
        self.rival = bench.auditor
        self.start_s = chain.time_s
        self.commit_deadline_s, self.reveal_deadline_s = self.start_s + COMMIT_S, self.start_s + REVEAL_S
        self.id = self.open("ZC-2025-001")

    def open(self, number: str, **changes: Any) -> bytes:
        self.register.send(self.office, "open_tender", *self.terms(number=number, **changes))
        return self.id_of(number)

    def terms(self, **changes: Any) -> tuple[Any, ...]:
        terms = {
            "number": "ZC-2025-002",
            "title": "不动产登记系统采购",
            "document": DOCUMENT,
            "commit": self.commit_deadline_s,
            "reveal": self.reveal_deadline_s,
        }
        return tuple((terms | changes).values())

    def id_of(self, number: str) -> bytes:
        found: bytes = self.register.view("tender_id", self.bench.land_bureau, number)
        return found

    def commitment(self, account: Any, price: int, salt: bytes = SALT, **changes: Any) -> bytes:
        parts = {
            "chain": 1,
            "contract": self.register.address,
            "id": self.id,
            "supplier": account.department,
            "price": price,
            "document": DOCUMENT,
            "salt": salt,
        }
        types = ["uint256", "address", "bytes32", "string", "uint128", "bytes32", "bytes32"]
        return sm3(encode(types, list((parts | changes).values())))

    def commit(self, account: Any, price: int, **changes: Any) -> Any:
        return self.register.send(account, "commit_bid", self.id, self.commitment(account, price, **changes))

    def refuse(self, code: str, account: Any, method: str, *arguments: Any) -> str:
        text: str = self.register.refuse(code, account, method, *arguments)
        return text

    def opening(self, price: int, salt: bytes = SALT) -> tuple[Any, ...]:
        return self.id, price, DOCUMENT, salt

    @property
    def phase(self) -> str:
        found: str = self.register.view("phase", self.id)
        return found


@pytest.fixture
def tender(chain: Any, bench: Any, deployer: Any, compiled: Any) -> Tender:
    return Tender(chain, bench, deployer, compiled)


def test_bids_stay_sealed_until_the_deadline_and_all_are_seen_after_it(tender: Tender) -> None:
    assert tender.phase == "COMMITTING"
    tender.commit(tender.bidder, 880_000)
    tender.commit(tender.rival, 910_000)
    sealed = tender.register.view("bids", tender.id, 0)
    assert [(bid["supplier"], bid["opened_at"], bid["price"]) for bid in sealed] == [
        (tender.bidder.department, 0, 0),
        (tender.rival.department, 0, 0),
    ]
    tender.chain.move_to(tender.commit_deadline_s)
    assert tender.phase == "OPENING"
    events = tender.register.send(tender.rival, "open_bid", *tender.opening(910_000))
    expected = {"id": tender.id, "supplier": tender.rival.department, "price": 910_000, "document": DOCUMENT}
    assert events == [("BidOpened", expected)]
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))
    tender.chain.move_to(tender.reveal_deadline_s)
    assert tender.phase == "CLOSED"
    opened = tender.register.view("bids", tender.id, 0)
    assert [(bid["supplier"], bid["price"], bid["opened_at"]) for bid in opened] == [
        (tender.bidder.department, 880_000, tender.commit_deadline_s),
        (tender.rival.department, 910_000, tender.commit_deadline_s),
    ]
    assert tender.register.view("bid", tender.id, tender.rival.department) == opened[1]


def test_the_terms_stand_as_the_office_published_them(tender: Tender) -> None:
    shown = tender.register.view("tender", tender.id)
    assert (shown["department"], shown["number"], shown["title"], shown["document"]) == (
        tender.bench.land_bureau,
        "ZC-2025-001",
        "不动产登记系统采购",
        DOCUMENT,
    )
    assert (shown["opened_at"], shown["commit_deadline"], shown["reveal_deadline"]) == (
        tender.start_s,
        tender.commit_deadline_s,
        tender.reveal_deadline_s,
    )
    tender.refuse("TENDER_EXISTS", tender.office, "open_tender", *tender.terms(number="ZC-2025-001", title="改名"))


def test_only_the_office_with_its_role_opens_and_voids(tender: Tender) -> None:
    tender.refuse("OFFICER_ONLY", tender.bench.issuer, "open_tender", *tender.terms())
    tender.refuse("OFFICER_ONLY", tender.bench.issuer, "void_tender", tender.id, "停办")
    # The same role in another department is not enough.
    tender.refuse("OFFICER_ONLY", tender.bench.other_approver, "void_tender", tender.id, "停办")


def test_an_account_that_is_suspended_or_removed_neither_bids_nor_opens(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    arguments = {"code": tender.bidder.department, "reason": "失信"}
    tender.bench.accept(tender.bench.governor, "members", "suspend_department", **arguments)
    tender.chain.move_to(tender.commit_deadline_s)
    data = tender.register.data("open_bid", tender.opening(880_000))
    result = tender.chain.transact(tender.bidder.address, tender.register.address, data)
    assert result.refusal == "DEPARTMENT_SUSPENDED"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("TEXT_EMPTY", {"number": ""}),
        ("TEXT_EMPTY", {"title": ""}),
        ("DIGEST_ZERO", {"document": bytes(32)}),
        ("DEADLINE_TOO_SOON", {"commit": 0}),
        ("DEADLINE_TOO_SOON", {"commit": 1_750_000_000}),
        ("DEADLINE_TOO_SOON", {"reveal": 1_750_003_600}),
        ("DEADLINE_TOO_FAR", {"commit": 1_750_003_600_000}),
        ("DEADLINE_TOO_FAR", {"reveal": 2**64 - 1}),
    ],
)
def test_terms_that_nobody_could_keep_are_refused(tender: Tender, code: str, changes: dict[str, Any]) -> None:
    tender.refuse(code, tender.office, "open_tender", *tender.terms(**changes))


def test_the_least_windows_are_exact(tender: Tender) -> None:
    least = {"commit": tender.start_s + LEAST_S, "reveal": tender.start_s + 2 * LEAST_S}
    for field in ("commit", "reveal"):
        short = least | {field: least[field] - 1}
        tender.refuse("DEADLINE_TOO_SOON", tender.office, "open_tender", *tender.terms(**short))
    tender.open("ZC-2025-002", **least)


def test_a_deadline_is_the_first_second_too_late(tender: Tender) -> None:
    tender.chain.move_to(tender.commit_deadline_s - 1)
    tender.commit(tender.bidder, 880_000)
    tender.refuse("TOO_EARLY", tender.bidder, "open_bid", *tender.opening(880_000))
    tender.chain.move_to(tender.commit_deadline_s)
    late = tender.commitment(tender.rival, 1)
    tender.refuse("COMMIT_CLOSED", tender.rival, "commit_bid", tender.id, late)
    tender.refuse("COMMIT_CLOSED", tender.bidder, "withdraw_bid", tender.id)
    tender.chain.move_to(tender.reveal_deadline_s)
    tender.refuse("TOO_LATE", tender.bidder, "open_bid", *tender.opening(880_000))
    tender.chain.move_to(tender.reveal_deadline_s - 1)
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))


def test_a_copied_commitment_opens_for_nobody_but_its_maker(tender: Tender) -> None:
    """The rival copies what it sees, even before the bidder's own transaction, and later sends the bidder's opening as its own."""
    copied = tender.commitment(tender.bidder, 880_000)
    tender.register.send(tender.rival, "commit_bid", tender.id, copied)
    tender.register.send(tender.bidder, "commit_bid", tender.id, copied)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))
    tender.refuse("COMMITMENT_DIFFERS", tender.rival, "open_bid", *tender.opening(880_000))


def test_a_bid_says_what_was_committed_to_or_nothing(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    tender.chain.move_to(tender.commit_deadline_s)
    for price, document, salt in (
        (879_999, DOCUMENT, SALT),
        (880_000, sm3(b"other documents"), SALT),
        (880_000, DOCUMENT, sm3(b"another salt")),
    ):
        tender.refuse("COMMITMENT_DIFFERS", tender.bidder, "open_bid", tender.id, price, document, salt)
    # A mistake costs nothing: the right opening still counts.
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))
    tender.refuse("OPENED_ALREADY", tender.bidder, "open_bid", *tender.opening(880_000))


@pytest.mark.parametrize("other", ["chain", "contract", "id"])
def test_a_commitment_for_another_chain_register_or_tender_does_not_open(tender: Tender, other: str) -> None:
    elsewhere = {"chain": 2, "contract": bytes(20), "id": tender.id_of("ZC-2025-002")}
    tender.commit(tender.bidder, 880_000, **{other: elsewhere[other]})
    tender.chain.move_to(tender.commit_deadline_s)
    tender.refuse("COMMITMENT_DIFFERS", tender.bidder, "open_bid", *tender.opening(880_000))


def test_a_company_has_one_bid_through_all_its_accounts(tender: Tender) -> None:
    """Several sealed bids would let it open whichever suits once it has seen the others'."""
    tender.commit(tender.bidder, 880_000)
    second = tender.commitment(tender.second_of_bidder, 700_000)
    tender.refuse("BID_EXISTS", tender.second_of_bidder, "commit_bid", tender.id, second)
    tender.register.send(tender.second_of_bidder, "withdraw_bid", tender.id)
    assert tender.register.view("bid", tender.id, tender.bidder.department)["withdrawn_at"] == tender.start_s
    tender.commit(tender.second_of_bidder, 700_000)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.refuse("COMMITMENT_DIFFERS", tender.bidder, "open_bid", *tender.opening(880_000))
    tender.register.send(tender.bidder, "open_bid", *tender.opening(700_000))
    assert [bid["price"] for bid in tender.register.view("bids", tender.id, 0)] == [700_000]


def test_a_bid_that_is_never_opened_stays_in_sight(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    tender.commit(tender.rival, 910_000)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))
    tender.chain.move_to(tender.reveal_deadline_s)
    unopened = [bid for bid in tender.register.view("bids", tender.id, 0) if not bid["opened_at"]]
    assert [(bid["supplier"], bid["withdrawn_at"]) for bid in unopened] == [(tender.rival.department, 0)]


def test_a_withdrawn_bid_does_not_open(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    tender.register.send(tender.bidder, "withdraw_bid", tender.id)
    tender.refuse("NO_BID", tender.bidder, "withdraw_bid", tender.id)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.refuse("NO_BID", tender.bidder, "open_bid", *tender.opening(880_000))
    tender.refuse("NO_BID", tender.rival, "open_bid", *tender.opening(880_000))


def test_a_bid_without_a_salt_was_no_secret_and_does_not_open(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000, salt=bytes(32))
    tender.chain.move_to(tender.commit_deadline_s)
    tender.refuse("SALT_EMPTY", tender.bidder, "open_bid", *tender.opening(880_000, bytes(32)))


def test_the_buyer_does_not_bid_and_an_empty_commitment_is_none(tender: Tender) -> None:
    tender.refuse("OWN_TENDER", tender.bench.issuer, "commit_bid", tender.id, tender.commitment(tender.bench.issuer, 1))
    tender.refuse("DIGEST_ZERO", tender.bidder, "commit_bid", tender.id, bytes(32))


def test_a_void_tender_takes_nothing_more_and_keeps_what_was_opened(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    tender.commit(tender.rival, 910_000)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.register.send(tender.bidder, "open_bid", *tender.opening(880_000))
    tender.refuse("TEXT_EMPTY", tender.office, "void_tender", tender.id, "")
    events = tender.register.send(tender.office, "void_tender", tender.id, "有效投标不足三家")
    assert events == [("TenderVoided", {"id": tender.id, "reason": "有效投标不足三家"})]
    assert tender.phase == "VOID"
    tender.refuse("TENDER_VOID", tender.rival, "open_bid", *tender.opening(910_000))
    tender.refuse("TENDER_VOID", tender.office, "void_tender", tender.id, "再次")
    assert tender.register.view("bid", tender.id, tender.bidder.department)["price"] == 880_000
    shown = tender.register.view("tender", tender.id)
    assert (shown["voided_at"], shown["reason"]) == (tender.commit_deadline_s, "有效投标不足三家")


def test_a_tender_voided_while_bids_are_sealed_leaves_them_sealed(tender: Tender) -> None:
    tender.commit(tender.bidder, 880_000)
    tender.register.send(tender.office, "void_tender", tender.id, "采购任务取消")
    tender.refuse("TENDER_VOID", tender.rival, "commit_bid", tender.id, tender.commitment(tender.rival, 1))
    tender.refuse("TENDER_VOID", tender.bidder, "withdraw_bid", tender.id)
    tender.chain.move_to(tender.commit_deadline_s)
    tender.refuse("TENDER_VOID", tender.bidder, "open_bid", *tender.opening(880_000))


def test_what_is_not_there_is_named_so(tender: Tender) -> None:
    tender.id = tender.id_of("ZC-1999-001")
    assert tender.phase == "UNKNOWN"
    assert tender.register.view("tender", tender.id)["opened_at"] == 0
    assert tender.register.view("bids", tender.id, 0) == tender.register.view("bids", tender.id, 2**256 - 1) == []
    tender.refuse("TENDER_UNKNOWN", tender.bidder, "commit_bid", tender.id, SALT)
    tender.refuse("TENDER_UNKNOWN", tender.bidder, "open_bid", *tender.opening(1))


def test_bids_come_in_pages_in_the_order_of_first_commitments(tender: Tender) -> None:
    for account in (tender.rival, tender.bidder):
        tender.commit(account, 1)
    tender.register.send(tender.rival, "withdraw_bid", tender.id)
    tender.commit(tender.rival, 2)
    pages = [tender.register.view("bids", tender.id, start) for start in (0, 1, 2)]
    assert [[bid["supplier"] for bid in page] for page in pages] == [
        [tender.rival.department, tender.bidder.department],
        [tender.bidder.department],
        [],
    ]


def test_every_reason_in_the_source_is_the_comment_above_it(samples: Path) -> None:
    source = (samples / "tender.vy").read_text()
    found = re.findall(r"# (.+)\n([A-Z_]+): constant\(Bytes\[MAX_REASON_BYTES\]\) = x\"([0-9a-f]*)\"", source)
    assert len(found) == source.count("constant(Bytes[MAX_REASON_BYTES])")
    for text, name, written in found:
        assert bytes.fromhex(written).decode() == text
        assert text.startswith(f"{name}: ")


class Rules:
    """What the register may accept, written down once more: one bid a company, opened as committed, each thing in its time."""

    def __init__(self, tender: Tender) -> None:
        self.tender = tender
        self.bids: dict[str, tuple[str, int]] = {}
        """The maker and price of each company's standing commitment."""
        self.opened: dict[str, int] = {}

    def expect(self, action: str, company: str, maker: str, price: int) -> str | None:
        """Return the reason for which an action is refused now, None where it is done, which is then remembered."""
        now_s = self.tender.chain.time_s
        if action == "commit_bid":
            if company == self.tender.office.department:
                return "OWN_TENDER"
            if now_s >= self.tender.commit_deadline_s:
                return "COMMIT_CLOSED"
            if company in self.bids:
                return "BID_EXISTS"
            self.bids[company] = (maker, price)
        elif action == "withdraw_bid":
            if company not in self.bids:
                return "NO_BID"
            if now_s >= self.tender.commit_deadline_s:
                return "COMMIT_CLOSED"
            del self.bids[company]
        elif action == "open_bid":
            if now_s < self.tender.commit_deadline_s:
                return "TOO_EARLY"
            if now_s >= self.tender.reveal_deadline_s:
                return "TOO_LATE"
            if company not in self.bids:
                return "NO_BID"
            if company in self.opened:
                return "OPENED_ALREADY"
            if self.bids[company] != (company, price):
                return "COMMITMENT_DIFFERS"
            self.opened[company] = price
        return None


@pytest.mark.parametrize("seed", range(3))
def test_random_bidders_get_no_further_than_the_rules(tender: Tender, seed: int) -> None:
    chosen = random.Random(seed)
    rules = Rules(tender)
    accounts = [tender.bidder, tender.second_of_bidder, tender.rival, tender.bench.issuer]
    for step in range(70):
        tender.chain.move_to(tender.start_s + REVEAL_S * step // 65)
        account, maker = chosen.choice(accounts), chosen.choice(accounts)
        price = chosen.randrange(2)
        action = chosen.choice(("commit_bid", "commit_bid", "withdraw_bid", "open_bid", "open_bid"))
        arguments: tuple[Any, ...] = {
            "commit_bid": (tender.id, tender.commitment(maker, price)),
            "withdraw_bid": (tender.id,),
            "open_bid": tender.opening(price),
        }[action]
        code = rules.expect(action, account.department, maker.department, price)
        if code is None:
            tender.register.send(account, action, *arguments)
        else:
            tender.refuse(code, account, action, *arguments)
    shown = {bid["supplier"]: bid for bid in tender.register.view("bids", tender.id, 0)}
    assert {name: bid["price"] for name, bid in shown.items() if bid["opened_at"]} == rules.opened
    assert {name for name, bid in shown.items() if not bid["withdrawn_at"]} == set(rules.bids)


@pytest.mark.parametrize("role", ["aprover", "Approver", ""])
def test_a_mistyped_role_is_refused_when_the_register_is_deployed(
    chain: Any, deployer: Any, compiled: Any, role: str
) -> None:
    data = bytes.fromhex(compiled["bytecode"][2:]) + encode(["string", "uint64"], [role, LEAST_S])
    result = chain.transact(deployer.address, None, data)
    assert result.refusal == "REVERTED"
    assert (decode_error(result.output) or "").startswith("ROLE_UNKNOWN: ")
