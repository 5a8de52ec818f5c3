"""The typed system contracts: written from the declarations, and over a node they say and take what is declared."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from contracts import registry
from contracts.certificate_records import load_certificate
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.fields import MAX_TIME_MS
from contracts.validator_sets import load_validators
from generators import system_contracts
from sdk.client import Client
from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sdk.system_contracts.anchors import Anchors
from sdk.system_contracts.catalogue import Catalogue
from sdk.system_contracts.certificates import Certificates
from sdk.system_contracts.crypto import Crypto
from sdk.system_contracts.governance import Governance
from sdk.system_contracts.members import Members
from sm_crypto.merkle import leaf_hash, merkle_path, merkle_root
from sm_crypto.sm3 import sm3


def test_the_kept_modules_are_those_of_the_declarations() -> None:
    for name, text in system_contracts.files().items():
        kept = (system_contracts.FOLDER / name).read_text("utf-8")
        assert kept == text, "run: python -m generators.system_contracts"


def test_every_contract_has_a_class_with_every_method_that_is_open() -> None:
    for name, contract in registry.CONTRACTS.items():
        class_name = "".join(map(str.capitalize, name.split("_")))
        wrapper = getattr(importlib.import_module(f"sdk.system_contracts.{name}"), class_name)
        methods = {method.name for method in contract.methods.values() if method.is_public}
        assert {method for method in vars(wrapper) if not method.startswith("_")} == methods


def test_views_answer_the_records_themselves(node: Any, identifier: str) -> None:
    state = node.chain.state
    with Client(node.url) as client:
        certificate = Certificates(client).certificate(identifier)
        assert certificate == load_certificate(state, identifier)
        assert certificate.status == "01"
        assert Members(client).validators() == load_validators(state)
        assert Governance(client).parameters() == registry.view(state, "governance", "parameters")
        status = Certificates(client).certificate_status(identifier=identifier, time_ms=MAX_TIME_MS)
        assert status == registry.view(
            state, "certificates", "certificate_status", identifier=identifier, time_ms=MAX_TIME_MS
        )
        assert Certificates(client).is_in_force(identifier)


def test_lists_of_bytes_reach_the_contract(node: Any) -> None:
    leaves = [leaf_hash(bytes((number,))) for number in range(5)]
    with Client(node.url) as client:
        crypto = Crypto(client)
        proof: dict[str, Any] = {"root": merkle_root(leaves), "count": 5, "path": merkle_path(leaves, 4)}
        assert crypto.merkle_verify(leaf=b"\4", index=4, **proof)
        assert not crypto.merkle_verify(leaf=b"\3", index=4, **proof)
        assert crypto.sm3(b"abc") == sm3(b"abc")


def test_calls_write_and_are_refused_by_name(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.clerk) as client:
        certificates = Certificates(client)
        receipt = certificates.suspend(identifier=identifier, reason="挂失")
        assert receipt.height == node.chain.height
        assert not certificates.is_in_force(identifier)
        with pytest.raises(CallRefused) as caught:
            certificates.suspend(identifier=identifier, reason="挂失")
        assert caught.value.code == "STATUS_FORBIDS"
        Anchors(client).anchor_root(root=sm3(b"batch"), label="批次", count=2**64 - 1)
        anchored = Anchors(client).anchored(digest=sm3(b"batch"), department=client.own_department())
        assert (anchored.count, anchored.label) == (2**64 - 1, "批次")
        with pytest.raises(RequestRefused) as unknown:
            Anchors(client).anchored(digest=bytes(32), department="")
        assert unknown.value.code == "ANCHOR_UNKNOWN"


def test_structs_are_arguments_too(node: Any) -> None:
    with Client(node.url, node.chain.clerk) as client:
        catalogue = Catalogue(client)
        items = (ResourceItem("产权人", "C"), ResourceItem("面积", "N"))
        catalogue.publish(
            resource=ResourceDescription(
                code="307013301/000007",
                name="登记",
                summary="登记结果",
                format="JSON",
                items=items,
                sharing_type=1,
                sharing_basis="",
                sharing_method="接口",
                update_cycle=1,
                data_class=3,
            ),
            replaces=0,
        )
        found = catalogue.resource("307013301/000007")
        assert found.items == items
        assert found.description.format == "JSON"


def test_an_answer_of_another_form_is_named(node: Any, identifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(node.url) as client:
        for answer in ({"identifier": identifier}, None, 7, "0xzz"):
            monkeypatch.setattr(client, "view", lambda *_, answer=answer, **__: answer)
            with pytest.raises(NodeUnreachable) as caught:
                Certificates(client).certificate(identifier)
            assert caught.value.code == "ANSWER_INVALID"
            assert "版本" in caught.value.zh
