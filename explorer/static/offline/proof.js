// Proof files (docs/spec/proof-file.md) and proofs of certificates of a batch (docs/spec/batch-proof.md): step by step, as govnode verify does.
// WORDS, which the page brings along, has what the node's own code says: steps, verdicts, kinds of records with the names of their fields.
"use strict";

const MAX_PROOF_FILE_BYTES = 16 * 1024 * 1024;
const MAX_TIME_MS = 253402271999999n;
const MIN_TIME_MS = -2209017600000n;
const ROOT_OID = "1.2.156.3005.2.";
const IDENTIFIER_FORM = /^1\.2\.156\.3005\.2\.([0-9A-Z]{21})\.([0-9A-Z]{6,18})\.([0-9A-Z]{1,64})\.([0-9]{3})\.([0-9A-Z])$/;
const FIRST_VERSION = "001";
const PREFIX_LENGTH = 21;
const MAX_ROOT_CERTIFICATES = 4;

const integer = (least, most) => ({ is: (value) => typeof value === "bigint" && value >= least && value <= most });
const octets = (least, most = least) => ({ is: (value) => isBytes(value) && value.length >= least && value.length <= most });
const listOf = (item, least, most) => ({ item, least, most });
const struct = (...members) => ({ members });
const orNull = (shape) => ({ ...shape, isNullable: true });

const HEIGHT = integer(1n, 2n ** 62n);
const HEADER = struct(
  ["version", integer(1n, 1n)],
  ["height", HEIGHT],
  ["parent_id", octets(32)],
  ["history_root", octets(32)],
  ["time_ms", integer(0n, 2n ** 63n - 1n)],
  ["proposer", octets(20)],
  ["transactions_root", octets(32)],
  ["receipts_root", octets(32)],
  ["state_root", octets(32)],
  ["validators_hash", octets(32)],
  ["next_validators_hash", octets(32)],
  ["parameters_hash", octets(32)],
  ["evidence_root", octets(32)],
);
const CERTIFICATE = struct(
  ["height", HEIGHT],
  ["round", integer(0n, 2n ** 31n - 1n)],
  ["block_id", octets(32)],
  ["signers", listOf(integer(0n, 1023n), 0, Infinity)],
  ["signatures", listOf(octets(64), 0, Infinity)],
);
const VALIDATORS = listOf(struct(["address", octets(20)], ["public_key", octets(64)]), 1, 128);
const WALK = listOf(struct(["header", HEADER], ["certificate", CERTIFICATE], ["validators", VALIDATORS]), 0, 1024);
const STATE = struct(
  ["leaf", orNull(struct(["path", octets(32)], ["value_hash", octets(32)]))],
  ["steps", listOf(struct(["bitmap", integer(0n, 0xffffn)], ["siblings", listOf(octets(32), 0, 4)]), 1, 64)],
);
const FINALITY = { header: HEADER, certificate: CERTIFICATE, validators: VALIDATORS, walk: WALK };
const PART_STEPS = { state: "path", validators: "validator-set", walk: "trust" };

const blockId = (header) => tagged("govnode/block-header/1")(pack(header.packed));
const stepOf = (part) => PART_STEPS[part] ?? part;

function malformed(part, reason) {
  const error = new Broken(stepOf(part), `格式有误：${reason}`, `malformed: ${reason}`);
  error.isBefore = true;
  return error;
}

function checkNames(part, value, names) {
  if (!(value instanceof Map) || value.size !== names.length || !names.every((name) => value.has(name))) {
    throw malformed(part, `应有且仅有 / expected an object with ${names.join(", ")}`);
  }
}

function hexPart(part, text) {
  const bytes = fromHex(text);
  if (bytes === null) throw malformed(part, "应为小写十六进制 / expected lower-case hex digits");
  return bytes;
}

/** Returns a part of the file as an object of its values, with `packed`, what its encoding is made of. */
function readShape(part, shape, value) {
  if (shape.isNullable && value === null) return null;
  if (shape.members !== undefined) {
    checkNames(part, value, shape.members.map(([name]) => name));
    const found = {};
    for (const [name, inner] of shape.members) {
      found[name] = readShape(name === "signatures" ? "signatures" : part, inner, value.get(name));
    }
    found.packed = shape.members.map(([name]) => packedOf(found[name]));
    return found;
  }
  if (shape.item !== undefined) {
    if (!Array.isArray(value) || value.length < shape.least || value.length > shape.most) throw malformed(part, "数目不符 / another number of items");
    return value.map((one) => readShape(part, shape.item, one));
  }
  const read = typeof value === "string" ? hexPart(part, value) : value;
  if (!shape.is(read)) throw malformed(part, "值不合要求 / a value out of its range");
  return read;
}

const packedOf = (value) =>
  value === null || typeof value !== "object" || isBytes(value) ? value : Array.isArray(value) ? value.map(packedOf) : value.packed;

function readFile(bytes) {
  if (bytes.length > MAX_PROOF_FILE_BYTES) throw malformed("file", `应不超过 / expected at most ${MAX_PROOF_FILE_BYTES} bytes`);
  try {
    return readJson(bytes);
  } catch (error) {
    throw malformed("file", `应为 JSON / expected JSON: ${error.message}`);
  }
}

// Records.

function recordKind(key) {
  const prefix = toHex(key.subarray(0, PREFIX_LENGTH));
  return Object.keys(WORDS.kinds).find((kind) => WORDS.kinds[kind].prefix === prefix) ?? "other";
}

/** Returns a decoded value with its fields by name, as the layout of its kind has them; bytes as hex digits. */
function named(layout, value) {
  if (value === null) return null;
  if (layout === null) return isBytes(value) ? toHex(value) : Array.isArray(value) ? value.map((one) => named(null, one)) : value;
  if (layout.item !== undefined) return value.map((one) => named(layout.item, one));
  const { fields, least } = layout;
  if (!Array.isArray(value) || value.length < least || value.length > fields.length) throw new RangeError("another number of fields");
  return new Map(value.map((one, place) => [fields[place][0], named(fields[place][1], one)]));
}

function recordFields(key, value) {
  const kind = recordKind(key);
  if (value === null || kind === "other") return null;
  try {
    return named(WORDS.kinds[kind].fields, unpack(value));
  } catch (error) {
    throw new Broken("record", `不是 ${kind} 的编码`, `expected the encoding of a ${kind}: ${error.message}`);
  }
}

function sameJson(left, right) {
  if (left instanceof Map) {
    return right instanceof Map && left.size === right.size && [...left].every(([name, value]) => right.has(name) && sameJson(value, right.get(name)));
  }
  if (Array.isArray(left)) return Array.isArray(right) && left.length === right.length && left.every((value, place) => sameJson(value, right[place]));
  return left === right;
}

// The way from a record to a final header.

const nodeHash = (left, right) => sm3(Uint8Array.of(1), left, right);

/** Returns the root that siblings lead to from item `index` of `count` (RFC 6962, 2.1); throws RangeError where their number is wrong. */
function merklePathRoot(leaf, index, count, siblings) {
  if (index < 0 || index >= count || siblings.length > 64) throw new RangeError("no such place in the tree");
  let value = leaf;
  let used = 0;
  while (count > 1) {
    const isRight = index % 2 === 1;
    if (isRight || index + 1 < count) {
      if (used === siblings.length) throw new RangeError("the Merkle path is too short");
      const sibling = siblings[used++];
      value = isRight ? nodeHash(sibling, value) : nodeHash(value, sibling);
    }
    // No shifts: they cut a count of 2^32 to 32 bits.
    index = Math.floor(index / 2);
    count = Math.ceil(count / 2);
  }
  if (used !== siblings.length) throw new RangeError("the Merkle path is too long");
  return value;
}

const bitCount = (bitmap) => [...bitmap.toString(2)].filter((bit) => bit === "1").length;
const innerHash = (bitmap, root) => sm3(Uint8Array.of(0x12), bigEndian(BigInt(bitmap), 2), root);

function stateRoot(proof, digits) {
  const steps = proof.steps.map((step) => ({ bitmap: Number(step.bitmap), siblings: step.siblings }));
  let depth = steps.length - 1;
  let current;
  if (proof.leaf !== null) {
    current = sm3(Uint8Array.of(0x11), proof.leaf.path, proof.leaf.value_hash);
  } else {
    const last = steps[depth];
    if (last.bitmap & (1 << parseInt(digits[depth], 16))) throw new RangeError("the slot that should be empty holds a child");
    if (last.bitmap === 0) {
      if (depth > 0 || last.siblings.length > 0) throw new RangeError("only the root of an empty tree has no children");
      return sm3(Uint8Array.of(0x12, 0, 0));
    }
    if (last.siblings.length !== 1) throw new RangeError("an empty slot needs the one root over the node's children");
    current = innerHash(last.bitmap, last.siblings[0]);
    depth--;
  }
  for (; depth >= 0; depth--) {
    const { bitmap, siblings } = steps[depth];
    const slot = 1 << parseInt(digits[depth], 16);
    if (!(bitmap & slot)) throw new RangeError("the path leads through an empty slot");
    current = innerHash(bitmap, merklePathRoot(current, bitCount(bitmap & (slot - 1)), bitCount(bitmap), siblings));
  }
  return current;
}

/** Returns if the state under `root` holds `value` at `key` (null: nothing); throws Broken with the step "record" or "path". */
function verifyState(proof, key, value, root) {
  const path = sm3(key);
  const { leaf } = proof;
  const isKeys = leaf !== null && sameBytes(leaf.path, path);
  if (value !== null && !isKeys) throw new Broken("record", "证明通向的不是记录的键", "the proof leads to another place than the record's key");
  if (value !== null && !sameBytes(leaf.value_hash, sm3(value))) {
    throw new Broken("record", "记录的摘要不是证明中的摘要", "the record's digest is not the one in the proof");
  }
  if (value === null && isKeys) throw new Broken("record", "证明表明此键有记录", "the proof shows a value at the key that is said to be absent");
  const digits = toHex(path);
  const count = proof.steps.length;
  if (leaf !== null && toHex(leaf.path).slice(0, count) !== digits.slice(0, count)) {
    throw new Broken("path", "叶子不在证明所指的位置", "the leaf does not stand where the proof leads");
  }
  let found;
  try {
    found = stateRoot(proof, digits);
  } catch (error) {
    throw new Broken("path", "默克尔路径不成立", error.message);
  }
  if (!sameBytes(found, root)) throw new Broken("path", "路径不通向区块头的状态根", "the path does not lead to the state root of the header");
}

function setHash(members, step) {
  const keys = new Set(members.map((member) => toHex(member.public_key)));
  const addresses = members.map((member) => toHex(member.address));
  if (keys.size < members.length || addresses.some((address, place) => place > 0 && address <= addresses[place - 1])) {
    throw new Broken(step, "共识节点应按地址递增且不重复", "the validators do not stand in the order of their addresses, each once");
  }
  return tagged("govnode/validator-set/1")(pack(packedOf(members)));
}

function verifyCommit(header, certificate, members, trust) {
  if (certificate.height !== header.height) throw new Broken("certificate", "确认证书是另一高度的", "the certificate is of another height");
  if (!sameBytes(certificate.block_id, blockId(header))) throw new Broken("certificate", "确认证书是另一区块的", "the certificate is for another block");
  const signers = certificate.signers.map(Number);
  const quorum = Math.floor((2 * members.length) / 3) + 1;
  const isOrdered = signers.every((signer, place) => signer < members.length && (place === 0 || signer > signers[place - 1]));
  if (signers.length !== certificate.signatures.length || !isOrdered) {
    throw new Broken("certificate", "签名人应递增、不重复且各有一个签名", "expected members in ascending order, each once, with one signature each");
  }
  if (signers.length < quorum) {
    throw new Broken("certificate", `应有至少 ${quorum} 个签名，实为 ${signers.length}`, `expected at least ${quorum} signatures, found ${signers.length}`);
  }
  const message = tagged("govnode/consensus-message/1")(
    pack([trust.genesisHash, 2n, certificate.height, certificate.round, certificate.block_id]),
  );
  const wrong = signers.filter((signer, place) => !verifySm2(members[signer].public_key, message, certificate.signatures[place]));
  if (wrong.length > 0) {
    throw new Broken("signatures", `共识节点 ${wrong.join("、")} 的签名不成立`, `the signatures of validators ${wrong.join(", ")} do not hold`);
  }
}

/** Returns what is thrown where not even the first validators that a proof names are the trusted ones. */
function anotherNetwork(trust) {
  const genesis = toHex(trust.genesisHash);
  return new Broken(
    "trust",
    `出具证明的共识节点不是所信任网络“${trust.networkName}”（创世哈希 ${genesis}）的：证明属于另一网络，请用该网络的信任文件；如它自称属于本网络，则不可信`,
    `the validators of this proof are not those of the trusted network "${trust.networkName}" (genesis ${genesis}): it is of another network, verify it with that network's trust file; if it is said to be of this one, do not trust it`,
    "ANOTHER_NETWORK",
  );
}

/** Returns if whoever trusts the anchor may take the header for final; throws Broken. */
function verifyFinality(proof, trust) {
  const { header } = proof;
  if (!sameBytes(setHash(proof.validators, "validator-set"), header.validators_hash)) {
    throw new Broken("validator-set", "共识节点不是区块头所指的集合", "the validators are not the set that the header names");
  }
  let [height, expected] = [trust.height, trust.nextValidatorsHash];
  if (header.height <= height) {
    throw new Broken("trust", `证明截至 ${header.height}，信任文件的检查点 ${height} 更晚`, `the proof is as of height ${header.height}, the trusted checkpoint ${height} is later`);
  }
  for (const change of proof.walk) {
    const at = change.header;
    const hash = setHash(change.validators, "trust");
    const isOfOthers = !sameBytes(hash, expected);
    if (isOfOthers && change === proof.walk[0] && at.height > height && at.height < header.height && sameBytes(hash, at.validators_hash)) {
      throw anotherNetwork(trust);
    }
    if (at.height <= height || at.height >= header.height || !sameBytes(hash, at.validators_hash) || isOfOthers) {
      throw new Broken("trust", `高度 ${at.height} 的共识节点变更不成立`, `the change of validators at height ${at.height} does not hold`);
    }
    try {
      verifyCommit(at, change.certificate, change.validators, trust);
    } catch (error) {
      throw new Broken("trust", `高度 ${at.height} 的共识节点变更：${error.zh}`, `change of validators at height ${at.height}: ${error.en}`);
    }
    [height, expected] = [at.height, at.next_validators_hash];
  }
  if (!sameBytes(header.validators_hash, expected)) {
    if (proof.walk.length === 0) throw anotherNetwork(trust);
    throw new Broken("trust", "共识节点并非源自所信任的网络", "the validators do not descend from the trusted set of this chain");
  }
  verifyCommit(header, proof.certificate, proof.validators, trust);
}

/** Returns if a record proof holds in the order of its steps: record, header, path, and what makes the header final. */
function verifyRecord(proof, record, trust) {
  let inState = null;
  try {
    verifyState(record.state, record.key, record.value, proof.header.state_root);
  } catch (error) {
    inState = error;
  }
  if (inState?.step === "record") throw inState;
  if (!sameBytes(blockId(proof.header), proof.certificate.block_id)) {
    throw new Broken("header", "区块头不是证书所指的区块", "the header is not of the block that the certificate names");
  }
  if (inState !== null) throw inState;
  verifyFinality(proof, trust);
}

/** Returns the network that a trust file names, `roots` null where it has none; throws Error with what is wrong. */
function readTrust(bytes) {
  const content = readJson(bytes);
  const names = ["format", "network_name", "chain_id", "genesis_hash", "height", "next_validators_hash"];
  const known = content instanceof Map && [...content.keys()].every((name) => names.includes(name) || name === "root_certificates");
  if (!known || !names.every((name) => content.has(name)) || content.get("format") !== "govnode-trust/1") {
    throw new Error("不是信任文件 / not a trust file");
  }
  const [genesisHash, nextValidatorsHash] = ["genesis_hash", "next_validators_hash"].map((name) => fromHex(content.get(name)));
  const height = content.get("height");
  const roots = content.get("root_certificates") ?? [];
  const isSound = [genesisHash, nextValidatorsHash].every((hash) => hash !== null && hash.length === 32) && typeof height === "bigint" && height >= 0n;
  const isNamed = typeof content.get("network_name") === "string" && Array.isArray(roots) && roots.length <= MAX_ROOT_CERTIFICATES;
  if (!isSound || !isNamed || !roots.every((der) => fromHex(der) !== null)) throw new Error("信任文件内容有误 / a value of the trust file is malformed");
  const trusted = roots.length === 0 ? null : roots.map(readCertificate);
  return { networkName: content.get("network_name"), genesisHash, nextValidatorsHash, height, roots: trusted };
}
