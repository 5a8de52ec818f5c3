// What a program with stock ethers v6 asks of a node: everything named on standard input as JSON, the answers as JSON on standard output.
import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, WebSocketProvider } from "ethers";

const ask = JSON.parse(readFileSync(0, "utf8"));
const provider = new JsonRpcProvider(ask.url, undefined, { pollingInterval: 100 });
const registry = new Contract(ask.address, ask.abi, provider);
const briefly = (block) => block && { number: block.number, hash: block.hash, transactions: block.transactions, timestamp: block.timestamp };

const answers = {};
answers.chainId = (await provider.getNetwork()).chainId;
answers.blockNumber = await provider.getBlockNumber();

answers.blocks = {};
for (const name of ["latest", "safe", "finalized", "pending", "earliest", ask.registered.height, ask.registered.blockHash])
  answers.blocks[name] = briefly(await provider.getBlock(name));
const full = await provider.getBlock(ask.registered.height, true);
answers.fullTransactions = full.prefetchedTransactions.map(({ hash, from, to, nonce, index }) => ({ hash, from, to, nonce, index }));
answers.absentBlock = await provider.getBlock(10 ** 9);

const transaction = await provider.getTransaction(ask.registered.hash);
const { hash, from, to, nonce, data, value, gasLimit, gasPrice, blockNumber, chainId, type } = transaction;
answers.transaction = { hash, from, to, nonce, data, value, gasLimit, gasPrice, blockNumber, chainId, type };
answers.absentTransaction = await provider.getTransaction("0x" + "ab".repeat(32));
const shortly = (receipt) => ({
  status: receipt.status, gasUsed: receipt.gasUsed, contractAddress: receipt.contractAddress, blockNumber: receipt.blockNumber,
  logs: receipt.logs.map((log) => registry.interface.parseLog(log)?.args.toArray()),
});
answers.receipt = shortly(await provider.getTransactionReceipt(ask.registered.hash));
answers.deployment = shortly(await provider.getTransactionReceipt(ask.deployed.hash));
answers.refused = shortly(await provider.getTransactionReceipt(ask.refused.hash));

answers.code = await provider.getCode(ask.address);
answers.storage = await provider.getStorage(ask.address, ask.slot);
answers.balance = await provider.getBalance(ask.holder);
answers.nonce = await provider.getTransactionCount(ask.holder);
const fees = await provider.getFeeData();
answers.fees = { gasPrice: fees.gasPrice, maxFeePerGas: fees.maxFeePerGas, maxPriorityFeePerGas: fees.maxPriorityFeePerGas };

answers.view = (await registry.lookup(ask.key)).toArray();
answers.viewBefore = (await registry.lookup(ask.key, { blockTag: ask.registered.height - 1 })).toArray();
answers.systemView = await provider.call(ask.systemCall);
answers.revert = await registry.register.staticCall(ask.key, ask.digest, { from: ask.holder }).catch(({ code, reason }) => ({ code, reason }));
answers.estimate = await registry.register.estimateGas(ask.newKey, ask.digest, { from: ask.holder });
answers.estimateRevert = await registry.register.estimateGas(ask.key, ask.digest, { from: ask.holder }).catch(({ code, reason }) => ({ code, reason }));
answers.logs = (await registry.queryFilter(registry.filters.Registered(ask.key), ask.registered.height)).map((log) => log.args.toArray());
answers.otherLogs = (await registry.queryFilter(registry.filters.Registered(ask.newKey), ask.registered.height)).length;

// Heads and logs over WebSocket, while a transaction that was signed elsewhere becomes final.
const socket = new WebSocketProvider(ask.websocket);
const head = new Promise((resolve) => socket.on("block", resolve));
const heard = new Promise((resolve) =>
  new Contract(ask.address, ask.abi, socket).on("Registered", (key, digest, holder) => resolve([key, digest, holder])));
// The subscriptions are there when the node has answered what was asked after them.
await socket.getBlockNumber();
await new Promise((resolve) => setTimeout(resolve, 200));
// Not broadcastTransaction, which takes the bytes apart first and knows Ethereum's signatures only.
answers.sent = await provider.send("eth_sendRawTransaction", [ask.raw]);
// The node's own wait first: where no later block follows soon, ethers by itself can miss the block that it waits for.
await provider.send("gov_waitReceipt", [answers.sent, 20_000]);
const final = await provider.waitForTransaction(answers.sent, 1, 20_000);
answers.final = shortly(final);
answers.head = (await head) >= ask.registered.height;
answers.heard = await heard;
answers.sentAgain = await provider.send("eth_sendRawTransaction", [ask.raw]).catch(({ error }) => error.code);

await socket.destroy();
provider.destroy();
console.log(JSON.stringify(answers, (_, value) => (typeof value === "bigint" ? value.toString() : value)));
