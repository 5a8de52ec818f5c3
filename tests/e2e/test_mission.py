"""The mission, as a department, a verifier and an auditor do it: through the command line on a running network."""

import csv
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.certificate_records import certificate_key
from sdk.proofs import export_proof, verify_proof_file
from sdk.request_signing import signed_headers
from sdk.system_contracts.certificates import Certificates
from tests.disk import files_holding

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
LAND = "11990100MB0000002X"
CASE = "CASE-2026-0001"


@pytest.fixture(scope="module")
def certificate(running_network: Any) -> dict[str, Any]:
    """A certificate with a real file, issued through the command line; the proof from then; and its later revocation."""
    network = running_network
    with (SAMPLES / "certificates.csv").open(encoding="utf-8-sig", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["document"] and row["issuer_code"] == LAND)
    document = SAMPLES / row["document"]
    issued = network.run(
        *("cert", "issue", row["identifier"], "--document", str(document), "--valid-from", row["valid_from"]),
        *("--holder-code-type", row["holder_code_type"], "--holder-code", row["holder_code"]),
        *("--holder-name", row["holder_name"]),
        *("--holder-secret", str(network.made.account("land-clerk").holder_secret)),
        *network.account_options("land-clerk", 1),
    )
    assert issued["done"] == 1
    network.wait_until_level(issued["results"][0]["height"])
    before = network.made.folder / "before.json"
    network.run("proof", "export", row["identifier"], "--out", str(before), "--url", network.url(2))
    return {"identifier": row["identifier"], "document": document, "before": before, "holder": row["holder_name"]}


def online(network: Any, certificate: dict[str, Any], index: int) -> str:
    with network.client(index=index) as client:
        answer = client.get(f"/certificates/{certificate['identifier']}/verification")
        # What contracts ask says the same.
        assert Certificates(client).is_in_force(certificate["identifier"]) is (answer["verdict"] == "IN_FORCE")
    return str(answer["verdict"])


def test_a_certificate_is_verified_online_and_offline_and_refused_once_changed_or_revoked(
    network: Any, certificate: dict[str, Any], tmp_path: Path
) -> None:
    identifier, document, before = certificate["identifier"], certificate["document"], certificate["before"]
    assert {online(network, certificate, index) for index in range(4)} == {"IN_FORCE"}
    trust = ("--trust", str(network.made.trust))
    verdict = network.run("verify", str(before), "--document", str(document), *trust)
    assert (verdict["is_accepted"], verdict["code"]) == (True, "IN_FORCE")
    changed = tmp_path / "changed"
    changed.write_bytes(document.read_bytes() + b" ")
    verdict = network.run("verify", str(before), "--document", str(changed), *trust, status=1)
    assert (verdict["is_accepted"], verdict["code"]) == (False, "DOCUMENT_CHANGED")

    options = network.account_options("land-clerk", 1)
    revoked = network.run("cert", "revoke", identifier, "--reason", "测试撤销", *options)
    network.wait_until_level(revoked["results"][0]["height"])
    assert {online(network, certificate, index) for index in range(4)} == {"ENDED"}
    shown = network.run("cert", "show", identifier, "--url", network.url(3))
    assert shown["status"]["verdict"] == "ENDED"
    after = tmp_path / "after.json"
    network.run("proof", "export", identifier, "--out", str(after), "--url", network.url(3))
    verdict = network.run("verify", str(after), "--document", str(document), *trust, status=1)
    assert (verdict["is_accepted"], verdict["code"]) == (False, "ENDED")
    # The proof from before holds on, and says as of when it speaks.
    verdict = network.run("verify", str(before), "--document", str(document), *trust)
    assert verdict["is_accepted"]
    assert verdict["height"] < revoked["results"][0]["height"]
    assert str(verdict["height"]) in verdict["en"]


def test_no_word_of_the_holder_is_on_any_disk_of_the_network(network: Any, certificate: dict[str, Any]) -> None:
    for name in network.names:
        assert files_holding(network.made.folder / name / "data", certificate["holder"].encode()) == []


def test_a_trust_file_of_another_network_breaks_at_trust(
    network: Any, certificate: dict[str, Any], tmp_path: Path
) -> None:
    trust = json.loads(network.made.trust.read_text("utf-8"))
    for field in ("genesis_hash", "next_validators_hash"):
        other = tmp_path / "trust.json"
        other.write_text(json.dumps(trust | {field: "ab" * 32}), "utf-8")
        verdict = verify_proof_file(certificate["before"], certificate["document"], other)
        assert not verdict.is_accepted
        assert verdict.broken_step in {"trust", "signatures"}, verdict.broken_step


def test_proofs_whose_parts_are_swapped_name_the_broken_step(
    network: Any, certificate: dict[str, Any], tmp_path: Path
) -> None:
    """A part of another true proof of the same network does not fit."""
    first = json.loads(certificate["before"].read_text("utf-8"))
    with network.client("land-clerk") as client:
        client.call("anchors", "anchor", digest=b"\x07" * 32, label="另一个区块")
        second = json.loads(export_proof(client, certificate_key(certificate["identifier"])))
    assert first["header"] != second["header"]
    path = tmp_path / "mixed.json"
    # The certificate was revoked in between: its leaf is another one.
    expected = {"header": "header", "certificate": "header", "state": "record"}
    for part, step in expected.items():
        path.write_text(json.dumps(first | {part: second[part]}), "utf-8")
        verdict = verify_proof_file(path, None, network.made.trust)
        assert (verdict.is_accepted, verdict.broken_step) == (False, step), part
    mixed = first | {"record": first["record"] | {"fields": second["record"]["fields"] | {"issuer": "x"}}}
    path.write_text(json.dumps(mixed), "utf-8")
    assert verify_proof_file(path, None, network.made.trust).broken_step == "record"


@pytest.fixture(scope="module")
def grant(running_network: Any) -> str:
    """A request from publication to one recorded read, through the command line."""
    network = running_network
    code = "307003001/0007"
    network.run(
        *("catalogue", "publish", code, "--name", "不动产登记信息", "--summary", "不动产单元与权利类型"),
        *("--item", "不动产单元号:C", "--sharing", "conditional", "--basis", "限办理住房业务"),
        *network.account_options("land-clerk", 1),
    )
    asked = network.run(
        *("share", "request", code, "--purpose", "核对权属", "--legal-basis", "政务数据共享条例"),
        *("--from", "2020-01-01", "--to", "2099-12-31"),
        *network.account_options("housing-clerk", 2),
    )
    granted = network.run(
        "share", "grant", asked["request"], "--to", "2099-12-31", *network.account_options("land-clerk", 1)
    )
    assert granted["state"] == "granted"
    folder = network.made.folder
    for name in ("query", "result.json"):
        (folder / name).write_text("{}")
    recorded = network.run(
        *("access", "record", asked["request"], "--reads", str(folder / "reads.sqlite"), "--system", "网签"),
        *("--case", CASE, "--query", str(folder / "query"), "--result", str(folder / "result.json")),
        *network.account_options("housing-clerk", 2),
    )
    assert recorded["number"] == 1
    network.wait_until_level(recorded["height"])
    return str(asked["request"])


def test_a_read_is_on_the_ledger_in_a_batch_that_its_store_is_checked_against(network: Any, grant: str) -> None:
    store, out = network.made.folder / "reads.sqlite", network.made.folder / "reads.json"
    for index in range(4):
        checked = network.run("access", "check", str(store), "--url", network.url(index))
        assert checked == {"batches": 1, "findings": []}
    recorder = network.signer("housing-clerk").address.hex()
    with network.client(None, 3) as client:
        stream = client.get(f"/access-streams/{network.made.account('housing-clerk').department}/0x{recorder}")
    assert (stream["number"], stream["batch_number"]) == (1, 1)
    network.run("access", "export", str(store), "--out", str(out), "--grant", grant)
    (read,) = json.loads(out.read_text("utf-8"))
    assert (read["case"]["case_number"], read["outcome"]) == (CASE, 1)


def test_nothing_of_what_was_read_is_on_the_ledger(network: Any, grant: str) -> None:
    """Every way to the transactions of the stream is tried, signed and unsigned, and the nodes' own files."""
    url = network.url(0)
    told = []
    with network.client() as client:
        transactions = client.get_all("/transactions", limit=200, contract="access")
        assert transactions
        for transaction in transactions:
            told.append(
                httpx.get(
                    f"{url}/api/v1/transactions/{transaction['id']}", trust_env=False, verify=False, timeout=60
                ).text
            )
            for method in ("gov_getTransaction", "gov_getReceipt"):
                told.append(json.dumps(client.rpc(method, transaction_id=transaction["id"])))
            told.append(json.dumps(client.rpc("gov_getBlock", height=transaction["height"])))
        told.append(json.dumps(transactions))
    for path in ("/", "/access", "/metrics", "/api/v1/access-streams", f"/api/v1/requests/{grant}"):
        told.append(httpx.get(url + path, trust_env=False, verify=False, timeout=60).text)
    for text in told:
        assert CASE not in text
        assert CASE.encode().hex() not in text
    for name in network.names:
        assert files_holding(network.made.folder / name / "data", CASE.encode()) == []


def test_a_signed_request_counts_once_and_only_as_it_was_signed(network: Any) -> None:
    url = httpx.URL(network.url(0))
    target = "/api/v1/deposits?limit=5"
    with network.client() as client:
        chain_id = client.chain_id
    authority = url.netloc.decode()

    def sign() -> dict[str, str]:
        signer = network.signer("data-bureau-auditor")
        return dict(signed_headers(signer, chain_id, "GET", authority, target.encode(), b""))

    def ask(headers: dict[str, str], path: str = target, node: str = str(url)) -> tuple[int, str]:
        answer = httpx.get(node.rstrip("/") + path, headers=headers, trust_env=False, verify=False, timeout=60)
        body = answer.json()
        return answer.status_code, str(body.get("code", "")) if answer.status_code != 200 else ""

    headers = sign()
    assert ask(headers)[0] == 200
    assert ask(headers)[1] == "REQUEST_REPEATED"
    assert ask(sign(), target + "0")[1] == "SIGNATURE_INVALID"
    # A node that was asked cannot use the request at another one.
    assert ask(sign(), node=network.url(1))[1] == "SIGNATURE_INVALID"
    assert ask(sign() | {"host": network.url(0).removeprefix("http://")}, node=network.url(1))[1] == "AUTHORITY_UNKNOWN"
