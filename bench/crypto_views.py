"""Time and gas of what EVM code asks of system contracts: `python bench/crypto_views.py [--json]`; no tree, no disk, no signatures.

One line a call: gas, work units, processor microseconds, and how many of each go into a microsecond. The figures in
docs/adr/0014-system-contracts-for-evm-code.md come from here.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from contracts import identifiers, registry
from contracts.accounts import OPERATION_ROLES, address_of_key
from contracts.call import Call, CallResult
from contracts.calls import execute_call
from contracts.evm import PRECOMPILES, SYSTEM_GAS_PER_WORK
from contracts.evm_state import EvmBlock
from contracts.parameters import ChainParameters
from sm_crypto.merkle import leaf_hash, merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey, multibuffer_available
from sm_crypto.sm3 import sm3
from sm_crypto.sm4 import seal

ROUNDS: Final = 5
ROUND_S: Final = 0.05
TIME_MS: Final = 1_750_000_000_000
GAS: Final = 30_000_000
TYPE_CODE: Final = "11100000MB03271699001"
REGISTRY: Final = Path(__file__).parents[1] / "contracts" / "samples" / "Registry.json"


class DictState(dict[bytes, bytes]):
    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


class Office:
    """One department with one certificate, and the sample register deployed."""

    def __init__(self) -> None:
        self.code = "11330100MB1234567" + identifiers.uscc_check_character("11330100MB1234567")
        governor, clerk = (PrivateKey.from_bytes(sm3(bytes((n,)))) for n in (1, 2))
        self.clerk = address_of_key(clerk.public_key)
        accounts = [
            SimpleNamespace(public_key=key.public_key, roles=roles, name="x")
            for key, roles in ((governor, ["governor"]), (clerk, sorted(OPERATION_ROLES)))
        ]
        department = SimpleNamespace(
            code=self.code, name="局", region="330100", level="city", parent="", accounts=accounts
        )
        self.state = DictState()
        registry.write_genesis(self.state, [department], [], ChainParameters(), TIME_MS)
        kind = {"code": TYPE_CODE, "name": "不动产权证书", "defining_body": "自然资源部", "defining_level": "national"}
        kind |= {"holder_category": "person", "validity_range": "", "issuing_level": "city"}
        kind |= {"certificate_class": "certificate", "code_table": "default"}
        self.write(address_of_key(governor.public_key), "register_type", **kind, issuers=[self.code])
        self.identifier = identifiers.make_identifier(TYPE_CODE, self.code, "20250001")
        issued: dict[str, Any] = {"identifier": self.identifier, "document_digest": sm3(b"d")}
        issued |= {"holder_commitment": sm3(b"h"), "valid_from_ms": 0, "valid_to_ms": 2 * TIME_MS}
        self.write(self.clerk, "issue", **issued)
        artefact = json.loads(REGISTRY.read_text("utf-8"))
        self.registry = self.transact(None, bytes.fromhex(artefact["bytecode"].removeprefix("0x"))).output

    def write(self, sender: bytes, method: str, **arguments: Any) -> None:
        to, data = registry.encode_call("certificates", method, **arguments)
        result = registry.execute_call(self.state, Call(sender, to, data, GAS, 1, TIME_MS, sm3(data)))
        if result.refusal is not None:
            raise SystemExit(f"refused: {result.refusal}")

    def transact(self, to: bytes | None, data: bytes) -> CallResult:
        block = EvmBlock(1, TIME_MS, 7, GAS, lambda _: 0, lambda _: None)
        result = execute_call(self.state, Call(self.clerk, to, data, GAS, 1, TIME_MS, sm3(data)), block)
        if result.refusal is not None:
            raise SystemExit(f"refused: {result.refusal}")
        return result

    def asked(self, contract: str, method: str, padding: int = 0, **arguments: Any) -> Callable[[], CallResult]:
        """Return a view as EVM code calls it, `padding` bytes of memory behind the arguments."""
        to, data = registry.encode_call(contract, method, **arguments)
        call = Call(bytes(20), to, data + bytes(padding), GAS, 1, TIME_MS, bytes(32))
        return lambda: registry.CONTRACTS[contract].execute(self.state, call, by_code=True)

    def registered(self) -> Callable[[], CallResult]:
        """Return the registration of a new digest each time, in the EVM."""
        numbers = iter(range(1, 2**40))
        head = registry_selector()
        return lambda: self.transact(self.registry, head + sm3(next(numbers).to_bytes(8)) + sm3(b"value"))


def registry_selector() -> bytes:
    artefact = json.loads(REGISTRY.read_text("utf-8"))
    method = next(
        entry
        for entry in artefact["abi"]
        if entry["type"] == "function" and [i["type"] for i in entry["inputs"]] == ["bytes32", "bytes32"]
    )
    from contracts.abi import selector

    return selector(f"{method['name']}(bytes32,bytes32)")


def us_each(function: Callable[[], object]) -> float:
    """Return the best of ROUNDS mean processor times of a function."""
    begun = time.process_time()
    function()
    count = max(1, int(ROUND_S / max(time.process_time() - begun, 1e-6)))
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.process_time()
        for _ in range(count):
            function()
        best = min(best, time.process_time() - begun)
    return best / count * 1e6


def cases(office: Office) -> dict[str, Callable[[], CallResult]]:
    key, nonce = bytes(16), bytes(12)
    signer = PrivateKey.from_bytes(sm3(b"signer"))
    short, long = sm3(b"m"), bytes(100_000)
    leaves = [leaf_hash(number.to_bytes(2)) for number in range(4_096)]
    proof: dict[str, Any] = {"root": merkle_root(leaves), "index": 5, "count": 4_096, "path": merkle_path(leaves, 5)}
    deep: dict[str, Any] = {"root": bytes(32), "leaf": b"", "index": 0, "count": 2**63, "path": [bytes(32)] * 63}
    wide: dict[str, Any] = deep | {"path": [bytes(32)] * 4_000}
    asked = office.asked
    verified = {"public_key": signer.public_key, "message": short, "signature": signer.sign(short)}
    opened: dict[str, Any] = {"key": key, "nonce": nonce, "associated_data": b""}
    found = {
        "sm3 of 32 bytes": asked("crypto", "sm3", data=short),
        "sm3 of 1,000 bytes": asked("crypto", "sm3", data=long[:1_000]),
        "sm3 of 100,000 bytes": asked("crypto", "sm3", data=long),
        "sm3 of 32 bytes, 16 KiB behind": asked("crypto", "sm3", 16_384, data=short),
        "sm2_verify of 32 bytes": asked("crypto", "sm2_verify", **verified),
        "sm2_verify of 33 bytes": asked(
            "crypto", "sm2_verify", **verified | {"message": short + b"x", "signature": signer.sign(short + b"x")}
        ),
        "sm2_verify, another message": asked("crypto", "sm2_verify", **verified | {"message": short + b"y"}),
        "sm2_verify, key off the curve": asked("crypto", "sm2_verify", **verified | {"public_key": b"\1" * 64}),
        "sm2_verify of 100,000 bytes": asked(
            "crypto", "sm2_verify", **verified | {"message": long, "signature": signer.sign(long)}
        ),
        "merkle_verify, 12 levels": asked("crypto", "merkle_verify", leaf=(5).to_bytes(2), **proof),
        "merkle_verify, 63 levels": asked("crypto", "merkle_verify", **deep),
        "merkle_verify, 4,000 siblings": asked("crypto", "merkle_verify", **wide),
    }
    for size in (32, 1_000, 100_000):
        sealed = seal(key, nonce, long[:size])
        found[f"sm4_gcm_open of {size:,} bytes"] = asked("crypto", "sm4_gcm_open", sealed_text=sealed, **opened)
    changed = sealed[:-1] + b"\0" if sealed[-1] else sealed[:-1] + b"\1"
    found["sm4_gcm_open, 100,000 changed"] = asked("crypto", "sm4_gcm_open", sealed_text=changed, **opened)
    found |= {
        "certificates.is_in_force": asked("certificates", "is_in_force", identifier=office.identifier),
        "certificates.certificate": asked("certificates", "certificate", identifier=office.identifier),
        "members.has_role": asked("members", "has_role", account=office.clerk, department=office.code, role="issuer"),
        "EVM registry call (a transaction)": office.registered(),
    }
    return found


def precompile_us(number: int, data: bytes) -> float:
    run, _ = PRECOMPILES[number.to_bytes(20, "big")]
    message = SimpleNamespace(data=data, data_as_bytes=data, gas=GAS)
    computation = SimpleNamespace(msg=message, consume_gas=lambda *_, **__: None, output=b"")
    return us_each(lambda: run(computation))


def main() -> None:
    office = Office()
    rows: list[dict[str, Any]] = []
    for name, run in cases(office).items():
        result, us = run(), us_each(run)
        work = result.work or result.gas_used // SYSTEM_GAS_PER_WORK
        rows.append({"call": name, "refusal": result.refusal, "gas": result.gas_used, "work": work, "us": round(us, 2)})
    message = sm3(b"m") + (27).to_bytes(32) + b"\1" * 64
    rows.append(
        {"call": "ecrecover (Ethereum's)", "refusal": None, "gas": 3_000, "us": round(precompile_us(1, message), 2)}
    )
    rows.append(
        {
            "call": "sha256 of 1,000 bytes (Ethereum's)",
            "refusal": None,
            "gas": 444,
            "us": round(precompile_us(2, bytes(1_000)), 2),
        }
    )
    if "--json" in sys.argv:
        print(json.dumps({"multibuffer": multibuffer_available(), "rows": rows}))
        return
    print(f"multi-buffer SM2: {multibuffer_available()}")
    for row in rows:
        rates = f"{row['gas'] / row['us']:9.0f} gas/us"
        rates += f"{row['work'] / row['us']:8.1f} work/us" if "work" in row else ""
        print(f"{row['call']:36}{row['gas']:>10,} gas{row['us']:>11,.2f} us{rates}  {row['refusal'] or ''}")


if __name__ == "__main__":
    main()
