"""What the demonstration shows of data sharing, on a running network; and that what it tells people to type says what it showed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdk.cli.main import main
from sdk.demo_data_service import OWNERS
from sdk.demo_network import make_network, wait_until_height, wait_until_ready
from sdk.demo_reads import COLUMNS, RESOURCE, ReadsDemonstration
from sdk.demo_stage import Stage
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor
from tests.ports import free_ports

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[NetworkFolder]:
    """A network of its own, as the demonstration has one: a trace is complete only where every stream is looked after."""
    text = (ROOT / "network.toml").read_text("utf-8")
    old = [f":{first + number}" for first in (8_551, 26_651) for number in range(4)]
    for port, free in zip(old, free_ports(len(old)), strict=True):
        text = text.replace(f'{port}"', f':{free}"')
    description = tmp_path / "network.toml"
    description.write_text(text, "utf-8")
    made = make_network(description, tmp_path / "network")
    environment = {name: value for name, value in os.environ.items() if name != "GOVNODE_PASSWORD_FILE"}
    with Supervisor(made.folder, [node.name for node in made.nodes], environment) as supervisor:
        wait_until_ready(made, supervisor)
        yield made


def test_demonstration_reads_through_a_gateway_and_finds_every_read(
    network: NetworkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    left: list[Path] = []

    def tell(zh: str, en: str, files: Any) -> None:
        told.append((zh, en))
        left.extend(files)

    stage = Stage(network, tell)
    stage.out.mkdir()
    with ReadsDemonstration(stage) as reads:
        reads.share()
        reads.audit()
        with stage.client(None) as client:
            height = client.status()["height"]
        for index in range(len(network.nodes)):
            with stage.client(None, index) as client:
                wait_until_height(client, height, 15)
        expected = {"see the clocks of the request": 0, "check the reader's store": 0}
        expected |= {"verify the trace, offline": 0, "see auditors' queries": 0}
        assert {trial.en for trial in stage.trials} == set(expected)
        monkeypatch.chdir(network.folder)
        for trial in stage.trials:
            with pytest.raises(SystemExit) as ended:
                main(list(trial.arguments))
            assert ended.value.code == expected[trial.en], trial

    for code in ("[CASE_TYPE_OUTSIDE]", "[GRANT_NOT_IN_FORCE]"):
        assert any(code in en and code in zh for zh, en in told), code
    assert any("sound and complete" in en for _, en in told)
    answer = next(path for path in left if path.suffix == ".json").read_text("utf-8")
    (row,) = json.loads(answer)["rows"]
    assert tuple(row) == COLUMNS
    for person in OWNERS.values():
        assert person["权利人"] not in answer
        assert person["联系电话"] not in answer

    # A visitor of the pages sees the resource, its requests, both streams and the auditor's query.
    for page_path, word in (
        ("/catalogue", RESOURCE.name),
        ("/requests", RESOURCE.code),
        ("/access", network.account("land-clerk").department),
        ("/access", network.account("housing-clerk").department),
    ):
        page = httpx.get(network.nodes[0].url + page_path, trust_env=False)
        assert page.status_code == 200
        assert word in page.text, page_path
    # Whose data it is stands on no node's disk.
    secrets = [text.encode() for number, person in OWNERS.items() for text in (number, person["联系电话"])]
    for node in network.nodes:
        for path in (network.folder / node.name / "data").rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not any(one in content for one in secrets), path
