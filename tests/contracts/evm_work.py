"""What hostile contracts cost: each spends its transaction's gas or work in its own way; time per unit of work, and memory.

`python -m tests.contracts.evm_work` prints the table; every contract runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from contracts import registry
from contracts.abi import keccak256
from contracts.accounts import address_of_key
from contracts.call import Call, CallResult
from contracts.deployments import DEPLOYMENTS, DeploymentRecord
from contracts.evm_call import execute_evm_call
from contracts.evm_state import ContractAccount, EvmBlock, code_key, contract_key
from contracts.identifiers import uscc_check_character
from contracts.parameters import ChainParameters
from contracts.recent_blocks import load_block_id, save_block_id
from sm_crypto.sm2 import PrivateKey

CONTRACT: Final = b"\xc0" * 20
HELPER: Final = b"\xc1" * 20
GAS_LIMIT: Final = ChainParameters().max_transaction_gas
UNIT_US: Final = 0.2
"""What a unit of work stands for."""
_MEGABYTE: Final = 2**20


class Ledger(dict[bytes, bytes]):
    """State as a dict."""

    def set(self, key: bytes, value: bytes) -> None:
        """Put a value."""
        self[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self.pop(key, None)


def push(value: int) -> str:
    """Return a PUSH in hex."""
    raw = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return f"{0x5F + len(raw):02x}{raw.hex()}"


def loop(body: str, before: str = "", times: int = 20) -> bytes:
    """Return code that runs `body` for ever."""
    start = len(bytes.fromhex(before))
    return bytes.fromhex(before + "5b" + body * times + push(start) + "56")


def memory_of(data: bytes) -> str:
    """Return code that puts bytes at the start of memory."""
    padded = data.ljust((len(data) + 31) // 32 * 32, b"\0")
    return "".join(f"7f{padded[at : at + 32].hex()}{push(at)}52" for at in range(0, len(padded), 32))


def call(target: bytes, size: int = 0, out: int = 0, op: str = "fa", gas: str = "5a") -> str:
    """Return a STATICCALL (or another of six operands) with memory's first bytes as data."""
    return f"{push(out)}5f{push(size)}5f73{target.hex()}{gas}{op}50"


def grow(size: int) -> str:
    """Return code that makes memory of so many bytes."""
    return f"5f{push(size - 32)}52"


def system(name: str, method: str, /, **arguments: Any) -> bytes:
    """Return code that calls a view for ever."""
    target, data = registry.encode_call(name, method, **arguments)
    return loop(call(target, len(data)), memory_of(data))


def precompile(number: int, data: bytes) -> bytes:
    """Return code that calls a precompile for ever."""
    return loop(call(number.to_bytes(20, "big"), len(data)), memory_of(data))


def word(value: int) -> bytes:
    """Return 32 bytes."""
    return value.to_bytes(32, "big")


def modexp(base: int, exponent: int, modulus: int) -> bytes:
    """Return data of these lengths, all bits set but the modulus' last."""
    lengths = word(base) + word(exponent) + word(modulus)
    return lengths + b"\xff" * (base + exponent) + b"\xff" * (modulus - 1) + b"\xfd"


JUMPING_INITCODE: Final = bytes.fromhex("6003565b00").ljust(49_000, b"\x5b")
MANY: Final = b"\xd0" * 18
"""The addresses of many contracts begin with it."""
MANY_COUNT: Final = 400
_CURVE_POINT: Final = word(1) + word(2)
_NEXT_COUNTER: Final = "600101"
_PUSHED_ONES: Final = "7f" + "ff" * 32


def hostile_contracts() -> dict[str, tuple[bytes, bytes]]:
    """Return each contract's code and the code of its helper, by what it does."""
    codes = instruction_contracts() | native_contracts()
    return {name: code if isinstance(code, tuple) else (code, b"\0") for name, code in codes.items()}


def instruction_contracts() -> dict[str, bytes | tuple[bytes, bytes]]:
    """Return those that wear instructions, memory and calls."""
    initcode = bytes.fromhex("615ffd6000f3")
    return {
        "empty loop": loop("", times=1),
        "pushes": loop("5f50"),
        "additions": loop("6001600201" * 20 + "50" * 20, times=1),
        "MULMOD": loop(f"{_PUSHED_ONES}80800950"),
        "SDIV": loop(f"{_PUSHED_ONES}{_PUSHED_ONES}0550"),
        "EXP": loop(f"{_PUSHED_ONES}800a50"),
        "BLOCKHASH": loop("600143034050"),
        "CALLDATALOAD": loop("5f3550"),
        "memory word by word": loop("808052602001", "5f"),
        "MLOAD": loop("5f5150"),
        "MCOPY of 1 MB": loop(f"{push(_MEGABYTE)}{push(_MEGABYTE)}5f5e", times=1),
        "CALLDATACOPY of 1 MB": loop(f"{push(_MEGABYTE)}5f5f37", times=1),
        "CODECOPY of 1 MB": loop(f"{push(_MEGABYTE)}5f5f39", times=1),
        "KECCAK256 of 32 bytes": loop("60205f2050"),
        "KECCAK256 of 100 kB": loop(f"{push(100_000)}5f2050", times=1),
        "cold SLOAD": loop(f"{_NEXT_COUNTER}805450", "5f"),
        "warm SLOAD": loop("5f5450"),
        "SSTORE to new slots": loop(f"{_NEXT_COUNTER}808055", "5f"),
        "SSTORE to and fro": loop("60015f555f5f55"),
        "TSTORE to new slots": loop(f"{_NEXT_COUNTER}80805d", "5f"),
        "cold BALANCE": loop(f"{_NEXT_COUNTER}803150", "6f" + "11" * 16),
        "cold EXTCODEHASH": loop(f"{_NEXT_COUNTER}803f50", "6f" + "11" * 16),
        "LOG4 without data": loop("5f" * 6 + "a4"),
        "LOG0 of 10 kB": loop(f"{push(10_000)}5fa0", times=1),
        "calls of nobody": loop(call(b"\xdd" * 20)),
        "calls with 1 MB": loop(call(b"\xdd" * 20, _MEGABYTE), times=1),
        "calls with 100 kB of identity": loop(call(bytes(19) + b"\4", 100_000), times=1),
        "calls of a contract": (loop(call(HELPER)), b"\0"),
        "DELEGATECALLs": (loop(call(HELPER, op="f4")), b"\0"),
        "helper that returns 100 kB": (loop(call(HELPER), times=1), bytes.fromhex(f"{push(100_000)}5ff3")),
        "helper that reverts": (loop(call(HELPER)), bytes.fromhex("5f5ffd")),
        "depth 1,024": loop(call(CONTRACT), times=1),
        "depth 1,024 with memory": loop(grow(60_000) + call(CONTRACT, 60_000), times=1),
        "CREATE of nothing": loop("5f5f5ff050"),
        "CREATE2 of 24 kB of code": loop(f"{_NEXT_COUNTER}8060065f5ff550", "5f" + memory_of(initcode)),
        "CREATE with 49 kB of jumps": bytes.fromhex("61bf686100135f395b61bf685f5ff050600856") + JUMPING_INITCODE,
        "many codes of 24 kB": loop("6001015f5f5f5f845afa50", "73" + MANY.hex() + "0000"),
    }


def native_contracts() -> dict[str, bytes | tuple[bytes, bytes]]:
    """Return those that wear precompiles and system contracts."""
    key = PrivateKey.from_bytes(bytes(31) + b"\x07")
    verify = {"public_key": key.public_key, "message": b"m", "signature": key.sign(b"m")}
    return {
        "ecrecover": precompile(1, b"\x22" * 32 + word(27) + word(2**250 + 1) + word(2**249 + 3)),
        "sha256 of 32 bytes": precompile(2, bytes(32)),
        "sha256 of 100 kB": loop(call(bytes(19) + b"\2", 100_000), times=1),
        "ripemd160 of 32 bytes": precompile(3, bytes(32)),
        "ripemd160 of 100 kB": loop(call(bytes(19) + b"\3", 100_000), times=1),
        "modexp of 1 byte": precompile(5, modexp(1, 1, 1)),
        "modexp of 32 bytes": precompile(5, modexp(32, 32, 32)),
        "modexp of 8, 200, 8 bytes": precompile(5, modexp(8, 200, 8)),
        "modexp of 256, 3, 256 bytes": precompile(5, modexp(256, 3, 256)),
        "modexp of 512 bytes": precompile(5, modexp(512, 8, 512)),
        "modexp of 2048, 1, 2048 bytes": precompile(5, modexp(2_048, 1, 2_048)),
        "ecadd": precompile(6, _CURVE_POINT * 2),
        "ecmul": precompile(7, _CURVE_POINT + b"\xff" * 32),
        "ecpairing of none": precompile(8, b""),
        "blake2 of 0 rounds": precompile(9, bytes(212) + b"\1"),
        "blake2 of 1,000 rounds": precompile(9, (1_000).to_bytes(4, "big") + bytes(208) + b"\1"),
        "BLS G1 map": precompile(0x10, bytes(63) + b"\5"),
        "BLS G2 map": precompile(0x11, bytes(63) + b"\5" + bytes(63) + b"\6"),
        "crypto.sm3 of 1 byte": system("crypto", "sm3", data=b"x"),
        "crypto.sm3 of 20 kB": system("crypto", "sm3", data=bytes(20_000)),
        "crypto.sm2_verify": system("crypto", "sm2_verify", **verify),
        "crypto.merkle_verify of 30 levels": system(
            "crypto", "merkle_verify", root=bytes(32), leaf=b"x", index=5, count=2**30, path=[b"\1" * 32] * 30
        ),
        "crypto.sm4_gcm_open of 10 kB": system(
            "crypto", "sm4_gcm_open", key=bytes(16), nonce=bytes(12), sealed_text=bytes(10_000), associated_data=b""
        ),
        "members.account of nobody": system("members", "account", account=bytes(20)),
        "members.validators": system("members", "validators"),
        "no such method": loop(call(registry.CONTRACTS["members"].address, 4)),
    }


def make_state(code: bytes, helper: bytes) -> tuple[Ledger, bytes]:
    """Return a state that holds the contracts, and the address of an account that may call them."""
    key = PrivateKey.from_bytes(bytes(31) + b"\x09")
    body = "11330100002500287"
    department = body + uscc_check_character(body)
    account = SimpleNamespace(public_key=key.public_key, roles=("deployer",), name="deployer")
    founding = SimpleNamespace(
        code=department, name="数据局", region="330100", level="city", parent="", accounts=(account,)
    )
    validators = [
        SimpleNamespace(
            name=f"node{number}",
            department=department,
            public_key=PrivateKey.from_bytes(bytes(31) + bytes((number + 20,))).public_key,
        )
        for number in range(32)
    ]
    state = Ledger()
    registry.write_genesis(state, [founding], validators, ChainParameters(), 1)
    save_block_id(state, 4, b"\x33" * 32)
    codes = {CONTRACT: code, HELPER: helper}
    if MANY in code:
        jumping = JUMPING_INITCODE[:24_000]
        codes |= {MANY + number.to_bytes(2): jumping + number.to_bytes(2) for number in range(1, MANY_COUNT)}
    for address, one in codes.items():
        code_hash = keccak256(one)
        state[contract_key(address)] = msgspec.msgpack.encode(ContractAccount(1, b"", code_hash))
        state[code_key(code_hash)] = one
        DEPLOYMENTS.save(state, address, DeploymentRecord(address, bytes(20), department, code_hash, 1, 1, 0, ""))
    return state, address_of_key(key.public_key)


def run(code: bytes, helper: bytes) -> tuple[CallResult, float, float]:
    """Return the result of a call of the whole gas limit, its seconds of one core, and MiB of memory that it took beside."""
    state, sender = make_state(code, helper)
    block = EvmBlock(5, 1_000, 77, 10**9, lambda _: 0, lambda height: load_block_id(state, height))
    call = Call(sender, CONTRACT, b"", GAS_LIMIT, 5, 1_000, bytes(32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.process_time()
    result = execute_evm_call(state, call, block, registry.BY_ADDRESS)
    took_s = time.process_time() - began_s
    return result, took_s, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024


def main() -> None:
    """Print the table."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.stdout.write("| contract | ends with | gas | work | ms | us a unit | MiB |\n|---|---|---|---|---|---|---|\n")
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for name, codes in hostile_contracts().items():
            if wanted in name:
                result, took_s, memory_mib = pool.apply(run, codes)
                a_unit_us = took_s * 1e6 / max(result.work, 1)
                sys.stdout.write(
                    f"| {name} | {result.refusal or 'success'} | {result.gas_used:,} | {result.work:,} | {took_s * 1e3:.0f} | "
                    f"{a_unit_us:.2f} | {memory_mib:.0f} |\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
