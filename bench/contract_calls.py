"""Processor microseconds of system-contract calls over a dict: `python bench/contract_calls.py [--json]`; no tree, no disk, no signatures.

The figures in docs/adr/0007-abi-codec.md come from here, and those of the calls in the decision on certificates in batches.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

from contracts import identifiers, registry
from contracts.accounts import OPERATION_ROLES, address_of_key
from contracts.batches import batch_name, leaf_hash
from contracts.call import Call
from contracts.certificate_records import CertificateContent
from contracts.data_sharing import access
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.parameters import ChainParameters
from contracts.serial_ranges import MAX_RANGES
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

COUNT: Final = 20_000
MEMBERS: Final = 1_024
"""Certificates of the batch whose leaves are checked: paths of ten siblings."""
ROUNDS: Final = 3
TIME_MS: Final = 1_750_000_000_000
GAS: Final = 1_000_000
TYPE_CODE: Final = "11100000MB03271699001"


class DictState(dict[bytes, bytes]):
    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


class Office:
    """Two departments, one certificate type, one resource with a grant in force."""

    def __init__(self) -> None:
        self.provider, self.consumer = (self._code(body) for body in ("11330100MB1234567", "11330100MB7654321"))
        self.governor, self.clerk, self.reader = (PrivateKey.from_bytes(sm3(bytes((n,)))) for n in (1, 2, 5))
        self.state = DictState()
        departments = [
            self._department(self.provider, (self.governor, ["governor"]), (self.clerk, sorted(OPERATION_ROLES))),
            self._department(self.consumer, (self.reader, sorted(OPERATION_ROLES))),
        ]
        registry.write_genesis(self.state, departments, [], ChainParameters(), TIME_MS)
        kind = {"code": TYPE_CODE, "name": "不动产权证书", "defining_body": "自然资源部", "defining_level": "national"}
        kind |= {"holder_category": "person", "validity_range": "", "issuing_level": "city"}
        kind |= {"certificate_class": "certificate", "code_table": "default"}
        self.run(self.call(self.governor, "certificates", "register_type", **kind, issuers=[self.provider]))
        items = (ResourceItem("面积", "N"),)
        resource = ResourceDescription("307013301/1", "登记信息", "登记", "JSON", items, 1, "", "接口", 1, 3)
        self.run(self.call(self.clerk, "catalogue", "publish", resource=resource, replaces=0))
        wanted: dict[str, Any] = {"resource": "307013301/1", "purpose": "核验", "legal_basis": "法", "items": []}
        wanted |= {"case_types": [], "rows_per_day": 0}
        self.grant = self.run(
            self.call(self.reader, "sharing", "request", **wanted, from_ms=TIME_MS, to_ms=2 * TIME_MS)
        )

    @staticmethod
    def _code(body: str) -> str:
        return body + identifiers.uscc_check_character(body)

    @staticmethod
    def _department(code: str, *accounts: tuple[PrivateKey, list[str]]) -> Any:
        founders = [SimpleNamespace(public_key=key.public_key, roles=roles, name="x") for key, roles in accounts]
        return SimpleNamespace(code=code, name="局", region="330100", level="city", parent="", accounts=founders)

    @staticmethod
    def call(key: PrivateKey, contract: str, method: str, **arguments: Any) -> Call:
        to, data = registry.encode_call(contract, method, **arguments)
        return Call(address_of_key(key.public_key), to, data, GAS, 1, TIME_MS, sm3(data))

    def run(self, call: Call) -> bytes:
        result = registry.execute_call(self.state, call)
        if result.refusal is not None:
            raise SystemExit(f"refused: {result.refusal}")
        return result.output

    def identifier(self, number: int) -> str:
        return identifiers.make_identifier(TYPE_CODE, self.provider, f"2025{number:08d}")

    def issues(self) -> list[Call]:
        fixed: dict[str, Any] = {
            "holder_commitment": sm3(b"holder"),
            "valid_from_ms": TIME_MS,
            "valid_to_ms": 2 * TIME_MS,
        }
        return [
            self.call(
                self.clerk,
                "certificates",
                "issue",
                identifier=self.identifier(n),
                document_digest=sm3(b"%d" % n),
                **fixed,
            )
            for n in range(COUNT)
        ]

    def changes(self, method: str, **extra: str) -> list[Call]:
        return [
            self.call(self.clerk, "certificates", method, identifier=self.identifier(n), reason="核查", **extra)
            for n in range(COUNT)
        ]

    def batches(self) -> list[Call]:
        """As many batches as there can be, with serials above those of the single certificates."""
        fixed: dict[str, Any] = {"type_code": TYPE_CODE, "count": 100, "root": sm3(b"r"), "manifest_digest": sm3(b"m")}
        return [
            self.call(self.clerk, "batches", "issue_batch", first=f"3{n:011d}", last=f"3{n:011d}Z", **fixed)
            for n in range(MAX_RANGES)
        ]

    def members(self) -> list[Call]:
        """Issue a batch; return the calls that give each certificate of it a record."""
        contents = [
            CertificateContent(self.identifier(n), sm3(b"%d" % n), sm3(b"holder"), TIME_MS, 2 * TIME_MS)
            for n in range(MEMBERS)
        ]
        leaves = [leaf_hash(content) for content in contents]
        serials = {"first": "202500000000", "last": f"2025{MEMBERS:08d}", "count": MEMBERS}
        named: dict[str, Any] = {"type_code": TYPE_CODE, "root": merkle_root(leaves), "manifest_digest": sm3(b"m")}
        self.run(self.call(self.clerk, "batches", "issue_batch", **serials, **named))
        batch = batch_name(TYPE_CODE, self.provider, "202500000000")
        return [
            self.call(
                self.clerk, "batches", "admit", batch=batch, position=n, content=content, path=merkle_path(leaves, n)
            )
            for n, content in enumerate(contents)
        ]

    def anchors(self) -> list[Call]:
        return [self.call(self.clerk, "anchors", "anchor", digest=sm3(b"a%d" % n), label="批次") for n in range(COUNT)]

    def access_batches(self) -> list[Call]:
        policy = {"heartbeat_s": 60, "max_batch_records": 10_000, "on_outage": 1, "stop_after_s": 0}
        self.run(self.call(self.reader, "access", "declare_stream", **policy, bodies_at="", second_place=""))
        stated = {"count": 10_000, "root": sm3(b"root"), "served": 10_000, "denied": 0, "irregular": 0, "rows": 10_000}
        calls, previous = [], access.FIRST_PREVIOUS_DIGEST
        for number in range(1, COUNT + 1):
            last = sm3(b"read%d" % number)
            place = {"batch_number": number, "first_number": 10_000 * (number - 1) + 1}
            period = {"from_ms": TIME_MS, "to_ms": TIME_MS, "previous_digest": previous, "last_digest": last}
            calls.append(self.call(self.reader, "access", "record_batch", **place, **period, **stated))
            previous = last
        return calls


def us_per_call(office: Office, calls: Sequence[Call], start: DictState) -> float:
    """Return the best of ROUNDS mean times of a call, each round from the same state."""
    best = float("inf")
    for _ in range(ROUNDS):
        office.state = DictState(start)
        gc.collect()
        begun = time.process_time()
        for call in calls:
            registry.execute_call(office.state, call)
        best = min(best, time.process_time() - begun)
    return round(best / len(calls) * 1e6, 2)


def us_each(function: Callable[[], object]) -> float:
    """Return the best of ROUNDS mean times of a function."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(COUNT):
            function()
        best = min(best, time.process_time() - begun)
    return round(best / COUNT * 1e6, 2)


def codec_figures(issue: Call) -> dict[str, float]:
    """Return the codec's figures beside eth_abi's, for the call data of one issue."""
    from eth_abi.abi import decode, encode

    method = registry.CONTRACTS["certificates"].methods["issue"]
    names = [item.name for item in method.inputs.items]
    values = method.inputs.decode_all(issue.data, 4)
    return {
        "abi_decode_us": us_each(lambda: method.inputs.decode_all(issue.data, 4)),
        "eth_abi_decode_us": us_each(lambda: decode(names, issue.data[4:])),
        "abi_encode_us": us_each(lambda: method.inputs.encode(values)),
        "eth_abi_encode_us": us_each(lambda: encode(names, values)),
        "parse_identifier_us": us_each(lambda: identifiers.parse_identifier(values[0])),
    }


def main() -> None:
    office = Office()
    start = DictState(office.state)
    issues = office.issues()
    figures: dict[str, float] = {"issue_us": us_per_call(office, issues, start)}
    issued = DictState(office.state)
    figures["issue_existing_us"] = us_per_call(office, issues, issued)
    figures["suspend_us"] = us_per_call(office, office.changes("suspend"), issued)
    figures["revoke_us"] = us_per_call(office, office.changes("revoke", status="03"), issued)
    figures["issue_batch_us"] = us_per_call(office, office.batches(), start)
    figures["issue_beside_batches_us"] = us_per_call(office, issues, office.state)
    office.state = DictState(start)
    figures["admit_us"] = us_per_call(office, office.members(), DictState(office.state))
    figures["anchor_us"] = us_per_call(office, office.anchors(), start)
    office.state = DictState(start)
    batches = office.access_batches()
    figures["access_batch_us"] = us_per_call(office, batches, DictState(office.state))
    figures |= codec_figures(issues[0])
    figures["issue_call_data_bytes"] = len(issues[0].data)
    figures["certificate_record_bytes"] = sum(map(len, issued.values())) // len(issued)
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:28} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
