"""The contract `crypto`: the standards' vectors, changed ones, and an independent implementation, directly and from Vyper code."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from gmssl import sm2 as oracle_sm2
from gmssl import sm3 as oracle_sm3
from gmssl import sm4 as oracle_sm4

from contracts import crypto, frame, registry
from contracts.abi import decode_error
from contracts.call import Call, CallResult
from contracts.crypto import Opened
from sm_crypto.merkle import leaf_hash, merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from sm_crypto.sm4 import seal

CRYPTO = registry.CONTRACTS["crypto"]
METHODS = CRYPTO.methods


class Asked:
    """The views asked twice, directly and through a Vyper contract: both must say the same."""

    def __init__(self, office: Any, contract: bytes) -> None:
        self.office, self.contract = office, contract

    def __call__(self, method: str, **arguments: Any) -> Any:
        data = METHODS[method].encode_call(arguments)
        direct = self.office.ask(CRYPTO.address, data)
        assert self.office.ask(self.contract, data) == direct
        found = registry.view({}, "crypto", method, **arguments)
        assert METHODS[method].encode_output(found) == direct
        return found


@pytest.fixture
def ask(office: Any, compile_vyper: Callable[[str], bytes], asker: Callable[..., str]) -> Asked:
    return Asked(office, office.deploy(compile_vyper(asker(CRYPTO, "vyper"))))


def as_bytes(vector: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in vector.items() if name not in ("source", "name")}


def by_code(method: str, gas_limit: int = 10_000_000, **arguments: Any) -> CallResult:
    data = METHODS[method].encode_call(arguments)
    return CRYPTO.execute({}, Call(bytes(20), CRYPTO.address, data, gas_limit, 1, 0, bytes(32)), by_code=True)  # type: ignore[arg-type]


def test_sm3_gives_the_standards_digests(ask: Asked, vectors: Callable[[str], Any]) -> None:
    for vector in vectors("sm3")["digests"]:
        assert ask("sm3", data=bytes.fromhex(vector["message"])) == bytes.fromhex(vector["digest"])


def test_sm3_agrees_with_another_implementation(ask: Asked) -> None:
    source = random.Random(20)
    for length in (0, 1, 31, 32, 33, 55, 56, 63, 64, 65, 119, 120, 1_000):
        data = source.randbytes(length)
        assert ask("sm3", data=data).hex() == oracle_sm3.sm3_hash(list(data))


def test_sm2_takes_the_standards_signature(ask: Asked, vectors: Callable[[str], Any]) -> None:
    vector = as_bytes(vectors("sm2")["signature"])
    stated = {"public_key": vector["public_key"], "message": vector["message"]}
    assert ask("sm2_verify", signature=vector["r"] + vector["s"], **stated) is True


def test_sm2_takes_no_changed_signature_message_or_key(ask: Asked, vectors: Callable[[str], Any]) -> None:
    """A false answer, never a revert: a contract that checks what somebody handed in goes on."""
    negative = vectors("sm2_negative")
    good = as_bytes(vectors("sm2")["signature"])
    for vector in [*negative["signatures"], *negative["public_keys"]]:
        changed = good | as_bytes(vector)
        if "user_id" in vector:
            continue  # The view has the default user id only.
        signature, public_key, message = changed["r"] + changed["s"], changed["public_key"], changed["message"]
        arguments = {"public_key": public_key, "message": message, "signature": signature}
        # Longer ones do not fit the types of Vyper's interface.
        verify = ask if max(len(signature), len(public_key)) <= 64 else partial(registry.view, {}, "crypto")
        assert verify("sm2_verify", **arguments) is False, vector["name"]


def test_sm2_agrees_with_another_implementation(ask: Asked) -> None:
    source = random.Random(21)
    for number in range(6):
        key = PrivateKey.from_bytes(sm3(bytes((number,))))
        other = oracle_sm2.CryptSM2(private_key=key.to_bytes().hex(), public_key=key.public_key.hex())
        message = source.randbytes(source.choice((0, 1, 32, 33, 500)))
        theirs = bytes.fromhex(
            other.sign_with_sm3(message, "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21")
        )
        ours = key.sign(message)
        for signature in (theirs, ours, ours[:-1] + bytes((ours[-1] ^ 1,))):
            expected = bool(other.verify_with_sm3(signature.hex(), message))
            assert expected is (signature[-1] == ours[-1] or signature == theirs)
            found = ask("sm2_verify", public_key=key.public_key, message=message, signature=signature)
            assert found is expected


def test_sm4_opens_the_vector_of_rfc_8998(ask: Asked, vectors: Callable[[str], Any]) -> None:
    vector = as_bytes(vectors("sm4")["gcm"])
    stated = {name: vector[name] for name in ("key", "nonce", "associated_data")}
    sealed = vector["ciphertext"] + vector["tag"]
    assert ask("sm4_gcm_open", sealed_text=sealed, **stated) == Opened(True, vector["plaintext"])


def test_sm4_opens_nothing_that_was_changed(ask: Asked, vectors: Callable[[str], Any]) -> None:
    vector = as_bytes(vectors("sm4")["gcm"])
    stated = {name: vector[name] for name in ("key", "nonce", "associated_data")}
    stated["sealed_text"] = vector["ciphertext"] + vector["tag"]
    for name, value in stated.items():
        for position in (0, len(value) - 1):
            changed = value[:position] + bytes((value[position] ^ 0x80,)) + value[position + 1 :]
            assert ask("sm4_gcm_open", **stated | {name: changed}) == Opened(False, b""), name
    for length in (0, 1, 15, 16, 17):
        short = stated | {"sealed_text": stated["sealed_text"][:length]}
        assert ask("sm4_gcm_open", **short) == Opened(False, b""), length


def test_sm4_opens_texts_of_no_and_of_many_bytes(ask: Asked) -> None:
    key, nonce = sm3(b"key")[:16], sm3(b"nonce")[:12]
    for length in (0, 1, 31, 32, 33, 10_000):
        plaintext = random.Random(length).randbytes(length)
        sealed = seal(key, nonce, plaintext, b"bid 7")
        opened = ask("sm4_gcm_open", key=key, nonce=nonce, sealed_text=sealed, associated_data=b"bid 7")
        assert opened == Opened(True, plaintext)


def _multiplied(left: int, right: int) -> int:
    """Multiply in GF(2^128) with the bits in GCM's order (NIST SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (0xE1 << 120 if right & 1 else 0)
    return product


def _sealed_by_the_oracle(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return ciphertext and tag by NIST SP 800-38D, 7.1, over the block cipher of another implementation."""
    cipher = oracle_sm4.CryptSM4()
    cipher.set_key(key, oracle_sm4.SM4_ENCRYPT)

    def encrypted(block: bytes) -> bytes:
        return bytes(cipher.one_round(cipher.sk, list(block)))

    count = -(-len(plaintext) // 16)
    mask = b"".join(encrypted(nonce + number.to_bytes(4)) for number in range(2, 2 + count))
    ciphertext = bytes(one ^ other for one, other in zip(plaintext, mask, strict=False))
    subkey, value = int.from_bytes(encrypted(bytes(16))), 0
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated_data, ciphertext))
    padded += (8 * len(associated_data)).to_bytes(8) + (8 * len(ciphertext)).to_bytes(8)
    for at in range(0, len(padded), 16):
        value = _multiplied(value ^ int.from_bytes(padded[at : at + 16]), subkey)
    return ciphertext + (value ^ int.from_bytes(encrypted(nonce + (1).to_bytes(4)))).to_bytes(16)


def test_sm4_agrees_with_another_implementation(ask: Asked) -> None:
    source = random.Random(22)
    for length in (0, 1, 15, 16, 17, 100):
        key, nonce, plaintext, stated = map(source.randbytes, (16, 12, length, source.randrange(40)))
        sealed = _sealed_by_the_oracle(key, nonce, plaintext, stated)
        opened = ask("sm4_gcm_open", key=key, nonce=nonce, sealed_text=sealed, associated_data=stated)
        assert opened == Opened(True, plaintext)


def test_a_leaf_of_an_anchored_batch_is_proved_to_a_contract(office: Any, ask: Asked) -> None:
    for count in (1, 2, 3, 7, 8, 100):
        data = [f"证照 {number}".encode() for number in range(count)]
        leaves = [leaf_hash(one) for one in data]
        root = merkle_root(leaves)
        office.bench.accept(office.bench.issuer, "anchors", "anchor_root", root=root, label="批次", count=count)
        for index in {0, count // 2, count - 1}:
            proof: dict[str, Any] = {"root": root, "leaf": data[index], "index": index, "count": count}
            path = merkle_path(leaves, index)
            assert ask("merkle_verify", path=path, **proof) is True
            wrong: list[dict[str, Any]] = [
                {"leaf": data[index] + b" "},
                {"root": bytes(32)},
                {"index": count},
                {"index": 2**64 - 1},
                {"count": 0},
                {"path": [*path, bytes(32)]},
                {"path": path[1:]} if path else {"path": [root]},
                # An inner node must not pass for a leaf.
                {"leaf": b"".join(leaves[:2]), "index": 0, "path": path[1:]} if count > 1 else {"leaf": b""},
            ]
            for change in wrong:
                assert ask("merkle_verify", **{"path": path} | proof | change) is False, (count, index, change)


def test_a_path_that_no_tree_has_is_false_and_not_a_fault() -> None:
    for length in (64, 65, 2_000):
        path = [bytes(32)] * length
        result = by_code("merkle_verify", root=bytes(32), leaf=b"", index=0, count=2**64 - 1, path=path)
        assert (result.refusal, int.from_bytes(result.output, "big")) == (None, 0)


def test_gas_is_as_specified() -> None:
    def words(length: int) -> int:
        return (length + 31) // 32

    def expected(data_length: int, own: int) -> int:
        return frame.CODE_CALL_GAS + frame.CODE_WORD_GAS * words(data_length) + own

    for length in (0, 1, 32, 33, 5_000):
        data = METHODS["sm3"].encode_call({"data": bytes(length)})
        assert by_code("sm3", data=bytes(length)).gas_used == expected(len(data), crypto.SM3_WORD_GAS * words(length))
    arguments: dict[str, Any] = {"public_key": bytes(64), "message": bytes(100), "signature": bytes(64)}
    data = METHODS["sm2_verify"].encode_call(arguments)
    own = crypto.SM2_VERIFY_GAS + crypto.SM3_WORD_GAS * 4
    assert by_code("sm2_verify", **arguments).gas_used == expected(len(data), own)
    arguments = {"key": bytes(16), "nonce": bytes(12), "sealed_text": bytes(100), "associated_data": bytes(33)}
    data = METHODS["sm4_gcm_open"].encode_call(arguments)
    own = crypto.SM4_OPEN_GAS + crypto.SM4_WORD_GAS * 6
    assert by_code("sm4_gcm_open", **arguments).gas_used == expected(len(data), own)
    arguments = {"root": bytes(32), "leaf": bytes(64), "index": 0, "count": 9, "path": [bytes(32)] * 5}
    data = METHODS["merkle_verify"].encode_call(arguments)
    own = crypto.SM3_WORD_GAS * 2 + crypto.MERKLE_LEVEL_GAS * 6
    assert by_code("merkle_verify", **arguments).gas_used == expected(len(data), own)


def test_too_little_gas_is_refused_and_used_up() -> None:
    needed = by_code("sm3", data=bytes(100)).gas_used
    assert by_code("sm3", needed, data=bytes(100)).refusal is None
    short = by_code("sm3", needed - 1, data=bytes(100))
    assert (short.refusal, short.gas_used) == ("OUT_OF_GAS", needed - 1)


def test_arguments_of_another_form_are_refused(office: Any) -> None:
    head = METHODS["sm4_gcm_open"].encode_call(
        {"key": bytes(16), "nonce": bytes(12), "sealed_text": b"", "associated_data": b""}
    )
    for data in (head[:-1], head[:4] + b"\1" * (len(head) - 4), head[:4]):
        result = office.run(office.bench.auditor.address, CRYPTO.address, data)
        assert result.refusal == "MALFORMED_CALL"
        assert (decode_error(result.output) or "").startswith("MALFORMED_CALL: ")
