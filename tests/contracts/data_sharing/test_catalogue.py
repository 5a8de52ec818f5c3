"""The catalogue: publishing, versions and their approval by the class of data, withdrawing, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import registry
from contracts.data_sharing import catalogue
from contracts.data_sharing.directories import Duty
from contracts.data_sharing.resources import ResourceItem, classification, description_digest


def publish(bench: Any, replaces: int = 0, /, **changes: Any) -> tuple[bool, list[str]]:
    """Publish and return whether it is in force, and the names of the events."""
    result = bench.accept(
        bench.publisher, "catalogue", "publish", resource=bench.resource_description(**changes), replaces=replaces
    )
    return result.output[-1] == 1, [registry.decode_log(log).event for log in result.logs]


def refuse(code: str, bench: Any, replaces: int = 0, /, **changes: Any) -> None:
    described = bench.resource_description(**changes)
    bench.refuse(code, bench.publisher, "catalogue", "publish", resource=described, replaces=replaces)


def approve(bench: Any, account: Any, described: Any) -> bool:
    result = bench.accept(account, "catalogue", "approve", code=described.code, digest=description_digest(described))
    return bool(result.output[-1])


def test_a_department_publishes_a_resource(bench: Any) -> None:
    described = bench.resource_description()
    result = bench.accept(bench.publisher, "catalogue", "publish", resource=described, replaces=0)
    found = bench.view("catalogue", "resource", code=described.code)
    assert (found.provider, found.version, found.published_ms) == (bench.land_bureau, 1, bench.time_ms)
    assert found.publisher == bench.publisher.address
    assert found.description == described
    assert [(item.name, item.type) for item in found.items] == [("产权人", "C"), ("面积", "N")]
    log = registry.decode_log(result.logs[0])
    assert (log.event, log.fields["provider"], log.fields["version"]) == ("ResourcePublished", bench.land_bureau, 1)
    assert catalogue.load_resource(bench.state, described.code) == found
    assert catalogue.RESOURCES.decode(bench.state[catalogue.resource_key(described.code)]) == found


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "307"}, "RESOURCE_CODE_MALFORMED"),
        ({"code": "307013301-000001"}, "RESOURCE_CODE_MALFORMED"),
        ({"name": ""}, "TEXT_EMPTY"),
        ({"summary": "长" * 1_001}, "TEXT_TOO_LONG"),
        ({"items": ()}, "LIST_EMPTY"),
        ({"items": (ResourceItem("面积", "N"), ResourceItem("面积", "C"))}, "LIST_REPEATS"),
        ({"items": tuple(ResourceItem(f"项{n}", "C") for n in range(257))}, "LIST_TOO_LONG"),
        ({"items": (ResourceItem("面积", "number"),)}, "VALUE_UNKNOWN"),
        ({"items": (ResourceItem("", "N"),)}, "TEXT_EMPTY"),
        ({"sharing_type": 4}, "VALUE_UNKNOWN"),
        ({"sharing_type": 3, "sharing_basis": ""}, "BASIS_MISSING"),
        ({"sharing_type": 2, "sharing_basis": ""}, "BASIS_MISSING"),
        ({"update_cycle": 0}, "VALUE_UNKNOWN"),
        ({"data_class": 9}, "VALUE_UNKNOWN"),
        ({"level": "galactic"}, "VALUE_UNKNOWN"),
        ({"library": "base-nothing"}, "VALUE_UNKNOWN"),
        ({"categories": ("一", "二", "三", "四", "五")}, "LIST_TOO_LONG"),
        ({"is_secret": True}, "SECRET_SHARED"),
        ({"is_open": True, "data_class": 1}, "CORE_OPENED"),
        ({"source_level": "province"}, "TEXT_EMPTY"),
        ({"source_level": "county", "source_body": "甲"}, "VALUE_UNKNOWN"),
        ({"source_body": "省公安厅"}, "SOURCE_WITHOUT_LEVEL"),
        ({"related": ("307",)}, "RESOURCE_CODE_MALFORMED"),
        ({"related": ("307013301/000001",)}, "LIST_REPEATS"),
        ({"duties": ("D1",)}, "DUTY_UNKNOWN"),
        ({"systems": ("S1",)}, "SYSTEM_UNKNOWN"),
    ],
)
def test_faulty_resources_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    refuse(code, bench, **changes)


def test_unconditional_sharing_needs_no_basis_and_secret_data_only_has_its_entry(bench: Any) -> None:
    bench.publish(sharing_type=1, sharing_basis="")
    bench.publish(code="307013301/2", sharing_type=3, sharing_basis="保密法", is_secret=True)


def test_returned_data_says_whose_it_is(bench: Any) -> None:
    code = bench.publish(source_level="national", source_body="自然资源部", source_code="A-17", level="national")
    described = bench.view("catalogue", "resource", code=code).description
    assert (described.source_level, described.source_body) == ("national", "自然资源部")


def test_the_digits_of_a_code_are_its_classification() -> None:
    assert classification("307013301/000001") == ("3", "07", "013", "301")
    assert classification("307013/1") == ("3", "07", "013", "")


def test_only_publishers_publish_and_a_code_is_its_departments(bench: Any) -> None:
    described = bench.resource_description()
    bench.refuse("ROLE_MISSING", bench.issuer, "catalogue", "publish", resource=described, replaces=0)
    bench.publish()
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    bench.refuse("OTHER_DEPARTMENT", bench.other_issuer, "catalogue", "publish", resource=described, replaces=0)


def test_a_change_is_the_next_version_and_the_last_one_stays(bench: Any) -> None:
    code = bench.publish()
    first = bench.view("catalogue", "resource", code=code)
    assert publish(bench, 0) == (True, []), "what is in force just so changes nothing"
    refuse("RESOURCE_EXISTS", bench, 0, summary="增加坐落")
    refuse("VERSION_CHANGED", bench, 2, summary="增加坐落")
    assert publish(bench, 1, summary="增加坐落") == (True, ["ResourcePublished"])
    second = bench.view("catalogue", "resource", code=code)
    assert (second.version, second.description.summary) == (2, "增加坐落")
    assert bench.view("catalogue", "resource_version", code=code, version=1) == first
    assert bench.view("catalogue", "resource_version", code=code, version=2) == second
    assert catalogue.load_version(bench.state, code, 3) is None
    # A publisher who has seen version 1 does not undo what another has changed since.
    refuse("VERSION_CHANGED", bench, 1, summary="又一改动")


def test_important_data_needs_the_departments_approver(bench: Any) -> None:
    described = bench.resource_description(data_class=2)
    assert publish(bench, data_class=2) == (False, ["ResourceProposed"])
    assert publish(bench, data_class=2) == (False, []), "it waits already"
    assert catalogue.load_resource(bench.state, described.code) is None
    digest = description_digest(described)
    asked = {"code": described.code, "digest": digest}
    bench.refuse("OTHER_DEPARTMENT", bench.other_approver, "catalogue", "approve", **asked)
    bench.refuse("APPROVAL_NOT_NEEDED", bench.governor, "catalogue", "approve", **asked)
    bench.refuse("PROPOSAL_CHANGED", bench.approver, "catalogue", "approve", **asked | {"digest": bytes(32)})
    bench.refuse("ROLE_MISSING", bench.publisher, "catalogue", "approve", **asked)
    assert approve(bench, bench.approver, described)
    found = bench.view("catalogue", "resource", code=described.code)
    assert [(one.role, one.account) for one in found.approvals] == [("approver", bench.approver.address)]
    assert found.publisher == bench.publisher.address
    bench.refuse("PROPOSAL_UNKNOWN", bench.approver, "catalogue", "approve", **asked)


def test_who_proposes_does_not_approve_whatever_roles_it_has(bench: Any) -> None:
    both = bench.publisher
    bench.accept(bench.governor, "members", "set_roles", account=both.address, roles=["publisher", "approver"])
    described = bench.resource_description(data_class=2)
    bench.accept(both, "catalogue", "publish", resource=described, replaces=0)
    asked = {"code": described.code, "digest": description_digest(described)}
    bench.refuse("SECOND_ACCOUNT_NEEDED", both, "catalogue", "approve", **asked)


def test_who_approved_for_one_role_does_not_approve_for_the_other(bench: Any) -> None:
    described = bench.resource_description(data_class=1)
    bench.accept(bench.publisher, "catalogue", "publish", resource=described, replaces=0)
    asked = {"code": described.code, "digest": description_digest(described)}
    bench.accept(bench.approver, "catalogue", "approve", **asked)
    bench.accept(bench.governor, "members", "set_roles", account=bench.approver.address, roles=["governor"])
    bench.refuse("SECOND_ACCOUNT_NEEDED", bench.approver, "catalogue", "approve", **asked)
    bench.accept(bench.governor, "catalogue", "approve", **asked)


@pytest.mark.parametrize("is_governor_first", [False, True])
def test_core_data_needs_an_approver_and_a_governor(bench: Any, *, is_governor_first: bool) -> None:
    described = bench.resource_description(data_class=1)
    publish(bench, data_class=1)
    order = [bench.approver, bench.governor]
    first, second = reversed(order) if is_governor_first else order
    assert not approve(bench, first, described)
    bench.refuse(
        "APPROVAL_NOT_NEEDED",
        first,
        "catalogue",
        "approve",
        code=described.code,
        digest=description_digest(described),
    )
    assert approve(bench, second, described)
    assert len(bench.view("catalogue", "resource", code=described.code).approvals) == 2


def test_data_does_not_leave_its_class_without_the_approvals_of_it(bench: Any) -> None:
    described = bench.resource_description(data_class=2)
    publish(bench, data_class=2)
    approve(bench, bench.approver, described)
    assert publish(bench, 1, data_class=3) == (False, ["ResourceProposed"])
    assert bench.view("catalogue", "resource", code=described.code).description.data_class == 2
    assert approve(bench, bench.approver, bench.resource_description(data_class=3))
    assert publish(bench, 2, data_class=3, summary="此后无须审批")[0]


def test_a_newer_proposal_takes_the_place_of_one_that_waits(bench: Any) -> None:
    old, new = (bench.resource_description(data_class=2, summary=text) for text in ("旧", "新"))
    publish(bench, data_class=2, summary="旧")
    publish(bench, data_class=2, summary="新")
    bench.refuse(
        "PROPOSAL_CHANGED", bench.approver, "catalogue", "approve", code=old.code, digest=description_digest(old)
    )
    assert approve(bench, bench.approver, new)


@pytest.mark.parametrize("who", ["publisher", "approver", "governor"])
def test_a_waiting_version_is_turned_down_or_taken_back(bench: Any, who: str) -> None:
    described = bench.resource_description(data_class=1)
    publish(bench, data_class=1)
    said = {"code": described.code, "digest": description_digest(described), "reason": "分级不当"}
    bench.refuse("OTHER_DEPARTMENT", bench.other_approver, "catalogue", "reject", **said)
    bench.accept(getattr(bench, who), "catalogue", "reject", **said)
    bench.refuse("PROPOSAL_UNKNOWN", bench.approver, "catalogue", "approve", **{k: said[k] for k in ("code", "digest")})
    assert catalogue.load_proposal(bench.state, described.code) is None


def test_many_are_published_and_approved_at_once_or_not_at_all(bench: Any) -> None:
    described = [bench.resource_description(code=f"307013301/{n}", data_class=2) for n in range(1, 4)]
    call = {"resources": described, "replaces": [0, 0, 0]}
    bench.refuse("LENGTHS_DIFFER", bench.publisher, "catalogue", "publish_many", **call | {"replaces": [0]})
    twice = {"resources": [described[0]] * 2, "replaces": [0, 0]}
    bench.refuse("LIST_REPEATS", bench.publisher, "catalogue", "publish_many", **twice)
    bench.refuse("LIST_EMPTY", bench.publisher, "catalogue", "publish_many", resources=[], replaces=[])
    bench.refuse("VERSION_CHANGED", bench.publisher, "catalogue", "publish_many", **call | {"replaces": [0, 0, 1]})
    bench.accept(bench.publisher, "catalogue", "publish_many", **call)
    codes, digests = [one.code for one in described], [description_digest(one) for one in described]
    wrong = {"codes": codes, "digests": [*digests[:2], bytes(32)]}
    bench.refuse("PROPOSAL_CHANGED", bench.approver, "catalogue", "approve_many", **wrong)
    bench.accept(bench.approver, "catalogue", "approve_many", codes=codes, digests=digests)
    assert [bench.view("catalogue", "resource", code=code).description for code in codes] == described


def test_a_resource_is_withdrawn_once_by_its_provider(bench: Any) -> None:
    code = bench.publish()
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    withdrawal = {"code": code, "reason": "目录调整"}
    bench.refuse("OTHER_DEPARTMENT", bench.other_issuer, "catalogue", "withdraw", **withdrawal)
    publish(bench, 1, data_class=2)
    bench.accept(bench.publisher, "catalogue", "withdraw", **withdrawal)
    found = bench.view("catalogue", "resource", code=code)
    assert (found.withdrawn_ms, found.withdrawn_reason) == (bench.time_ms, "目录调整")
    assert catalogue.load_proposal(bench.state, code) is None
    bench.refuse("RESOURCE_WITHDRAWN", bench.publisher, "catalogue", "withdraw", **withdrawal)
    bench.refuse("RESOURCE_WITHDRAWN", bench.requester, "sharing", "request", **bench.request_arguments())
    refuse("RESOURCE_WITHDRAWN", bench, 1, summary="改")
    bench.refuse("RESOURCE_UNKNOWN", bench.publisher, "catalogue", "withdraw", **withdrawal | {"code": "307013301/9"})


def test_a_governor_turns_down_what_is_proposed_under_the_code_of_another_department(bench: Any) -> None:
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    taken = bench.resource_description(data_class=2)
    bench.accept(bench.other_issuer, "catalogue", "publish", resource=taken, replaces=0)
    bench.refuse("OTHER_DEPARTMENT", bench.publisher, "catalogue", "publish", resource=taken, replaces=0)
    said = {"code": taken.code, "digest": description_digest(taken), "reason": "占用其他部门的代码"}
    bench.refuse("OTHER_DEPARTMENT", bench.publisher, "catalogue", "reject", **said)
    bench.accept(bench.governor, "catalogue", "reject", **said)
    bench.publish()


def test_what_names_a_duty_that_ended_while_it_waited_is_not_put_in_force(bench: Any) -> None:
    duty = Duty("D1", "不动产登记", "不动产登记暂行条例")
    bench.accept(bench.publisher, "directories", "enter_duties", duties=[duty])
    described = bench.resource_description(data_class=2, duties=("D1",))
    bench.accept(bench.publisher, "catalogue", "publish", resource=described, replaces=0)
    bench.accept(bench.publisher, "directories", "end_duty", code="D1", reason="职责划转")
    said = {"code": described.code, "digest": description_digest(described)}
    bench.refuse("ENTRY_ENDED", bench.approver, "catalogue", "approve", **said)
