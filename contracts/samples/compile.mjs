// Compiles Solidity sources with npm's solc and writes one artefact each, in Hardhat's form: ABI, bytecode, and the version and
// settings that give the same bytes again.
// Usage: node compile.mjs FOLDER_THAT_HOLDS_NODE_MODULES OUTPUT_FOLDER SOURCE.sol ...
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

const fail = (text, status = 1) => {
  console.error(text);
  process.exit(status);
};

const [modules, output, ...paths] = process.argv.slice(2);
if (!paths.length) fail("usage: node compile.mjs FOLDER_THAT_HOLDS_NODE_MODULES OUTPUT_FOLDER SOURCE.sol ...", 2);

const load = () => {
  try {
    return createRequire(join(resolve(modules), "package.json"))("solc");
  } catch (error) {
    return fail(`${modules}: 其中没有可用的 solc，请先 npm install solc / no solc to use there, npm install solc first (${error.code ?? error.message})`);
  }
};
const readSource = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return fail(`${path}: 无法读取源文件 / cannot read the source (${error.code ?? error.message})`);
  }
};

const solc = load();
const settings = {
  evmVersion: "prague",
  optimizer: { enabled: true, runs: 200 },
  // Without the metadata's digest the bytecode depends on source, compiler version and settings alone.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

for (const path of paths) {
  const source = basename(path), name = basename(path, ".sol");
  const input = { language: "Solidity", sources: { [source]: { content: readSource(path) } }, settings };
  // solc asks for what a source imports by a name from which it has taken the leading dots.
  const read = (wanted) => {
    const imported = resolve(dirname(path), "..", wanted);
    try {
      return { contents: readFileSync(imported, "utf8") };
    } catch {
      return { error: `没有文件 ${imported}，请把 samples 与 interfaces 一起复制 / there is no ${imported}: copy samples and interfaces together` };
    }
  };
  const result = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  // A warning is a mistake here, but for the one that every use of transient storage gives.
  const problems = (result.errors ?? []).filter(({ errorCode }) => errorCode !== "2394");
  if (problems.length) {
    const onlyWarns = problems.every(({ severity }) => severity === "warning" || severity === "info");
    const note = onlyWarns ? "\n此处警告即为错误，没有写出产物 / a warning is an error here: nothing was written" : "";
    fail(problems.map((problem) => problem.formattedMessage).join("\n") + note);
  }
  const compiled = result.contracts?.[source]?.[name];
  if (!compiled) fail(`${path}: 其中应有名为 ${name} 的合约 / expected a contract called ${name} in it`);
  const { abi, evm } = compiled;
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
