"""Streams of access records over REST and as pages, and the sealed copies that recorders leave at a node."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from explorer.data_sharing import sealed_bodies
from explorer.data_sharing.sealed_bodies import MAX_BYTES_OF_A_READ, SealedBodies
from explorer.data_sharing.sealed_files import sealed_path
from explorer.problems import Problem
from explorer.settings import KeepingRules, keeping_rules
from node.chain.transaction import address_of
from node.config import load_node_config
from sdk.access_recording.second_place import KeepingNode, RecordedQuery
from sdk.client import Client
from sm_crypto.sm3 import sm3
from verification.access.query_scope import scope_text

COPY = base64.b64encode(b"sealed").decode()


def recorder_of(site: Any) -> str:
    return "0x" + address_of(site.world.keys["housing"].public_key).hex()


def post_signed(site: Any, account: str, content: dict[str, Any]) -> Any:
    body = orjson.dumps(content)
    headers = site.signed_headers(account, "/api/v1/sealed-bodies", "POST", body)
    return site.http.post("/api/v1/sealed-bodies", content=body, headers=headers)


def test_every_stream_is_listed_with_what_its_recorder_declared(site: Any) -> None:
    page = site.get("/api/v1/access-streams").json()
    (stream,) = page["items"]
    assert page["next_cursor"] is None
    assert (stream["department"], stream["recorder"]) == (site.world.housing, recorder_of(site))
    assert (stream["number"], stream["batch_number"], stream["heartbeat_s"]) == (1, 1, 60)
    assert stream["on_outage_text"]["en"] == "goes on and catches up"
    assert stream["bodies_at"] == "https://housing.example/gov/records"
    one = site.get(f"/api/v1/access-streams/{stream['department']}/{stream['recorder']}").json()
    assert one == stream
    assert site.get(f"/api/v1/access-streams/{site.world.land}/{stream['recorder']}").status_code == 404


def test_batches_are_listed_and_found_by_number(site: Any) -> None:
    target = f"/api/v1/access-streams/{site.world.housing}/{recorder_of(site)}/batches"
    (batch,) = site.get(target).json()["items"]
    assert (batch["first_number"], batch["count"], batch["served"]) == (1, 1, 1)
    assert batch["root"] == "0x" + sm3(b"root").hex()
    assert site.get(f"{target}/1").json() == batch
    assert site.get(f"{target}/2").json()["code"] == "NOT_FOUND"
    assert site.get(f"{target}/0").status_code == 400
    assert site.get(f"{target}?cursor=MQ").json() == {"items": [], "next_cursor": None}


def test_a_stream_is_late_once_its_heartbeat_fails_to_come(site: Any) -> None:
    target = f"/api/v1/access-streams/{site.world.housing}/{recorder_of(site)}"
    assert site.get(target).json()["is_late"] is False
    assert 'govnode_late_access_streams{department="' + site.world.housing + '"} 0.0' in site.get("/metrics").text
    site.world.make_block([], after_ms=61_000)
    assert site.get(target).json()["is_late"] is True
    assert 'govnode_late_access_streams{department="' + site.world.housing + '"} 1.0' in site.get("/metrics").text
    assert "逾期" in site.get("/access").text


def test_the_pages_show_streams_and_batches(site: Any) -> None:
    page = site.get("/access").text
    assert recorder_of(site) in page
    page = site.get(f"/access/{site.world.housing}/{recorder_of(site)}").text
    for shown in ("https://housing.example/gov/records", "archive", sm3(b"read").hex(), "1–1"):
        assert shown in page
    assert site.get(f"/access/{site.world.housing}/zz").status_code == 400


def test_a_recorder_leaves_a_sealed_copy_that_only_auditors_fetch(site: Any) -> None:
    kept = post_signed(site, "housing", {"batch_number": 1, "sealed": COPY}).json()
    assert (kept["is_new"], kept["sm3"], kept["size_bytes"]) == (True, "0x" + sm3(b"sealed").hex(), 6)
    # The first copy stays, whoever has the key since.
    again = post_signed(site, "housing", {"batch_number": 1, "sealed": base64.b64encode(b"other").decode()}).json()
    assert (again["is_new"], again["sm3"]) == (False, kept["sm3"])
    target = f"/api/v1/sealed-bodies/{site.world.housing}/{recorder_of(site)}/1"
    # What an auditor opens it has said before that it would ask.
    scope = site.world.query_scope
    for wrong in (
        f"?query=2&scope={scope_text(scope)}",
        "?query=1&scope=AA==",
        f"?query=1&scope={scope_text(msgspec.structs.replace(scope, recorded_by=()))}",
        f"?query=1&scope={scope_text(msgspec.structs.replace(scope, sought=sm3(b'other')))}",
    ):
        assert site.get_signed("auditor", target + wrong).json()["code"] == "QUERY_NOT_RECORDED"
    assert site.get_signed("auditor", target + "?query=1").status_code == 400
    target += f"?query=1&scope={scope_text(scope)}"
    assert site.get_signed("auditor", target).json()["sealed"] == COPY
    assert site.get_signed("land", target).json()["code"] == "ROLE_REQUIRED"
    assert site.get_signed("housing", target).json()["code"] == "ROLE_REQUIRED"
    assert site.get(target).json()["code"] == "SIGNATURE_REQUIRED"
    figures = site.get("/metrics").text
    labels = f'department="{site.world.housing}",recorder="{recorder_of(site).removeprefix("0x")}"'
    assert f"govnode_sealed_copies_bytes{{{labels}}} 6.0" in figures
    assert "govnode_sealed_copies_limit_bytes 1e+06" in figures


def test_the_library_leaves_and_finds_copies_at_a_node(site: Any) -> None:
    recorder = address_of(site.world.keys["housing"].public_key)
    with Client(site.url, site.world.keys["housing"]) as client:
        KeepingNode(client).keep(site.world.housing, recorder, 1, b"sealed")
    with Client(site.url, site.world.keys["auditor"]) as client:
        node = KeepingNode(client, RecordedQuery(1, site.world.query_scope))
        assert node.find(site.world.housing, recorder, 1) == b"sealed"
        assert node.find(site.world.housing, recorder, 2) is None


@pytest.mark.parametrize(
    ("account", "content", "code"),
    [
        ("housing", {"batch_number": 2, "sealed": COPY}, "NOT_FOUND"),
        ("housing", {"batch_number": 1, "sealed": "?"}, "BODY_INVALID"),
        ("housing", {"batch_number": 1, "sealed": ""}, "BODY_INVALID"),
        ("housing", {"batch_number": 0, "sealed": COPY}, "BODY_INVALID"),
        ("housing", {"batch_number": 1}, "BODY_INVALID"),
        ("housing", {"batch_number": 1, "sealed": COPY, "x": 1}, "BODY_INVALID"),
        ("housing", {"batch_number": 1, "sealed": base64.b64encode(bytes(9_000)).decode()}, "BODY_INVALID"),
        ("auditor", {"batch_number": 1, "sealed": COPY}, "ROLE_REQUIRED"),
    ],
)
def test_what_is_no_copy_of_the_signers_own_batch_is_refused(
    site: Any, account: str, content: dict[str, Any], code: str
) -> None:
    assert post_signed(site, account, content).json()["code"] == code


def test_copies_are_bounded_by_the_batch_and_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, sealed = bytes(20), bytes(MAX_BYTES_OF_A_READ * 3)
    rules = KeepingRules(frozenset({"11330100002489405Q"}), 2 * len(sealed))
    kept = SealedBodies(tmp_path / "bodies", rules)
    with pytest.raises(Problem) as refused:
        kept._keep("11330100002489405Q", recorder, 1, 1, sealed)
    assert refused.value.code == "BODY_INVALID"
    monkeypatch.setattr(sealed_bodies, "ENVELOPE_BYTES", len(sealed))
    full = SealedBodies(tmp_path / "bodies", rules, min_free_bytes=2**62)
    with pytest.raises(Problem) as refused:
        full._keep("11330100002489405Q", recorder, 1, 1, sealed)
    assert refused.value.code == "NOT_READY"
    assert kept._keep("11330100002489405Q", recorder, 1, 1, sealed).is_new
    assert kept._find("11330100002489405Q", recorder, 1) == sealed
    with pytest.raises(Problem) as refused:
        SealedBodies(None, rules)._find("11330100002489405Q", recorder, 1)
    assert refused.value.code == "NOT_SERVED"


def test_a_node_keeps_for_nobody_until_its_settings_name_them(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    plain = 'name = "n"\np2p_listen = "127.0.0.1:1"\nhttp_listen = "127.0.0.1:2"\n'
    path.write_text(plain)
    assert keeping_rules(load_node_config(path).sealed_copies).departments == frozenset()
    path.write_text(plain + '[sealed_copies]\ndepartments = ["11330100002489405Q"]\nrecorder_mb = 3\n')
    assert keeping_rules(load_node_config(path).sealed_copies) == KeepingRules(
        frozenset({"11330100002489405Q"}), 3_000_000
    )


def test_a_node_keeps_for_those_it_names_and_so_much_of_each_recorder(tmp_path: Path) -> None:
    named, other = "11330100002489405Q", "113301000024893842"
    rules = KeepingRules(frozenset({named}), 1_000)

    def refusal(department: str, recorder: bytes, batch_number: int, size: int) -> str:
        # Each time as after a restart: what lies there already counts.
        with pytest.raises(Problem) as refused:
            SealedBodies(tmp_path, rules)._keep(department, recorder, batch_number, 1, bytes(size))
        return refused.value.code

    assert refusal(other, bytes(20), 1, 10) == "NOT_KEPT_FOR"
    kept = SealedBodies(tmp_path, rules)
    assert kept._keep(named, bytes(20), 1, 1, bytes(600)).is_new
    assert refusal(named, bytes(20), 2, 401) == "COPIES_TOO_LARGE"
    # The same copy again is no new one, and another recorder has its own sum.
    assert not kept._keep(named, bytes(20), 1, 1, bytes(600)).is_new
    assert kept._keep(named, bytes(20), 2, 1, bytes(400)).is_new
    assert kept._keep(named, b"\1" * 20, 1, 1, bytes(999)).is_new
    full, other_one = (named, "00" * 20, 1_000), (named, "01" * 20, 999)
    for asked in (kept, SealedBodies(tmp_path, rules)):
        assert (asked.fullest(9), asked.fullest(1)) == ([full, other_one], [full])
    assert SealedBodies(tmp_path, KeepingRules()).fullest(9) == []
    assert refusal(named, bytes(20), 3, 1) == "COPIES_TOO_LARGE"
    # What its operator removes counts no more, while the node runs.
    with pytest.raises(Problem):
        kept._keep(named, bytes(20), 3, 1, bytes(400))
    sealed_path(tmp_path, named, bytes(20), 2).unlink()
    assert kept._keep(named, bytes(20), 3, 1, bytes(400)).is_new
    folder = sealed_path(tmp_path, named, bytes(20), 3).parent
    (folder / "000000000003.sealed").unlink()
    os.utime(folder, ns=(0, 0))
    assert kept.fullest(2) == [other_one, (named, "00" * 20, 600)]
