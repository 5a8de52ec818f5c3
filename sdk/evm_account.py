"""An account as web3.py programs use one: signs transaction dicts of theirs with an SM2 key, with or without a node at hand."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from eth_utils.address import is_checksum_address, is_checksum_formatted_address, to_checksum_address
from hexbytes import HexBytes

from node.chain.codec import encode
from node.chain.transaction import (
    MAX_CALL_DATA_BYTES,
    TRANSACTION_VERSION,
    Transaction,
    TransactionBody,
    address_of,
    transaction_id,
)
from sdk.client import DEFAULT_VALIDITY_MS
from sdk.request_signing import RequestSigner
from sm_crypto.keystore import ADDRESS_BYTES, KeyFileError, WrongPassword, load_key
from verification.errors import InputError

NONCE_BYTES: Final = 16
MAX_UINT63: Final = 2**63 - 1

# What Ethereum's clients fill in for fees and kinds of transaction: there are neither here, and leaving it out changes nothing.
_WITHOUT_EFFECT: Final = frozenset({"type", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "accessList"})
_FIELDS: Final = frozenset({"from", "to", "gas", "data", "input", "value", "nonce", "chainId"})


class SignedTransaction(NamedTuple):
    """What `eth_sendRawTransaction` takes, the hash it answers with, and the block time (ms) after which it is void."""

    raw_transaction: HexBytes
    hash: HexBytes
    valid_until_ms: int


class Sm2Account:
    """One SM2 key as web3.py's local accounts are: `address` and `sign_transaction`."""

    def __init__(self, signer: RequestSigner) -> None:
        """Sign with `signer`, such as sm_crypto.keystore.load_key returns."""
        self._signer = signer
        self.address = to_checksum_address(address_of(signer.public_key))
        """In the mixed-case form that web3.py asks for (EIP-55)."""

    @classmethod
    def from_key_file(cls, key: Path | str, password_file: Path | str) -> Sm2Account:
        """Return the account of a key file, opened with the password in a file of mode 0600.

        Raise InputError when one of the files cannot be used, or the password does not open the key.
        """
        from node.config import ConfigError, read_password_file

        try:
            return cls(load_key(Path(key), read_password_file(Path(password_file))))
        except ConfigError as error:
            raise _from_file("PASSWORD_FILE", error) from None
        except WrongPassword as error:
            raise _from_file("WRONG_PASSWORD", error) from None
        except KeyFileError as error:
            raise _from_file("KEY_FILE", error) from None

    def sign_transaction(
        self, transaction: Mapping[str, Any], *, valid_until_ms: int | None = None
    ) -> SignedTransaction:
        """Return a transaction dict of web3.py as a signed transaction; needs no node. Raise InputError on a field that does not fit.

        `chainId` and `gas` must be there. It is good once, until block time `valid_until_ms` (two minutes from now by this
        machine's clock when None). An integer `nonce` has no effect, since transactions here are not numbered by their
        sender; 16 bytes are taken as they are, so that the same dict and end give the same hash.
        """
        fields = {name: value for name, value in transaction.items() if value is not None}
        unknown = sorted(set(fields) - _FIELDS - _WITHOUT_EFFECT)
        if unknown:
            raise _invalid(
                f"交易没有字段 {unknown[0]!r:.80}，有：{', '.join(sorted(_FIELDS))}",
                f"a transaction has no field {unknown[0]!r:.80}, it has: {', '.join(sorted(_FIELDS))}",
            )
        self._check_sender(fields)
        if _integer(fields, "value", 0):
            raise _wrong("value", "0，本链没有币", "0, as this chain has no coin", fields["value"])
        if valid_until_ms is None:
            valid_until_ms = time.time_ns() // 1_000_000 + DEFAULT_VALIDITY_MS
        body = TransactionBody(
            TRANSACTION_VERSION,
            _integer(fields, "chainId"),
            _nonce(fields.get("nonce")),
            valid_until_ms,
            self._signer.public_key,
            _target(fields.get("to")),
            _integer(fields, "gas"),
            _data(fields),
        )
        identifier = transaction_id(body)
        raw = encode(Transaction(body, self._signer.sign(identifier)))
        return SignedTransaction(HexBytes(raw), HexBytes(identifier), valid_until_ms)

    def is_sender(self, transaction: Mapping[str, Any]) -> bool:
        """Return whether a transaction dict is this account's to sign: its `from` is this address, or absent."""
        sender = transaction.get("from")
        return sender is None or _bytes("from", sender) == bytes.fromhex(self.address[2:])

    def _check_sender(self, fields: Mapping[str, Any]) -> None:
        if not self.is_sender(fields):
            raise _wrong("from", f"本账户 {self.address}", f"this account, {self.address}", fields["from"])

    def __repr__(self) -> str:
        return f"Sm2Account({self.address})"


def _target(value: Any) -> bytes | None:
    """Return the 20-byte address called, None for a deployment."""
    raw = b"" if value is None else _bytes("to", value)
    # An empty text is an address that somebody forgot; b"" and 0x are what web3.py writes for a deployment.
    if len(raw) not in {0, ADDRESS_BYTES} or value == "":
        raise _wrong("to", "20 字节的地址，部署时不给", "an address of 20 bytes, absent to deploy", value)
    if isinstance(value, str) and is_checksum_formatted_address(value) and not is_checksum_address(value):
        shown = to_checksum_address(raw)
        raise _wrong(
            "to",
            f"大小写校验（EIP-55）正确的地址，如 {shown}",
            f"an address whose case is its checksum, {shown}",
            value,
        )
    return raw or None


def _data(fields: Mapping[str, Any]) -> bytes:
    given = {name: _bytes(name, fields[name]) for name in ("data", "input") if name in fields}
    if len(set(given.values())) > 1:
        raise _wrong("input", "与 data 相同，或只给其一", "the same as data, or one of them only", "another value")
    data = next(iter(given.values()), b"")
    if len(data) > MAX_CALL_DATA_BYTES:
        limit = MAX_CALL_DATA_BYTES
        raise _wrong("data", f"至多 {limit} 字节", f"at most {limit} bytes", f"{len(data)} bytes")
    return data


def _nonce(value: Any) -> bytes:
    if isinstance(value, bytes):
        if len(value) != NONCE_BYTES:
            raise _wrong("nonce", f"{NONCE_BYTES} 字节或整数", f"{NONCE_BYTES} bytes or an integer", value)
        return bytes(value)
    if value is not None:
        _integer({"nonce": value}, "nonce")
    return secrets.token_bytes(NONCE_BYTES)


def _integer(fields: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Return an integer given as one or as 0x and hex digits; raise InputError otherwise, and where it is missing without a default."""
    value = fields.get(name, default)
    if value is None:
        zh, en = (
            f"交易缺少字段 {name}，应为 0 至 2^63-1 的整数",
            f"the transaction lacks the field {name}, an integer from 0 to 2^63-1",
        )
        raise _invalid(zh, en)
    if isinstance(value, str) and value[:2] in {"0x", "0X"}:
        try:
            value = int(value, 16)
        except ValueError:
            value = None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_UINT63:
        return value
    raise _wrong(name, "0 至 2^63-1 的整数", "an integer from 0 to 2^63-1", fields[name])


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        digits = value[2:] if value[:2] in {"0x", "0X"} else value
        try:
            return bytes.fromhex(digits)
        except ValueError:
            pass
    raise _wrong(name, "字节或 0x 十六进制", "bytes, or 0x and hex digits", value)


def _wrong(name: str, zh: str, en: str, found: Any) -> InputError:
    shown = repr(found)
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    return _invalid(
        f"交易字段 {name} 应为：{zh}；实为 {shown}", f"field {name} of the transaction: expected {en}, found {shown}"
    )


def _invalid(zh: str, en: str) -> InputError:
    return InputError("TRANSACTION_INVALID", zh, en)


def _from_file(code: str, error: Exception) -> InputError:
    """Return the error of a file of the account's, whose text is in both languages already."""
    zh, _, en = str(error).partition(" / ")
    return InputError(code, zh, en or zh)
