"""What a program with web3.py and our account does with a node: questions as JSON on standard input, answers on standard output."""

import asyncio
import json
import sys
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription

from sdk.evm_account import Sm2Account
from sdk.web3_signing import use_account

ask: dict[str, Any] = json.load(sys.stdin)
artefact: dict[str, Any] = ask["artefact"]


def account(name: str) -> Sm2Account:
    return Sm2Account.from_key_file(*ask["accounts"][name])


def deploy(w3: Web3) -> tuple[Any, Any]:
    use_account(w3, account("deployer"))
    factory = w3.eth.contract(abi=artefact["abi"], bytecode=artefact["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor().transact(), timeout=60, poll_latency=0.02)
    return receipt, w3.eth.contract(address=receipt["contractAddress"], abi=artefact["abi"])


def use() -> dict[str, Any]:
    """Deploy, transact, wait, read, filter."""
    answers: dict[str, Any] = {}
    deployment, contract = deploy(Web3(HTTPProvider(ask["url"])))
    w3 = Web3(HTTPProvider(ask["url"]))
    use_account(w3, account("clerk"))
    contract = w3.eth.contract(address=contract.address, abi=artefact["abi"])
    filtered = contract.events.Registered.create_filter(from_block="latest")
    key, digest = bytes.fromhex(ask["newKey"][2:]), bytes.fromhex(ask["newDigest"][2:])
    name = contract.functions.register(key, digest).transact()
    receipt = w3.eth.wait_for_transaction_receipt(name, timeout=60, poll_latency=0.02)
    (event,) = contract.events.Registered().process_receipt(receipt)
    answers["deployed"] = [deployment["status"], deployment["contractAddress"], w3.eth.get_code(contract.address)]
    answers["registered"] = [receipt["status"], event["args"]["key"], event["args"]["holder"]]
    answers["name"] = name
    answers["sender"] = [receipt["from"], w3.eth.default_account]
    answers["view"] = contract.functions.lookup(key).call()
    answers["viewBefore"] = contract.functions.lookup(key).call(block_identifier=receipt["blockNumber"] - 1)
    answers["estimate"] = contract.functions.register(bytes(31) + b"\1", digest).estimate_gas()
    try:
        contract.functions.register(key, digest).transact()
    except ContractLogicError as error:
        answers["revert"] = error.message
    answers["newEntries"] = [log["args"]["key"] for log in filtered.get_new_entries()]
    answers["logs"] = [
        log["args"]["digest"]
        for log in contract.events.Registered.get_logs(from_block=receipt["blockNumber"], argument_filters={"key": key})
    ]
    block = w3.eth.get_block(receipt["blockNumber"], full_transactions=True)
    answers["block"] = [
        block["hash"] == receipt["blockHash"],
        [Web3.to_hex(one["hash"]) for one in block["transactions"] if not isinstance(one, bytes)],
    ]
    answers["tags"] = [
        w3.eth.get_block(tag)["number"] for tag in ("earliest", "latest", "safe", "finalized", "pending")
    ]
    answers["byHash"] = w3.eth.get_block(receipt["blockHash"])["number"] == receipt["blockNumber"]
    answers["transaction"] = w3.eth.get_transaction(name)["input"]
    answers["storage"] = w3.eth.get_storage_at(contract.address, ask["newSlot"])
    answers["numbers"] = [
        w3.eth.chain_id,
        w3.eth.gas_price,
        w3.eth.max_priority_fee,
        w3.eth.get_balance(account("clerk").address),
    ]
    answers["nonces"] = w3.eth.get_transaction_count(receipt["from"])
    answers["feeHistory"] = w3.eth.fee_history(1, "latest")["baseFeePerGas"]
    answers["state"] = [w3.is_connected(), w3.client_version, w3.eth.syncing, w3.net.version]
    answers["signedElsewhere"] = w3.eth.send_raw_transaction(ask["raw"])
    w3.eth.wait_for_transaction_receipt(ask["hash"], timeout=60, poll_latency=0.02)
    return answers


async def use_async() -> dict[str, Any]:
    """Transact and read with an asynchronous client; hear of heads and logs over WebSocket."""
    answers: dict[str, Any] = {}
    w3 = AsyncWeb3(AsyncHTTPProvider(ask["url"]))
    use_account(w3, account("clerk"))
    contract = w3.eth.contract(address=Web3.to_checksum_address(ask["address"]), abi=artefact["abi"])
    async with AsyncWeb3(WebSocketProvider(ask["websocket"])) as socket:
        heard: dict[str, Any] = {}

        async def on_log(context: Any) -> None:
            heard["log"] = contract.events.Registered().process_log(context.result)["args"]["key"]
            await finish()

        async def on_head(context: Any) -> None:
            heard["head"] = context.result["number"]
            await finish()

        async def finish() -> None:
            if len(heard) == 2:
                await socket.subscription_manager.unsubscribe_all()

        topics = [contract.events.Registered().topic]
        await socket.subscription_manager.subscribe(
            [
                LogsSubscription(label="log", address=contract.address, topics=topics, handler=on_log),
                NewHeadsSubscription(label="head", handler=on_head),
            ]
        )
        key = bytes.fromhex(ask["newKey"][2:])[::-1]
        name = await contract.functions.register(key, key).transact()
        receipt = await w3.eth.wait_for_transaction_receipt(name, timeout=60, poll_latency=0.02)
        await asyncio.wait_for(socket.subscription_manager.handle_subscriptions(), 20)
        answers["status"] = receipt["status"]
        answers["view"] = (await contract.functions.lookup(key).call())[0]
        answers["heard"] = [heard["log"] == key, heard["head"] >= receipt["blockNumber"]]
    await w3.provider.disconnect()
    return answers


sys.stdout.write(
    json.dumps({"sync": use(), "async": asyncio.run(use_async())}, default=lambda value: "0x" + bytes(value).hex())
)
