"""What the gateway bench measures with: its service, its readers, directly and through a gateway."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.data_sharing.conditions import MASK, Conditions, Mask
from sdk.bench.gateway_load import drive
from sdk.bench.gateway_service import make_service
from sdk.gateway.gateway import AccessGateway
from tests.sdk.gateway.conftest import GatewayOffice


def test_readers_get_every_read_answered_with_and_without_a_gateway(
    office: GatewayOffice, serve: Callable[[Any], str], tmp_path: Path
) -> None:
    conditions = Conditions(("权利人", "联系电话"), (Mask("联系电话", MASK, 3, 4),), max_rows_per_read=1)
    office.put_grant(conditions=conditions)
    service = make_service(str(tmp_path / "houses.sqlite"))
    direct = drive(serve(service), 20, 4)
    assert (len(direct.latencies_ms), direct.numbers, direct.lost) == (20, [], 0)
    url = serve(AccessGateway(service, office.parts))
    with office.consumer() as consumer:
        through = drive(url, 20, 4, consumer.renewed_token)
    assert sorted(through.numbers) == list(range(1, 21))
    assert [read.details.columns for read in office.reads()] == [("权利人", "联系电话")] * 20
