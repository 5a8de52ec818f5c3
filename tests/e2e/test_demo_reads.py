"""What the demonstration shows of data sharing, on a running network; and that what it tells people to type says what it showed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdk.cli.main import main
from sdk.demo_data_service import OWNERS
from sdk.demo_exchange import ExchangeDemonstration
from sdk.demo_network import wait_until_height
from sdk.demo_open_data import RESOURCE as OPEN_RESOURCE
from sdk.demo_open_data import OpenDataDemonstration
from sdk.demo_reads import COLUMNS, READS, RESOURCE, ReadsDemonstration
from sdk.demo_stage import CATCH_UP_TIMEOUT_S, Stage
from sdk.network import NetworkFolder
from tests.disk import files_holding

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def traced_without_copies(stage: Stage, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Trace what the services alone answer for: the gateway for its reads, `access keep --port` for the reader's."""
    capsys.readouterr()
    (tracing,) = (trial for trial in stage.trials if trial.en == "trace all reads of today")
    places = tracing.arguments.index("--archive")
    with pytest.raises(SystemExit) as ended:
        main([*tracing.arguments[:places], *tracing.arguments[places + 6 :], "--json"])
    assert ended.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def check_pages(network: NetworkFolder, grant: str, renewal: str) -> None:
    """Return if a visitor of the pages sees the resources, the requests, one leading to its renewal and back, and both streams."""
    for page_path, word in (
        ("/catalogue", RESOURCE.name),
        ("/requests", RESOURCE.code),
        (f"/requests/{renewal}", f"/requests/{grant}"),
        (f"/requests/{grant}", f"/requests/{renewal}"),
        ("/catalogue/open-data", OPEN_RESOURCE.name),
        ("/access", network.account("land-clerk").department),
        ("/access", network.account("housing-clerk").department),
    ):
        page = httpx.get(network.nodes[0].url + page_path, trust_env=False, verify=False, timeout=60)
        assert page.status_code == 200
        assert word in page.text, page_path


def test_demonstration_reads_through_a_gateway_and_finds_every_read(
    own_network: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network: NetworkFolder = own_network.made
    told: list[tuple[str, str]] = []
    left: list[Path] = []

    def tell(zh: str, en: str, files: Any) -> None:
        told.append((zh, en))
        left.extend(files)

    stage = Stage(network, tell)
    stage.out.mkdir()
    with ReadsDemonstration(stage) as reads:
        reads.share()
        ExchangeDemonstration(stage).run()
        OpenDataDemonstration(stage, reads.data_service).run()
        reads.audit()
        reads.leave_grant()
        with stage.client(None) as client:
            height = client.status()["height"]
        for index in range(len(network.nodes)):
            with stage.client(None, index) as client:
                wait_until_height(client, height, CATCH_UP_TIMEOUT_S)
        expected = {"see the clocks of the request": 0, "check the reader's store": 0}
        expected |= {"verify the trace, offline": 0, "see auditors' queries": 0}
        expected |= {"verify the delivery, offline": 0, "see every delivery and its answer": 0}
        expected |= {"see the request and its cases": 0, "read through the gateway": 0}
        expected |= {"see the renewal": 0, "see the open dataset": 0}
        expected |= {"see the published figures of the rules": 0, "verify the trace that lacks a read": 1}
        expected["see what the provider has to do, and by when"] = 0
        # Every read is there, and what follows is not due yet.
        expected["trace all reads of today"] = 0
        assert {trial.en for trial in stage.trials} == set(expected)
        monkeypatch.chdir(network.folder)
        typed = {trial.en: trial.arguments for trial in stage.trials}
        printed: dict[str, str] = {}
        for name, arguments in typed.items():
            with pytest.raises(SystemExit) as ended:
                main(list(arguments))
            assert ended.value.code == expected[name], arguments
            printed[name] = capsys.readouterr().out
        reading, renewal = typed["read through the gateway"], typed["see the renewal"][2]
        grant = reading[reading.index("--grant") + 1]
        assert grant in printed["see the renewal"], "it says what it renews"
        found = traced_without_copies(stage, capsys)
        assert (found["withheld"], found["reads"] >= 2 * READS) == ([], True), found

    for code in ("[CASE_TYPE_OUTSIDE]", "[GRANT_NOT_IN_FORCE]", "[READ_REMOVED]"):
        assert any(code in en and code in zh for zh, en in told), code
    assert any("sound and complete" in en for _, en in told)
    assert any("all was done in time" in en for _, en in told)
    answer = next(path for path in left if path.suffix == ".json").read_text("utf-8")
    assert (network.folder / "output" / "my-answer.json").read_text("utf-8") == answer
    (row,) = json.loads(answer)["rows"]
    assert tuple(row) == COLUMNS
    for person in OWNERS.values():
        assert person["权利人"] not in answer
        assert person["联系电话"] not in answer

    check_pages(network, grant, renewal)
    # Whose data it is stands on no node's disk.
    secrets = [text.encode() for number, person in OWNERS.items() for text in (number, person["联系电话"])]
    for node in network.nodes:
        assert files_holding(network.folder / node.name / "data", *secrets) == []
