"""Stock web3.py with our account against a running network: deploys, transacts, waits, reads, filters, subscribes; async too."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

PROGRAM = Path(__file__).parent / "clients" / "web3_client.py"
ROOT = Path(__file__).parents[2]
LIMIT_S = 90.0


@pytest.fixture(scope="module")
def answers(running_network: Any, sample_registry: Any) -> dict[str, Any]:
    """What the program printed; `asked` is what it was given."""
    asked = sample_registry.questions()
    accounts = {name: running_network.made.account(account) for name, account in ACCOUNTS.items()}
    asked |= {
        "artefact": json.loads((ROOT / "contracts" / "samples" / "Registry.json").read_bytes()),
        "accounts": {name: [str(files.key), str(files.password_file)] for name, files in accounts.items()},
        "newSlot": "0x" + sample_registry.slot(bytes.fromhex(asked["newKey"][2:])).hex(),
    }
    ended = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", PROGRAM],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr[-3_000:]
    return {"asked": asked, **json.loads(ended.stdout)}


ACCOUNTS = {"deployer": "data-bureau-deployer", "clerk": "land-clerk"}


def test_web3_deploys_transacts_waits_and_reads(answers: dict[str, Any], sample_registry: Any) -> None:
    asked, found = answers["asked"], answers["sync"]
    status, address, code = found["deployed"]
    assert (status, code) == (1, sample_registry.runtime_code)
    assert address.lower() != asked["address"], "a contract of its own"
    status, key, holder = found["registered"]
    assert (status, key, holder.lower()) == (1, asked["newKey"], asked["holder"])
    assert found["sender"][0] == found["sender"][1] == holder
    assert found["view"][:2] == [asked["newDigest"], holder]
    assert found["viewBefore"][0] == "0x" + "00" * 32
    assert found["revert"] == "execution reverted: TAKEN: 该键已登记 / the key is registered already"
    assert 21_000 < found["estimate"] < 200_000
    assert found["storage"] == asked["newDigest"]
    assert found["block"][0]
    assert found["name"] in found["block"][1]
    assert found["byHash"]
    assert found["tags"][0] == 0
    assert min(found["tags"][1:]) > asked["refused"]["height"]
    assert found["transaction"].endswith(asked["newKey"][2:] + asked["newDigest"][2:])
    assert found["numbers"] == [sample_registry.chain_id, 0, 0, 0]
    assert found["nonces"] > 1
    assert set(found["feeHistory"]) == {0}
    assert found["state"][0]
    assert found["state"][1].startswith("govnode/")
    assert found["state"][2:] == [False, str(sample_registry.chain_id)]
    assert found["signedElsewhere"] == asked["hash"]


def test_web3_filters_logs(answers: dict[str, Any]) -> None:
    asked, found = answers["asked"], answers["sync"]
    assert found["newEntries"] == [asked["newKey"]]
    assert found["logs"] == [asked["newDigest"]]


def test_asynchronous_web3_transacts_reads_and_subscribes(answers: dict[str, Any]) -> None:
    found = answers["async"]
    assert found["status"] == 1
    assert found["view"] == "0x" + bytes.fromhex(answers["asked"]["newKey"][2:])[::-1].hex()
    assert found["heard"] == [True, True]
