"""A governor names a candidate and takes it back, from the command line; who may not is refused by name."""

from typing import Any

import pytest

from sm_crypto.sm2 import PrivateKey

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"


def names(network: Any, kind: str) -> list[str]:
    found = network.run("validator", "list", "--url", network.url(1))
    return sorted(member["name"] for member in found[kind])


def test_a_candidate_is_named_shown_and_withdrawn_and_votes_meanwhile_by_nobody_elses_word(network: Any) -> None:
    governor = network.account_options("data-bureau-governor")
    key = PrivateKey.generate().public_key.hex()
    arguments = ["--department", LAND, "--public-key", key]
    added = network.run("validator", "add", "absent1", *arguments, *governor)
    network.wait_until_level(added["height"])
    assert names(network, "candidates") == ["absent1"]
    assert names(network, "validators") == network.names, "a candidate whose node is not there does not join"
    again = network.run("validator", "add", "absent1", *arguments, *governor, status=1)
    assert again["error"]["code"] == "VALIDATOR_EXISTS"
    gone = network.run("validator", "withdraw", "absent1", "--reason", "设备未到", *governor)
    network.wait_until_level(gone["height"])
    assert names(network, "candidates") == []


def test_wrong_commands_about_validators_are_refused_by_name_and_change_nothing(network: Any) -> None:
    governor = network.account_options("data-bureau-governor")
    key = PrivateKey.generate().public_key.hex()
    cases: dict[str, list[str]] = {
        "ROLE_MISSING": ["add", "n", "--department", LAND, "--public-key", key, *network.account_options("land-clerk")],
        "DEPARTMENT_UNKNOWN": ["add", "n", "--department", "0" * 18, "--public-key", key, *governor],
        "HEX_INVALID": ["add", "n", "--department", LAND, "--public-key", key[2:], *governor],
        "KEY_INVALID": ["add", "n", "--department", LAND, "--public-key", "00" * 64, *governor],
        "VALIDATOR_UNKNOWN": ["remove", "node9", "--reason", "x", *governor],
        "TOO_FEW_VALIDATORS": ["remove", "node4", "--reason", "x", *governor],
    }
    found = {code: network.run("validator", *arguments, status=1)["error"]["code"] for code, arguments in cases.items()}
    assert found == {code: code for code in cases}
    assert names(network, "validators") == network.names
    assert names(network, "candidates") == []
