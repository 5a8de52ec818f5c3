// Compiles Solidity sources with npm's solc and writes one artefact each, in Hardhat's form: ABI, bytecode, and the version and
// settings that give the same bytes again.
// Usage: node compile.mjs FOLDER_THAT_HOLDS_NODE_MODULES OUTPUT_FOLDER SOURCE.sol ...
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

const [modules, output, ...paths] = process.argv.slice(2);
if (!paths.length) {
  console.error("usage: node compile.mjs FOLDER_THAT_HOLDS_NODE_MODULES OUTPUT_FOLDER SOURCE.sol ...");
  process.exit(2);
}
const solc = createRequire(join(resolve(modules), "package.json"))("solc");
const settings = {
  evmVersion: "prague",
  optimizer: { enabled: true, runs: 200 },
  // Without the metadata's digest the bytecode depends on source, compiler version and settings alone.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

for (const path of paths) {
  const source = basename(path), name = basename(path, ".sol");
  const input = { language: "Solidity", sources: { [source]: { content: readFileSync(path, "utf8") } }, settings };
  // solc asks for what a source imports by a name from which it has taken the leading dots.
  const read = (wanted) => ({ contents: readFileSync(resolve(dirname(path), "..", wanted), "utf8") });
  const result = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  // A warning is a mistake here, but for the one that every use of transient storage gives.
  const problems = (result.errors ?? []).filter(({ errorCode }) => errorCode !== "2394").map((problem) => problem.formattedMessage);
  if (problems.length) {
    console.error(problems.join("\n"));
    process.exit(1);
  }
  const { abi, evm } = result.contracts[source][name];
  const { outputSelection, ...kept } = settings;
  const artefact = {
    contractName: name,
    sourceName: source,
    compiler: `solc ${solc.version().replace(/\.Emscripten.*/, "")}`,
    settings: kept,
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
  };
  writeFileSync(join(output, `${name}.json`), `${JSON.stringify(artefact, null, 1)}\n`);
}
