"""REST as its OpenAPI document promises it: generated requests meet no fault of the node's, and every answer has the described form."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.accounts import AUDITOR
from contracts.data_sharing.sharing import REQUESTS
from explorer.app import make_rest
from explorer.auth import Caller
from explorer.services import Services
from explorer.settings import ExplorerSettings
from node.chain.transaction import address_of
from sm_crypto.sm3 import sm3

EXAMPLES = 6
"""Of each operation, three in four with places that the world has."""

SIGNED = (
    "/audits/queries",
    "/audits/findings",
    "/sealed-bodies",
    "/proofs/state/",
    "/status-lists/",
    "/deposits",
    "/overdue",
    "/due",
)


@pytest.fixture(scope="module")
def world(make_world: Callable[[], Any], fill: Callable[[Any], None]) -> Any:
    world = make_world()
    fill(world)
    now_ms = world.ledger.head_time_ms
    said = {"statement": sm3(b"s"), "purpose": sm3(b"p"), "code": bytes(32), "recipient": world.housing}
    period = {"from_ms": now_ms, "to_ms": now_ms + 86_400_000, "max_fetches": 1}
    made = world.call("land", "authorisations", "authorise", authorisation=sm3(b"authorisation"), **said, **period)
    assert made[1] is None
    return world


@pytest.fixture(scope="module")
def schema(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generator of requests to the REST side, in process."""
    with warnings.catch_warnings():
        # What it imports warns of itself.
        warnings.simplefilter("ignore")
        import schemathesis

        path = tmp_path_factory.mktemp("contract") / "index.sqlite"
        rest = make_rest(world.view, ExplorerSettings(path), 0)
        rest.services.start()
        deposits = rest.services.deposits
        world.deposits = [
            asyncio.run(deposits.keep(world.land, b"sealed", time.time_ns() // 1_000_000 + 3_600_000)).id
            for _ in range(2)
        ]
        yield schemathesis.openapi.from_asgi("/openapi.json", rest.app)
        rest.services.stop()


def places(world: Any) -> dict[str, list[str]]:
    """Return, for parameters of paths, what the world has."""
    land = "0x" + address_of(world.keys["land"].public_key).hex()
    housing = address_of(world.keys["housing"].public_key).hex()
    heights = [str(height) for height in range(1, world.ledger.height + 1)]
    return {
        "height": ["latest", *heights],
        "transaction_id": [world.grant.hex()],
        "request_id": ["0x" + world.grant.hex()],
        "identifier": [world.certificate, world.revoked],
        "code": [world.land, world.bureau],
        "department": [world.housing, world.land],
        "recorder": [housing, land],
        "key": [REQUESTS.key(world.grant).hex()],
        "number": [1],
        "authorisation": [sm3(b"authorisation").hex()],
        "deposit_id": world.deposits,
        "scope": [world.certificate.removeprefix("1.2.156.3005.2.").rsplit(".", 3)[0]],
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed by an auditor"])
def test_every_operation_answers_as_the_document_says(
    world: Any, schema: Any, monkeypatch: pytest.MonkeyPatch, *, is_signed: bool
) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    conformance = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    if is_signed:
        # How signatures are checked is tested elsewhere; here the answers behind them are.
        address = address_of(world.keys["auditor"].public_key)
        caller = Caller(address, world.bureau, frozenset({AUDITOR}))
        monkeypatch.setattr(Services, "identify", lambda self, request, body=b"": caller)
    known = places(world)
    answered: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        if is_signed and not any(part in operation.path for part in SIGNED):
            continue

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(), data=st.data())
        def check(case: Any, data: st.DataObject) -> None:
            if case.path_parameters and data.draw(st.integers(0, 3)):
                drawn = {
                    name: data.draw(st.sampled_from(known[name])) for name in case.path_parameters if name in known
                }
                case.path_parameters.update(drawn)
            answer = case.call()
            answered[answer.status_code] += 1
            case.validate_response(answer, checks=conformance)

        check()
    assert answered[200] > (0 if is_signed else 50)
