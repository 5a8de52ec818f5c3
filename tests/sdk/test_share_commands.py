"""govnode share as clerks use it: a request from its return to its recall, and what is said of a wrong option."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.data_sharing.conditions import Conditions, Mask
from contracts.data_sharing.corrections import load_correction
from contracts.data_sharing.disputes import DISMISSED, UPHELD, load_dispute
from contracts.data_sharing.recalls import load_recall
from contracts.data_sharing.refusal_reasons import load_reasons
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, ResourceDescription, ResourceItem
from contracts.data_sharing.sharing import RequestRecord, load_request
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import StandInNode
from tests.sdk.command_lines import ARBITER, CommandLines, Run, add_arbiter, sit_down
from verification.days import show_day

DAY_MS = 86_400_000


class Office(CommandLines):
    """Both clerks and the governor at the commands of shares."""

    group = "share"

    def record(self, request: str) -> RequestRecord:
        found = load_request(self.chain.state, bytes.fromhex(request[2:]))
        assert found is not None
        return found

    def day(self, days: int) -> str:
        return show_day(self.chain.time_ms + days * DAY_MS)

    def wish(self, *more: str) -> tuple[str, ...]:
        period = ("--from", self.day(-1), "--to", self.day(30))
        return ("--purpose", "抵押登记", "--legal-basis", "政务数据共享条例", *period, *more)

    def request(self, *more: str) -> str:
        return str(self.do("consumer", "request", "301000/1", *self.wish(*more))["request"])


@pytest.fixture
def office(run: Run, node: StandInNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    described = ResourceDescription(
        code="301000/1",
        name="不动产登记信息",
        summary="样本",
        format="JSON",
        items=(ResourceItem("权利人", "C"), ResourceItem("面积", "N")),
        sharing_type=CONDITIONAL,
        sharing_basis="依申请",
        sharing_method="接口",
        update_cycle=1,
        data_class=GENERAL,
    )
    sit_down(node, {"governor": add_arbiter(node.chain)}, tmp_path, monkeypatch, described)
    return Office(run, node, tmp_path)


def test_a_request_is_returned_completed_checked_and_granted_under_conditions(office: Office) -> None:
    asked = office.request("--item", "权利人", "--item", "面积")
    assert office.do("clerk", "return", asked, "--reason", "请补充办件类型")["state"] == "returned"
    done = office.do("consumer", "amend", asked, *office.wish("--case-type", "抵押登记", "--rows-per-day", "500"))
    assert (done["state"], office.record(asked).case_types) == ("waiting", ("抵押登记",))
    office.do("governor", "check", asked)
    assert office.record(asked).checked_ms
    limits = ("--reads-per-day", "100", "--rows-per-day", "200", "--rows-per-read", "1")
    done = office.do(
        "clerk",
        *("grant", asked, "--to", office.day(20), "--mask", "权利人:mask:1:2", "--column", "权利人", *limits),
        *("--place", "登记大厅", "--note", "仅限本案", "--pass-on-to", ARBITER),
    )
    assert done["state"] == "granted"
    assert office.record(asked).conditions == Conditions(
        ("权利人",),
        (Mask("权利人", "mask", 1, 2),),
        100,
        200,
        1,
        "登记大厅",
        "仅限本案",
        (ARBITER,),
    )
    office.do("clerk", "pass-on", asked)
    assert office.record(asked).conditions.passing_on_to == ()
    office.do("clerk", "supply", asked)
    assert office.record(asked).supplied_ms
    renewal = office.do("consumer", "renew", asked, "--to", office.day(60))
    assert (renewal["state"], office.record(renewal["request"]).previous) == ("waiting", bytes.fromhex(asked[2:]))


def test_a_renewal_keeps_the_conditions_that_nobody_says_anew(office: Office) -> None:
    asked = office.request()
    given = ("--column", "权利人", "--mask", "权利人:mask:1:2", "--reads-per-day", "4", "--rows-per-read", "1")
    words = ("--note", "仅限本案", "--place", "登记大厅", "--pass-on-to", ARBITER)
    office.do("clerk", "grant", asked, "--to", office.day(20), *given, *words)
    # Consent to passing on is given anew, or not.
    before = msgspec.structs.replace(office.record(asked).conditions, passing_on_to=())

    def renewed(*said: str) -> Conditions:
        name = office.do("consumer", "renew", asked, "--to", office.day(60))["request"]
        office.do("clerk", "grant", name, "--to", office.day(50), *said)
        office.do("clerk", "stop", name, "--reason", "重新核定")
        return office.record(name).conditions

    assert renewed() == before
    # What is said takes the place of what was, the rest stays: a mask for each item.
    assert renewed("--reads-per-day", "9", "--note", "") == msgspec.structs.replace(
        before, max_reads_per_day=9, note=""
    )
    wider = renewed("--column", "权利人", "--column", "面积", "--mask", "面积:truncate:0:2")
    assert wider.masks == (*before.masks, Mask("面积", "truncate", 0, 2))
    assert renewed("--column", "面积").masks == ()
    assert renewed("--pass-on-to", ARBITER).passing_on_to == (ARBITER,)
    assert renewed("--conditions-anew", "--note", "放开") == Conditions(("权利人", "面积"), note="放开")


def grant_shown(office: Office, asked: str, *said: str) -> tuple[Conditions, str]:
    """Return the conditions of a grant and what the approver was told at it."""
    key = ("--key", office.folder / "clerk.key", "--json")
    until = show_day(office.record(asked).to_ms - DAY_MS)
    status, _, told = office.run("share", "grant", asked, "--to", until, *said, *key)
    assert status == 0, told
    return office.record(asked).conditions, told


def test_a_renewal_that_was_returned_and_asks_for_more_keeps_the_conditions(office: Office) -> None:
    asked = office.request("--item", "权利人")
    given = ("--mask", "权利人:mask:1:2", "--reads-per-day", "4", "--place", "登记大厅")
    office.do("clerk", "grant", asked, "--to", office.day(20), *given)
    renewal = office.do("consumer", "renew", asked, "--to", office.day(60))["request"]
    office.do("clerk", "return", renewal, "--reason", "请补充办件类型")
    period = ("--from", office.day(22), "--to", office.day(60), "--item", "权利人", "--item", "面积")
    office.do("consumer", "amend", renewal, "--purpose", "抵押登记", "--legal-basis", "政务数据共享条例", *period)
    conditions, told = grant_shown(office, renewal)
    assert conditions == office.record(asked).conditions
    assert all(word in told for word in ("所续授权", "权利人、面积", "每日次数 / reads a day 4", "登记大厅", "脱敏"))


def test_an_item_given_out_again_is_masked_as_where_it_was_last_granted(office: Office) -> None:
    asked = office.request()
    both = ("--column", "权利人", "--column", "面积")
    office.do("clerk", "grant", asked, "--to", office.day(20), *both, "--mask", "权利人:mask:1:2")
    second = office.do("consumer", "renew", asked, "--to", office.day(60))["request"]
    conditions, told = grant_shown(office, second, "--column", "面积")
    assert (conditions.masks, "masks that fall away with their items: 权利人" in told) == ((), True)
    third = office.do("consumer", "renew", second, "--to", office.day(90))["request"]
    conditions, told = grant_shown(office, third, *both)
    assert (conditions.masks, "权利人" in told) == ((Mask("权利人", "mask", 1, 2),), True)
    # Two masks for one item are refused as in a first grant, not one of them taken without a word.
    twice = ("--mask", "权利人:mask:0:1", "--mask", "权利人:truncate:0:1")
    fourth = office.do("consumer", "renew", third, "--to", office.day(120))["request"]
    office.refuse("LIST_REPEATS", "clerk", "grant", fourth, "--to", office.day(115), *twice)


@pytest.mark.parametrize(
    "mask",
    [
        "权利人:mask:1",
        "权利人:blur:1:2",
        ":mask:1:2",
        "权利人:mask:-1:2",
        "权利人:mask:1:²",
        "权利人:mask:1:0",
        "权利人:mask:10001:1",
    ],
)
def test_a_malformed_mask_is_a_usage_error(office: Office, mask: str) -> None:
    office.refuse("--mask", "clerk", "grant", "00" * 32, "--to", "2030-01-01", "--mask", mask)


def test_a_refusal_is_disputed_and_reopened(office: Office, run: Run) -> None:
    status, out, _ = run("share", "reasons", "--json")
    assert (status, out["set_ms"]) == (0, 0)
    table = office.folder / "reasons.csv"
    table.write_text("code,text,english,needs_text\nbusy,暂无力提供,no capacity,否\n", "utf-8")
    office.do("governor", "set-reasons", table)
    assert [one.code for one in load_reasons(office.chain.state).reasons] == ["busy"]
    table.write_text("code,text,english,needs_text\nbusy,暂无力提供,no capacity,maybe\n", "utf-8")
    office.refuse("needs_text", "governor", "set-reasons", table)

    asked = office.request()
    office.refuse("REASON_UNKNOWN", "clerk", "refuse", asked, "--code", "other", "--reason", "x")
    assert office.do("clerk", "refuse", asked, "--code", "busy")["state"] == "refused"
    evidence = office.folder / "letter.pdf"
    evidence.write_bytes(b"letter")
    raised = office.do(
        "consumer", "dispute", "raise", asked, "--kind", "refusal", "--claim", "履职所需", "--evidence", evidence
    )
    # The request is refused, and its dispute is open: each is told by its own name.
    assert (raised["number"], raised["state"], raised["outcome"]) == (1, "refused", 0)
    status, out, _ = run(
        "share", "dispute", "answer", asked, "1", "--answer", "人手不足", "--key", office.folder / "clerk.key"
    )
    assert (status, "处理中 / open" in out, "已拒绝 / refused" in out) == (0, True, True)
    status, out, _ = run("share", "dispute", "take", asked, "1", "--key", office.folder / "governor.key")
    assert (status, "已受理，处理中 / taken up, open" in out) == (0, True)
    decision = ("--outcome", "upheld", "--order", "reopen", "--decision", "应予答复")
    assert office.do("governor", "dispute", "decide", asked, "1", *decision)["state"] == "waiting"
    found = load_dispute(office.chain.state, bytes.fromhex(asked[2:]), 1)
    assert found is not None
    assert (found.outcome, found.evidence, found.answer) == (UPHELD, sm3(b"letter"), "人手不足")


def test_a_dispute_is_dismissed_or_ended_by_who_raised_it(office: Office) -> None:
    asked = office.request()
    for _ in range(2):
        office.do("consumer", "dispute", "raise", asked, "--kind", "delay", "--claim", "逾期")
    office.do("consumer", "dispute", "end", asked, "1", "--outcome", "settled", "--decision", "已协商")
    office.do("governor", "dispute", "take", asked, "2")
    office.do("governor", "dispute", "decide", asked, "2", "--outcome", "dismissed", "--decision", "未逾期")
    found = load_dispute(office.chain.state, bytes.fromhex(asked[2:]), 2)
    assert found is not None
    assert found.outcome == DISMISSED


def test_data_is_corrected_and_recalled(office: Office) -> None:
    asked = office.request()
    office.do("clerk", "grant", asked, "--to", office.day(20))
    name = bytes.fromhex(asked[2:])
    assert office.do("consumer", "correction", "ask", asked, "--item", "面积", "--claim", "与证书不符")["number"] == 1
    office.do("clerk", "correction", "answer", asked, "1", "--outcome", "corrected", "--answer", "已更正")
    corrected = load_correction(office.chain.state, name, 1)
    assert corrected is not None
    assert (corrected.item, corrected.outcome, corrected.evidence) == ("面积", 1, bytes(32))

    begun = office.do(
        "clerk", "recall", "begin", asked, "--from", office.day(-1), "--reason", "批次有误", "--keep-grant"
    )
    assert (begun["number"], begun["state"]) == (1, "granted")
    assert office.do("clerk", "recall", "begin", asked, "--from", office.day(-1), "--reason", "全部有误")["state"] == (
        "recalled"
    )
    statement = office.folder / "destroyed.txt"
    statement.write_text("已销毁", "utf-8")
    office.do("consumer", "recall", "confirm", asked, "2", "--statement", statement)
    found = load_recall(office.chain.state, name, 2)
    assert found is not None
    assert (found.to_ms, found.statement) == (found.begun_ms, sm3("已销毁".encode()))


def test_identity_numbers_do_not_get_on_the_ledger(office: Office) -> None:
    asked = office.request()
    number = "11010519491231002X"
    for words in (
        ("grant", asked, "--to", office.day(20), "--note", f"仅查 {number}"),
        ("grant", asked, "--to", office.day(20), "--place", number),
        ("return", asked, "--reason", number),
        ("refuse", asked, "--code", "other", "--reason", number),
    ):
        office.refuse("IDENTITY_NUMBER", "clerk", *words)
    office.refuse("IDENTITY_NUMBER", "consumer", "request", "301000/1", *office.wish("--case-type", number))
    office.refuse("IDENTITY_NUMBER", "consumer", "dispute", "raise", asked, "--kind", "delay", "--claim", number)
    office.refuse("IDENTITY_NUMBER", "consumer", "correction", "ask", asked, "--claim", number)
