"""What the demonstration does with a batch, on a running network; and that what it tells people to type says what it showed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sdk.certificates import load_types, register_types
from sdk.cli.main import main
from sdk.demo_batch import BATCH_ROWS, BatchDemonstration
from sdk.demo_fetch import RESOURCE, FetchDemonstration, IssuerService
from sdk.demo_stage import PROVIDER, Stage
from sdk.system_contracts.sharing import Sharing

pytestmark = pytest.mark.e2e

SAMPLES = Path(__file__).parents[2] / "samples"
TYPE_CODE = "11100000MB03271699001"


def test_demonstration_issues_shows_suspends_and_prints_and_its_commands_agree(
    own_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = own_network
    with network.client("data-bureau-governor") as governor:
        for outcome in register_types(governor, load_types(SAMPLES / "certificate-types.csv")):
            assert outcome.error is None
    told: list[tuple[str, str]] = []
    left: list[Path] = []

    def tell(zh: str, en: str, files: Any) -> None:
        told.append((zh, en))
        left.extend(files)

    stage = Stage(network.made, tell)
    stage.out.mkdir()
    batch = BatchDemonstration(stage, TYPE_CODE)
    batch.issue()
    held, neighbour = batch.keep()
    shown = batch.present(held)
    batch.suspend(neighbour)
    with IssuerService(batch) as service:
        batch.list_statuses(held, neighbour)
        batch.print_codes(held, shown)
        FetchDemonstration(batch, held, service.url()).run()
        with network.client(index=stage.node_of(PROVIDER)) as client:
            (asked,) = client.get("/requests", resource=RESOURCE.code)["items"]
            deadline = time.monotonic() + 60
            while not Sharing(client).data_request(bytes.fromhex(asked["id"].removeprefix("0x"))).supplied_ms:
                assert time.monotonic() < deadline, "the service did not say that supply began"
                time.sleep(0.05)

    with network.client(index=1) as client:
        items = client.get("/batches", type_code=TYPE_CODE)["items"]
    assert BATCH_ROWS in [int(one["count"]) for one in items]
    codes = ("[IN_FORCE]", "[FIELD_CHANGED]", "[SUSPENDED]", "[AUTHORISATION_WITHDRAWN]")
    assert all(any(code in en and code in zh for zh, en in told) for code in codes)
    assert {path.suffix for path in left} >= {".csv", ".govbatch", ".json", ".png", ".jpg", ".pdf"}
    assert all(path.stat().st_size for path in left)

    expected = {"look at the batch": 0, "verify what was shown, offline": 0, "verify with the status list": 1}
    expected |= {"verify the photo": 0, "take another document out": 0}
    expected |= {"verify the copy, offline": 0, "as its holder, see who had it": 0}
    assert {trial.en for trial in stage.trials} == set(expected)
    monkeypatch.chdir(network.made.folder)
    for trial in stage.trials:
        with pytest.raises(SystemExit) as ended:
            main(list(trial.arguments))
        assert ended.value.code == expected[trial.en], trial
