// What a program with stock viem asks of a node: everything named on standard input as JSON, the answers as JSON on standard output.
import { readFileSync } from "node:fs";
import { createPublicClient, defineChain, http, webSocket } from "viem";

const ask = JSON.parse(readFileSync(0, "utf8"));
const chain = defineChain({
  id: ask.chainId,
  name: "govnode",
  nativeCurrency: { name: "none", symbol: "-", decimals: 18 },
  rpcUrls: { default: { http: [ask.url], webSocket: [ask.websocket] } },
});
const client = createPublicClient({ chain, transport: http(), pollingInterval: 100 });
const { address, abi } = ask;
const reason = (error) => {
  const revert = error.walk?.((one) => one.name === "ContractFunctionRevertedError" || one.name === "ExecutionRevertedError");
  return revert ? { name: revert.name, reason: revert.reason ?? revert.details } : { name: error.name, message: error.message };
};
const briefly = ({ number, hash, transactions, timestamp }) => ({ number, hash, transactions, timestamp });

const answers = {};
answers.chainId = await client.getChainId();
answers.blockNumber = await client.getBlockNumber();

answers.blocks = {};
for (const blockTag of ["latest", "safe", "finalized", "pending", "earliest"]) answers.blocks[blockTag] = briefly(await client.getBlock({ blockTag }));
const height = BigInt(ask.registered.height);
answers.blocks[ask.registered.height] = briefly(await client.getBlock({ blockNumber: height }));
answers.blocks[ask.registered.blockHash] = briefly(await client.getBlock({ blockHash: ask.registered.blockHash }));
const full = await client.getBlock({ blockNumber: height, includeTransactions: true });
answers.fullTransactions = full.transactions.map(({ hash, from, to, nonce, transactionIndex }) => ({ hash, from, to, nonce, index: transactionIndex }));
answers.absentBlock = await client.getBlock({ blockNumber: 10n ** 9n }).catch(({ name }) => name);
answers.transactionCount = await client.getBlockTransactionCount({ blockNumber: height });

const { hash, from, to, nonce, input, value, gas, gasPrice, blockNumber, chainId, type } = await client.getTransaction({ hash: ask.registered.hash });
answers.transaction = { hash, from, to, nonce, data: input, value, gasLimit: gas, gasPrice, blockNumber, chainId, type };
answers.absentTransaction = await client.getTransaction({ hash: "0x" + "ab".repeat(32) }).catch(({ name }) => name);
const shortly = ({ status, gasUsed, contractAddress, blockNumber, logs }) => ({ status, gasUsed, contractAddress, blockNumber, logs: logs.length });
answers.receipt = shortly(await client.getTransactionReceipt({ hash: ask.registered.hash }));
answers.deployment = shortly(await client.getTransactionReceipt({ hash: ask.deployed.hash }));
answers.refused = shortly(await client.getTransactionReceipt({ hash: ask.refused.hash }));

answers.code = await client.getCode({ address });
answers.storage = await client.getStorageAt({ address, slot: ask.slot });
answers.balance = await client.getBalance({ address: ask.holder });
answers.nonce = await client.getTransactionCount({ address: ask.holder });
answers.fees = { gasPrice: await client.getGasPrice(), ...(await client.estimateFeesPerGas()) };
answers.feeHistory = (await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] })).baseFeePerGas;

answers.view = await client.readContract({ address, abi, functionName: "lookup", args: [ask.key] });
answers.viewBefore = await client.readContract({ address, abi, functionName: "lookup", args: [ask.key], blockNumber: height - 1n });
answers.systemView = (await client.call(ask.systemCall)).data;
const twice = { address, abi, functionName: "register", args: [ask.key, ask.digest], account: ask.holder };
answers.revert = await client.simulateContract(twice).catch(reason);
answers.estimate = await client.estimateContractGas({ ...twice, args: [ask.newKey, ask.digest] });
answers.estimateRevert = await client.estimateContractGas(twice).catch(reason);
const event = { address, abi, eventName: "Registered", fromBlock: height };
answers.logs = (await client.getContractEvents({ ...event, args: { key: ask.key } })).map(({ args }) => [args.key, args.digest, args.holder]);
answers.otherLogs = (await client.getContractEvents({ ...event, args: { key: ask.newKey } })).length;

// Heads and logs over WebSocket and by a polling filter, while a transaction that was signed elsewhere becomes final.
const socket = createPublicClient({ chain, transport: webSocket() });
await socket.getBlockNumber();
const head = deferred();
const heard = deferred();
const unwatch = [
  socket.watchBlocks({ onBlock: (block) => head.resolve(block.number), onError: head.reject }),
  socket.watchContractEvent({ address, abi, eventName: "Registered", onLogs: ([log]) => heard.resolve([log.args.key, log.args.digest, log.args.holder]), onError: heard.reject }),
];
const filter = await client.createContractEventFilter({ address, abi, eventName: "Registered" });
const blocks = await client.createBlockFilter();
await new Promise((resolve) => setTimeout(resolve, 300));
answers.sent = await client.sendRawTransaction({ serializedTransaction: ask.raw });
answers.final = shortly(await client.waitForTransactionReceipt({ hash: answers.sent, timeout: 20_000 }));
answers.head = (await head.promise) >= height;
answers.heard = await heard.promise;
answers.filtered = (await client.getFilterChanges({ filter })).map(({ args }) => args.key);
answers.filteredBlocks = (await client.getFilterChanges({ filter: blocks })).length;
answers.uninstalled = await client.uninstallFilter({ filter });
answers.sentAgain = await client.sendRawTransaction({ serializedTransaction: ask.raw }).catch((error) => error.walk((one) => one.code)?.code);

unwatch.forEach((stop) => stop());
(await socket.transport.getRpcClient()).close();
console.log(JSON.stringify(answers, (_, value) => (typeof value === "bigint" ? value.toString() : value)));

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
