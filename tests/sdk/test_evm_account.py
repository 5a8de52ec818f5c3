"""SM2 accounts in web3.py: transaction dicts signed without a node, and a middleware that lets stock contract calls use them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hexbytes import HexBytes
from web3 import AsyncWeb3, Web3
from web3.exceptions import ContractLogicError
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse, Wei

from contracts import registry
from contracts.abi import decode_error
from contracts.call import Call, CallResult
from contracts.calls import execute_call
from contracts.evm_state import EvmBlock
from contracts.parameters import LEAST_GAS, ChainParameters
from contracts.records import ADDRESSES
from node.chain.genesis import GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import Transaction, address_of, decode_transaction, transaction_id
from node.chain.world_state import WorldState
from node.http.json_form import to_json
from sdk.errors import RequestRefused
from sdk.evm_account import Sm2Account
from sdk.web3_signing import sm2_signing, use_account
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey, verify
from verification.errors import InputError

ARTEFACT = json.loads((Path(__file__).parents[2] / "contracts/samples/Registry.json").read_text("utf-8"))
WRONG_CASE = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
"""The first of EIP-55's examples with one letter in the other case."""
CHAIN_ID = 20250801
DEPARTMENT = "11990100MB0000002X"
KEY, DIGEST = b"k" * 32, b"d" * 32
TARGET = "0x" + "11" * 20


@pytest.fixture
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def account(key: PrivateKey) -> Sm2Account:
    return Sm2Account(Signer(key))


def opened(raw: bytes) -> Transaction:
    """A raw transaction as a node takes it: canonical, and signed by the key that it names."""
    transaction = decode_transaction(raw)
    verify(transaction.body.sender_key, transaction_id(transaction.body), transaction.signature)
    return transaction


def stated(**changes: Any) -> dict[str, Any]:
    return {"to": TARGET, "data": "0x0102", "gas": 50_000, "chainId": CHAIN_ID} | changes


def test_an_account_signs_a_transaction_of_web3_without_a_node(account: Sm2Account, key: PrivateKey) -> None:
    signed = account.sign_transaction(stated(nonce=3, value=0, gasPrice="0x0"), valid_until_ms=1_780_000_000_000)
    transaction = opened(signed.raw_transaction)
    body = transaction.body
    assert signed.hash == transaction_id(body)
    assert (body.chain_id, body.gas_limit, body.valid_until_ms) == (CHAIN_ID, 50_000, 1_780_000_000_000)
    assert (body.to, body.data) == (bytes.fromhex(TARGET[2:]), b"\x01\x02")
    assert Web3.to_checksum_address(address_of(body.sender_key)) == account.address
    assert body.sender_key == key.public_key


def test_a_transaction_without_an_end_is_good_for_minutes_and_no_two_are_the_same(account: Sm2Account) -> None:
    now_ms = time.time_ns() // 1_000_000
    first, second = account.sign_transaction(stated(nonce=0)), account.sign_transaction(stated(nonce=0))
    assert now_ms + 60_000 < first.valid_until_ms < now_ms + 300_000
    assert first.hash != second.hash


def test_the_same_16_bytes_of_nonce_and_the_same_end_give_the_same_hash(account: Sm2Account) -> None:
    transactions = [account.sign_transaction(stated(nonce=b"n" * 16), valid_until_ms=1_780_000_000_000) for _ in "12"]
    assert transactions[0].hash == transactions[1].hash


@pytest.mark.parametrize("to", [None, "0x", b""])
def test_a_transaction_to_nobody_deploys(account: Sm2Account, to: Any) -> None:
    assert opened(account.sign_transaction(stated(to=to)).raw_transaction).body.to is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": 1}, "value"),
        ({"chainId": None}, "chainId"),
        ({"gas": None}, "gas"),
        ({"gas": "0xzz"}, "gas"),
        ({"gas": True}, "gas"),
        ({"gas": -1}, "gas"),
        ({"gas": 2**63}, "gas"),
        ({"to": "0x1234"}, "to"),
        ({"to": 7}, "to"),
        ({"to": ""}, "to"),
        ({"to": WRONG_CASE}, "to"),
        ({"data": "hello"}, "data"),
        ({"input": "0x03"}, "input"),
        ({"data": bytes(96 * 1024 + 1)}, "data"),
        ({"from": TARGET}, "from"),
        ({"nonce": b"short"}, "nonce"),
        ({"nonce": "next"}, "nonce"),
        ({"blobVersionedHashes": []}, "blobVersionedHashes"),
    ],
)
def test_a_field_that_does_not_fit_is_named(account: Sm2Account, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=field) as refused:
        account.sign_transaction(stated(**changes))
    assert refused.value.code == "TRANSACTION_INVALID"
    assert len(str(refused.value)) < 400


def test_an_account_opens_from_its_key_file(tmp_path: Path, key: PrivateKey, account: Sm2Account) -> None:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("open sesame\n")
    save_key(tmp_path / "a.key", key, b"open sesame", iterations=1_000)
    found = Sm2Account.from_key_file(str(tmp_path / "a.key"), password)
    assert found.address == account.address
    assert key.to_bytes().hex() not in repr(found)


@pytest.mark.parametrize(
    ("name", "password", "mode", "code"),
    [
        ("absent.key", "open sesame", 0o600, "KEY_FILE"),
        ("a.key", "open barley", 0o600, "WRONG_PASSWORD"),
        ("a.key", "open sesame", 0o644, "PASSWORD_FILE"),
        ("a.key", None, 0o600, "PASSWORD_FILE"),
    ],
)
def test_files_that_open_no_account_raise_an_error_of_the_sdk(
    tmp_path: Path, key: PrivateKey, name: str, password: str | None, mode: int, code: str
) -> None:
    save_key(tmp_path / "a.key", key, b"open sesame", iterations=1_000)
    path = tmp_path / "password"
    if password is not None:
        path.write_text(password)
        path.chmod(mode)
    with pytest.raises(InputError) as refused:
        Sm2Account.from_key_file(tmp_path / name, path)
    assert refused.value.code == code
    assert refused.value.zh != refused.value.en


def test_a_field_that_is_missing_or_unknown_is_said_to_be_so(account: Sm2Account) -> None:
    for name in ("gas", "chainId"):
        with pytest.raises(InputError, match=rf"缺少字段 {name}.*lacks the field {name}"):
            account.sign_transaction(stated(**{name: None}))
    with pytest.raises(InputError, match=r"has no field 'gasLimit', it has: chainId, data"):
        account.sign_transaction(stated(gasLimit=1))


def test_only_an_account_can_sign(w3: Web3) -> None:
    with pytest.raises(InputError, match=r"expected an Sm2Account, .*found .*a\.key"):
        use_account(w3, Path("a.key"))  # type: ignore[arg-type]


class OneNode:
    """Answers what web3.py asks of a node, executing each transaction by the real contracts in a block of its own."""

    def __init__(self, deployer: PrivateKey) -> None:
        self.parameters = ChainParameters(transaction_window_ms=100_000)
        self.reader = "0x" + address_of(deployer.public_key).hex()
        """In whose name a call without a sender is answered: a node asks no account of those who only read."""
        nothing: dict[bytes, bytes] = {}
        self.state = WorldState(nothing.get)
        account = GenesisAccount(deployer.public_key, ("deployer",), "deployer")
        department = GenesisDepartment(DEPARTMENT, "示范局", "990100", "city", "", (account,))
        validator = GenesisValidator("node1", DEPARTMENT, PrivateKey.generate().public_key)
        registry.write_genesis(self.state, (department,), (validator,), self.parameters, 1_780_000_000_000)
        self.taken: list[Transaction] = []
        self.results: dict[str, CallResult] = {}
        self.asked: list[str] = []

    def answer(self, method: str, params: Any) -> RPCResponse:
        self.asked.append(method)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": 1}
        found = getattr(self, method, None)
        if found is None:
            return answer | {"error": {"code": -32601, "message": "没有方法 / there is no method"}}  # type: ignore[return-value]
        try:
            return answer | {"result": found(*params)}  # type: ignore[return-value]
        except _Reverted as reverted:
            text = decode_error(reverted.result.output) or reverted.result.refusal
            error = {"code": 3, "message": f"execution reverted: {text}", "data": "0x" + reverted.result.output.hex()}
            return answer | {"error": error}  # type: ignore[return-value]

    def run(self, sender: bytes, to: bytes | None, data: bytes, gas: int, call_id: bytes = bytes(32)) -> CallResult:
        time_ms = 1_780_000_000_000 + len(self.taken)
        block = EvmBlock(1, time_ms, CHAIN_ID, 10**9, lambda _: len(self.taken), lambda _: None)
        return execute_call(self.state, Call(sender, to, data, gas, 1, time_ms, call_id), block)

    def eth_chainId(self) -> str:  # noqa: N802 - the method's name
        return hex(CHAIN_ID)

    def gov_getParameters(self) -> Any:  # noqa: N802
        return to_json(self.parameters)

    def eth_estimateGas(self, transaction: dict[str, Any], *_: Any) -> str:  # noqa: N802
        return hex(self.try_call(transaction).gas_used)

    def eth_call(self, transaction: dict[str, Any], *_: Any) -> str:
        return "0x" + self.try_call(transaction).output.hex()

    def eth_accounts(self) -> list[str]:
        return []

    def eth_getBlockByNumber(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        return {"number": "0x1", "gasLimit": hex(self.parameters.max_block_gas)}

    def eth_sendRawTransaction(self, raw: str) -> str:  # noqa: N802
        transaction = opened(bytes.fromhex(raw[2:]))
        body, identifier = transaction.body, transaction_id(transaction.body)
        self.results["0x" + identifier.hex()] = self.run(
            address_of(body.sender_key), body.to, body.data, body.gas_limit, identifier
        )
        self.taken.append(transaction)
        return "0x" + identifier.hex()

    def try_call(self, transaction: dict[str, Any]) -> CallResult:
        sender, to, data = (
            bytes.fromhex(transaction.get(name, self.reader if name == "from" else "0x")[2:])
            for name in ("from", "to", "data")
        )
        mark = self.state.mark()
        result = self.run(sender, to or None, data, self.parameters.max_transaction_gas)
        self.state.undo(mark)
        if result.refusal is not None:
            raise _Reverted(result)
        return result


class _Reverted(Exception):
    def __init__(self, result: CallResult) -> None:
        self.result = result


class DirectProvider(JSONBaseProvider):
    def __init__(self, node: OneNode) -> None:
        super().__init__()
        self.node = node

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self.node.answer(method, params)


class DirectAsyncProvider(AsyncJSONBaseProvider):
    def __init__(self, node: OneNode) -> None:
        super().__init__()
        self.node = node

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self.node.answer(method, params)


@pytest.fixture
def node(key: PrivateKey) -> OneNode:
    return OneNode(key)


@pytest.fixture
def w3(node: OneNode) -> Web3:
    return Web3(DirectProvider(node))


def deploy(w3: Web3, node: OneNode) -> Any:
    made = w3.eth.contract(abi=ARTEFACT["abi"], bytecode=ARTEFACT["bytecode"])
    address = node.results[made.constructor().transact().to_0x_hex()].output
    return w3.eth.contract(address=Web3.to_checksum_address(address), abi=ARTEFACT["abi"])


def in_stock_way(w3: Web3, account: Sm2Account) -> None:
    w3.middleware_onion.inject(sm2_signing(account), layer=0)


@pytest.mark.parametrize("prepare", [use_account, in_stock_way])
def test_stock_contract_calls_are_signed_with_the_sm2_key(
    w3: Web3, node: OneNode, account: Sm2Account, prepare: Callable[[Web3, Sm2Account], None]
) -> None:
    prepare(w3, account)
    w3.eth.default_account = account.address
    contract = deploy(w3, node)
    contract.functions.register(KEY, DIGEST).transact()
    digest, holder, _ = contract.functions.lookup(KEY).call()
    assert (digest, holder) == (DIGEST, account.address)
    estimate = node.results["0x" + transaction_id(node.taken[1].body).hex()].gas_used
    body = node.taken[1].body
    assert estimate < body.gas_limit <= node.parameters.max_transaction_gas
    assert body.chain_id == CHAIN_ID


def test_a_sender_need_not_be_named_and_accounts_name_it(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    w3.middleware_onion.add(sm2_signing(account))
    assert list(w3.eth.accounts) == [account.address]
    contract = deploy(w3, node)
    contract.functions.register(KEY, DIGEST).transact()
    assert contract.functions.lookup(KEY).call()[1] == account.address


def test_a_node_of_another_chain_gets_nothing_signed(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    use_account(w3, account, chain_id=CHAIN_ID + 1)
    for _ in range(2):
        with pytest.raises(InputError, match=f"of chain {CHAIN_ID}, expected {CHAIN_ID + 1}"):
            w3.eth.send_transaction({"to": TARGET, "gas": 100_000})
    assert "eth_sendRawTransaction" not in node.asked


def test_a_node_of_the_chain_that_is_meant_is_sent_to(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    use_account(w3, account, chain_id=CHAIN_ID)
    w3.eth.send_transaction({"to": TARGET, "gas": 100_000})
    assert len(node.taken) == 1


def test_what_is_sent_is_good_for_half_the_window_at_most(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    use_account(w3, account)
    before_ms = time.time_ns() // 1_000_000
    w3.eth.send_transaction({"to": TARGET, "gas": 100_000})
    until_ms = node.taken[0].body.valid_until_ms
    assert before_ms < until_ms <= time.time_ns() // 1_000_000 + node.parameters.transaction_window_ms // 2


def test_a_refusing_contract_raises_its_reason_before_anything_is_sent(
    w3: Web3, node: OneNode, account: Sm2Account
) -> None:
    use_account(w3, account)
    contract = deploy(w3, node)
    contract.functions.register(KEY, DIGEST).transact()
    with pytest.raises(ContractLogicError, match="该键已登记"):
        contract.functions.register(KEY, DIGEST).transact()
    assert len(node.taken) == 2


@pytest.mark.parametrize("to", [ADDRESSES["audits"], "0x" + ADDRESSES["audits"].hex()])
def test_audits_are_sent_without_an_estimate(w3: Web3, node: OneNode, account: Sm2Account, to: Any) -> None:
    use_account(w3, account)
    w3.eth.send_transaction({"to": to, "data": HexBytes("0x11223344")})
    assert "eth_estimateGas" not in node.asked
    assert node.taken[0].body.gas_limit == LEAST_GAS


def test_a_transaction_of_another_sender_is_left_to_the_node(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    use_account(w3, account)
    with pytest.raises(Exception, match="there is no method"):
        w3.eth.send_transaction({"from": Web3.to_checksum_address("0x" + "22" * 20), "to": TARGET, "gas": 1})
    assert "eth_sendTransaction" in node.asked
    assert not node.taken


def test_each_of_two_middlewares_signs_for_its_own_account(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    other = Sm2Account(Signer(PrivateKey.generate()))
    w3.middleware_onion.add(sm2_signing(account))
    w3.middleware_onion.add(sm2_signing(other))
    for sender in (account, other):
        w3.eth.send_transaction({"from": sender.address, "to": TARGET, "gas": 100_000})
    senders = [Web3.to_checksum_address(address_of(each.body.sender_key)) for each in node.taken]
    assert senders == [account.address, other.address]
    assert set(w3.eth.accounts) == {account.address, other.address}


def test_value_is_refused_in_both_languages(w3: Web3, account: Sm2Account) -> None:
    use_account(w3, account)
    with pytest.raises(InputError, match=r"本链没有币.*no coin"):
        w3.eth.send_transaction({"to": TARGET, "gas": 100_000, "value": Wei(1)})


def test_a_node_of_another_kind_is_named(w3: Web3, node: OneNode, account: Sm2Account) -> None:
    node.gov_getParameters = None  # type: ignore[assignment, method-assign]
    use_account(w3, account)
    with pytest.raises(RequestRefused, match="there is no method"):
        w3.eth.send_transaction({"to": TARGET, "gas": 100_000})


def test_the_asynchronous_client_signs_too(node: OneNode, account: Sm2Account) -> None:
    async def scenario() -> None:
        w3 = AsyncWeb3(DirectAsyncProvider(node))
        use_account(w3, account)
        assert list(await w3.eth.accounts) == [account.address]
        made = w3.eth.contract(abi=ARTEFACT["abi"], bytecode=ARTEFACT["bytecode"])
        sent = await made.constructor().transact()
        address = Web3.to_checksum_address(node.results[sent.to_0x_hex()].output)
        contract = w3.eth.contract(address=address, abi=ARTEFACT["abi"])
        await contract.functions.register(KEY, DIGEST).transact()
        assert (await contract.functions.lookup(KEY).call())[:2] == [DIGEST, account.address]

    asyncio.run(scenario())
