"""A ledger without blocks for contract tests: a dict as state, accounts of three departments, refused calls undone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts import registry
from contracts.abi import decode_error
from contracts.accounts import address_of_key
from contracts.batches import batch_name, leaf_hash
from contracts.call import Call, CallResult
from contracts.certificate_records import CertificateContent
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.identifiers import make_identifier, parse_identifier, uscc_check_character
from contracts.parameters import ChainParameters
from contracts.recent_blocks import save_block_id
from contracts.registration import AccountRegistration
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

GENESIS_MS = 1_750_000_000_000
PROPERTY_TYPE = "11100000MB03271699001"
GENESIS_HASH = sm3(b"genesis")
GAS = 5_000_000
SAMPLES = Path(__file__).parents[2] / "contracts" / "samples"


def uscc(body: str) -> str:
    return body + uscc_check_character(body)


class DictState(dict[bytes, bytes]):
    """State as a dict; it satisfies contracts.call.State."""

    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


class Account:
    """A test account with a key made from its name."""

    def __init__(self, department: str, *roles: str, name: str = "") -> None:
        self.department, self.roles, self.name = department, roles, name or roles[0]
        self.key = PrivateKey.from_bytes(b"\0" + sm3(f"{department}/{self.name}".encode())[1:])
        self.public_key = self.key.public_key
        self.address = address_of_key(self.public_key)


class Bench:
    """State, block time and founding accounts; `call` runs one call and undoes it when it is refused."""

    def __init__(self) -> None:
        self.data_bureau = uscc("11330100002500287")
        self.land_bureau = uscc("11330100MB1234567")
        self.tax_bureau = uscc("11330100MB7654321")
        self.governor = Account(self.data_bureau, "governor")
        self.auditor = Account(self.data_bureau, "auditor")
        self.issuer = Account(self.land_bureau, "issuer")
        self.publisher = Account(self.land_bureau, "publisher")
        self.approver = Account(self.land_bureau, "approver")
        self.provider_recorder = Account(self.land_bureau, "recorder")
        self.administrator = Account(self.land_bureau, "administrator")
        self.requester = Account(self.tax_bureau, "requester")
        self.recorder = Account(self.tax_bureau, "recorder")
        self.other_issuer = Account(self.tax_bureau, "issuer")
        self.other_approver = Account(self.tax_bureau, "approver")
        self.validator = Account(self.data_bureau, "validator")
        self.stranger = Account("nobody", "issuer")
        self.state = DictState()
        self.time_ms = GENESIS_MS
        self.calls = 0
        departments = [
            self.founding(self.data_bureau, "数据局", "", self.governor, self.auditor),
            self.founding(
                self.land_bureau,
                "自然资源局",
                self.data_bureau,
                self.issuer,
                self.publisher,
                self.approver,
                self.provider_recorder,
                self.administrator,
            ),
            self.founding(
                self.tax_bureau,
                "税务局",
                self.data_bureau,
                self.requester,
                self.recorder,
                self.other_issuer,
                self.other_approver,
            ),
        ]
        validator = SimpleNamespace(name="node1", department=self.data_bureau, public_key=self.validator.public_key)
        registry.write_genesis(self.state, departments, [validator], ChainParameters(), GENESIS_MS)
        # The ledger does so before the first block.
        save_block_id(self.state, 0, GENESIS_HASH)

    @staticmethod
    def founding(code: str, name: str, parent: str, *accounts: Any) -> Any:
        return SimpleNamespace(code=code, name=name, region="330100", level="city", parent=parent, accounts=accounts)

    def execute(self, sender: bytes, to: bytes | None, data: bytes, gas_limit: int = GAS) -> CallResult:
        self.calls += 1
        before = DictState(self.state)
        call = Call(sender, to, data, gas_limit, self.calls, self.time_ms, sm3(self.calls.to_bytes(8, "big")))
        result = registry.execute_call(self.state, call)
        if result.refusal is not None:
            self.state = before
        return result

    def call(self, account: Account, contract: str, method: str, /, **arguments: Any) -> CallResult:
        to, data = registry.encode_call(contract, method, **arguments)
        return self.execute(account.address, to, data)

    def accept(self, account: Account, contract: str, method: str, /, **arguments: Any) -> CallResult:
        """Run a call that must be accepted, a second later than the last."""
        self.time_ms += 1_000
        result = self.call(account, contract, method, **arguments)
        assert result.refusal is None, decode_error(result.output)
        return result

    def refuse(self, code: str, account: Account, contract: str, method: str, /, **arguments: Any) -> str:
        """Run a call that must be refused for `code` and return its text."""
        before = DictState(self.state)
        result = self.call(account, contract, method, **arguments)
        text = decode_error(result.output)
        assert (result.refusal, result.logs) == (code, ()), text
        assert self.state == before
        assert text is not None
        assert text.startswith(f"{code}: ")
        return text

    def view(self, contract: str, method: str, /, **arguments: Any) -> Any:
        return registry.view(self.state, contract, method, self.time_ms, **arguments)

    @staticmethod
    def account_arguments(account: Account, department: str, name: str, roles: list[str]) -> dict[str, Any]:
        """Return the registration of an account as its holder signed it."""
        registration = AccountRegistration(GENESIS_HASH, department, account.public_key, name, roles)
        stated = {"department": department, "public_key": account.public_key, "name": name, "roles": roles}
        return stated | {"signature": account.key.sign(registration.digest)}

    def type_arguments(self, **changes: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "code": PROPERTY_TYPE,
            "name": "不动产权证书",
            "defining_body": "自然资源部",
            "defining_level": "national",
            "holder_category": "person",
            "validity_range": "长期",
            "issuing_level": "city",
            "certificate_class": "certificate",
            "code_table": "default",
            "issuers": [self.land_bureau],
        }
        return arguments | changes

    def register_type(self, **changes: Any) -> None:
        self.accept(self.governor, "certificates", "register_type", **self.type_arguments(**changes))

    def identifier(self, serial: str, type_code: str = PROPERTY_TYPE, issuer: str = "") -> str:
        return make_identifier(type_code, issuer or self.land_bureau, serial)

    def certificate_arguments(self, serial: str = "20250001", **changes: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "identifier": self.identifier(serial),
            "document_digest": sm3(b"document " + serial.encode()),
            "holder_commitment": sm3(b"holder"),
            "valid_from_ms": GENESIS_MS,
            "valid_to_ms": GENESIS_MS + 10 * 365 * 86_400_000,
        }
        return arguments | changes

    def issue(self, serial: str = "20250001", **changes: Any) -> str:
        arguments = self.certificate_arguments(serial, **changes)
        self.accept(self.issuer, "certificates", "issue", **arguments)
        identifier: str = arguments["identifier"]
        return identifier

    def batch_contents(self, first: int, count: int, **changes: Any) -> list[CertificateContent]:
        """Return what a batch of certificates with eight-digit serials says, in the order of identifiers."""
        arguments = [self.certificate_arguments(f"{first + number:08d}", **changes) for number in range(count)]
        return [CertificateContent(**one) for one in arguments]

    def issue_batch(self, contents: list[CertificateContent], **changes: Any) -> list[dict[str, Any]]:
        """Issue a batch over these contents and return, for each, the arguments that name it to the views and calls."""
        serials = [parse_identifier(one.identifier).serial for one in contents]
        leaves = [leaf_hash(one) for one in contents]
        arguments: dict[str, Any] = {
            "type_code": PROPERTY_TYPE,
            "first": serials[0],
            "last": serials[-1],
            "count": len(leaves),
            "root": merkle_root(leaves),
            "manifest_digest": sm3(b"manifest"),
        } | changes
        self.accept(self.issuer, "batches", "issue_batch", **arguments)
        name = batch_name(PROPERTY_TYPE, self.land_bureau, arguments["first"])
        return [
            {"batch": name, "position": number, "content": one, "path": merkle_path(leaves, number)}
            for number, one in enumerate(contents)
        ]

    def resource_description(self, **changes: Any) -> ResourceDescription:
        fields: dict[str, Any] = {
            "code": "307013301/000001",
            "name": "不动产登记信息",
            "summary": "全市不动产登记结果",
            "format": "JSON",
            "items": (ResourceItem("产权人", "C"), ResourceItem("面积", "N")),
            "sharing_type": 2,
            "sharing_basis": "依申请共享，仅限税务核验",
            "sharing_method": "接口",
            "update_cycle": 1,
            "data_class": 3,
        }
        return ResourceDescription(**(fields | changes))

    def publish(self, **changes: Any) -> str:
        described = self.resource_description(**changes)
        self.accept(self.publisher, "catalogue", "publish", resource=described, replaces=0)
        return described.code

    def request_arguments(self, **changes: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "resource": "307013301/000001",
            "purpose": "存量房交易计税核验",
            "legal_basis": "税收征收管理法第六条",
            "items": ["面积"],
            "case_types": [],
            "rows_per_day": 0,
            "from_ms": GENESIS_MS,
            "to_ms": GENESIS_MS + 30 * 86_400_000,
        }
        return arguments | changes

    def request(self, **changes: Any) -> bytes:
        return self.accept(self.requester, "sharing", "request", **self.request_arguments(**changes)).output

    def governor_requester(self) -> Account:
        """Return an account of the data bureau that asks for data, which has no part in the others' requests."""
        account = Account(self.data_bureau, "requester", name="requester of the bureau")
        added = self.account_arguments(account, self.data_bureau, "申请", ["requester"])
        self.accept(self.governor, "members", "add_account", **added)
        return account

    def grant(self, **changes: Any) -> bytes:
        request = self.request(**changes)
        to_ms = self.view("sharing", "data_request", request=request).to_ms
        self.accept(
            self.approver, "sharing", "grant", request=request, conditions=Conditions(note="仅限本案"), to_ms=to_ms
        )
        return request


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    """The class itself, for state machines that need a fresh one each run."""
    return Bench


@pytest.fixture(scope="session")
def solc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which npm has installed the compiler that the artefacts name."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: what it made is not compiled again")
    version = re.fullmatch(
        r"solc ([0-9.]+)\+commit\.[0-9a-f]{8}", json.loads((SAMPLES / "Registry.json").read_text())["compiler"]
    )
    assert version is not None
    folder = tmp_path_factory.mktemp("solc")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", f"solc@{version[1]}"]
    try:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer: what it made is not compiled again")
    if ran.returncode:
        pytest.skip(f"npm cannot install solc, what it made is not compiled again: {ran.stderr[-300:]}")
    return folder
