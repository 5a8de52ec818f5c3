"""The catalogue: publishing and withdrawing resources, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import registry
from contracts.data_sharing import catalogue


def test_a_department_publishes_a_resource(bench: Any) -> None:
    arguments = bench.resource_arguments()
    result = bench.accept(bench.publisher, "catalogue", "publish", **arguments)
    found = bench.view("catalogue", "resource", code=arguments["code"])
    assert (found.provider, found.version, found.published_ms) == (bench.land_bureau, 1, bench.time_ms)
    assert [(item.name, item.type) for item in found.items] == [("产权人", "C"), ("面积", "N")]
    log = registry.decode_log(result.logs[0])
    assert (log.event, log.fields["provider"]) == ("ResourcePublished", bench.land_bureau)
    assert catalogue.load_resource(bench.state, arguments["code"]) == found
    assert catalogue.RESOURCES.decode(bench.state[catalogue.resource_key(arguments["code"])]) == found


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "307"}, "RESOURCE_CODE_MALFORMED"),
        ({"code": "307013301-000001"}, "RESOURCE_CODE_MALFORMED"),
        ({"name": ""}, "TEXT_EMPTY"),
        ({"summary": "长" * 1_001}, "TEXT_TOO_LONG"),
        ({"items": []}, "LIST_EMPTY"),
        ({"items": [["面积", "N"], ["面积", "C"]]}, "LIST_REPEATS"),
        ({"items": [[f"项{n}", "C"] for n in range(257)]}, "LIST_TOO_LONG"),
        ({"items": [["面积", "number"]]}, "VALUE_UNKNOWN"),
        ({"items": [["", "N"]]}, "TEXT_EMPTY"),
        ({"sharing_type": 4}, "VALUE_UNKNOWN"),
        ({"sharing_type": 3, "sharing_basis": ""}, "BASIS_MISSING"),
        ({"sharing_type": 2, "sharing_basis": ""}, "BASIS_MISSING"),
        ({"update_cycle": 0}, "VALUE_UNKNOWN"),
        ({"data_class": 9}, "VALUE_UNKNOWN"),
    ],
)
def test_faulty_resources_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    bench.refuse(code, bench.publisher, "catalogue", "publish", **bench.resource_arguments(**changes))


def test_unconditional_sharing_needs_no_basis(bench: Any) -> None:
    bench.publish(sharing_type=1, sharing_basis="")


def test_only_publishers_publish_and_a_code_is_taken_once(bench: Any) -> None:
    bench.refuse("ROLE_MISSING", bench.issuer, "catalogue", "publish", **bench.resource_arguments())
    bench.publish()
    bench.refuse("RESOURCE_EXISTS", bench.publisher, "catalogue", "publish", **bench.resource_arguments())


def test_a_resource_is_withdrawn_once_by_its_provider(bench: Any) -> None:
    code = bench.publish()
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    withdrawal = {"code": code, "reason": "目录调整"}
    bench.refuse("OTHER_DEPARTMENT", bench.other_issuer, "catalogue", "withdraw", **withdrawal)
    bench.accept(bench.publisher, "catalogue", "withdraw", **withdrawal)
    assert bench.view("catalogue", "resource", code=code).withdrawn_ms == bench.time_ms
    bench.refuse("RESOURCE_WITHDRAWN", bench.publisher, "catalogue", "withdraw", **withdrawal)
    bench.refuse("RESOURCE_WITHDRAWN", bench.requester, "sharing", "request", **bench.request_arguments())
    bench.refuse("RESOURCE_UNKNOWN", bench.publisher, "catalogue", "withdraw", **withdrawal | {"code": "307013301/9"})
