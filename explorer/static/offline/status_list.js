// Status lists (docs/spec/status-list.md): what became of a certificate since its proof. Which root a signer's certificates lead to is not
// judged here, so that a list counts by the proof that its issuer anchored it.
"use strict";

const MAX_LIST_FILE_BYTES = 32 * 1024 * 1024;
const MIN_ENTRIES = 131072n;
const MAX_ENTRIES = 2n ** 27n;
const SAFE = 2n ** 53n - 1n;
const LIST = {
  format: oneOf("govnode-status-list/1"),
  genesis_hash: hexOf(32),
  scope: pattern(/^[0-9A-Z]{21}\.[0-9A-Z]{6,18}(?:\.[0-9A-Z]{1,64})?$/),
  height: integer(1n, SAFE),
  block_id: hexOf(32),
  time_ms: TIME,
  batch_count: integer(0n, 2n ** 24n),
  batch_root: { ...hexOf(32), isNullable: true },
  changed_count: integer(0n, SAFE),
  entries: integer(MIN_ENTRIES, MAX_ENTRIES),
  bits: { is: (value) => typeof value === "string" },
  signatures: listOf({ department: textOf(1, 18), signed_ms: TIME, signature: hexOf(64), chain: DER_CHAIN }, 0, 8),
  anchors: listOf(pattern(/^(?:[0-9a-f]{2})+$/), 0, 4),
};
const RECORD_PROOF = struct(
  ["version", integer(1n, 1n)],
  ["key", octets(0, 512)],
  ["value", orNull(octets(0, 256 * 1024))],
  ["state", STATE],
  ["header", HEADER],
  ["certificate", CERTIFICATE],
  ["validators", VALIDATORS],
  ["walk", WALK],
);
const ENTRIES = ["CLEAR", "SUSPENDED", "ENDED"];

const malformedList = (reason) => fault("STATUS_LIST_MALFORMED", `状态清单格式不符：${reason}`, `malformed status list: ${reason}`);

function entryCount(isBatch, batchCount, changedCount) {
  const rounded = ((batchCount + 7n) / 8n) * 8n;
  if (isBatch) return rounded > MIN_ENTRIES ? rounded : MIN_ENTRIES;
  let count = MIN_ENTRIES;
  while (count < changedCount * 64n && count < MAX_ENTRIES) count *= 2n;
  return count;
}

/** Returns the `size` bytes that base64 of a zlib stream holds; no more are ever unpacked. */
async function unpackBits(text, size) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) throw malformedList("bits");
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const bits = new Uint8Array(size);
  let at = 0;
  try {
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (at + part.value.length > size) {
        await reader.cancel();
        throw new RangeError("more than it should hold");
      }
      bits.set(part.value, at);
      at += part.value.length;
    }
  } catch (error) {
    throw malformedList(`bits: ${error.message}`);
  }
  if (at !== size) throw malformedList("bits");
  return bits;
}

function checkBits(list) {
  let count = 0;
  let isSound = true;
  list.bits.forEach((byte, at) => {
    for (let shift = 8 - list.width; byte !== 0 && shift >= 0; shift -= list.width) {
      const entry = (byte >> shift) & (2 ** list.width - 1);
      const place = (at * 8 + 8 - list.width - shift) / list.width;
      if (entry !== 0) count++;
      if (entry === 3 || (entry !== 0 && list.isBatch && place >= list.batch_count)) isSound = false;
    }
  });
  const changed = Number(list.changed_count);
  if (!isSound || (list.isBatch ? count !== changed : count > changed || count > 0 !== changed > 0)) throw malformedList("bits");
}

/** Returns the list in a file, or as `fault` why it is none; what vouches for it is not judged. */
async function readStatusList(bytes) {
  try {
    if (bytes.length > MAX_LIST_FILE_BYTES) throw malformedList("size");
    const list = readForm(LIST, readJson(bytes), "file");
    list.isBatch = list.scope.split(".").length === 3;
    list.width = list.isBatch ? 2 : 1;
    if (list.isBatch !== list.batch_count > 0n || list.isBatch !== (list.batch_root !== null)) throw malformedList("batch");
    if (list.entries !== entryCount(list.isBatch, list.batch_count, list.changed_count)) throw malformedList("entries");
    list.bits = await unpackBits(list.bits, (Number(list.entries) * list.width) / 8);
    checkBits(list);
    const place = [list.scope, list.height, bytesOf(list.block_id), list.time_ms];
    const counts = [list.batch_count, bytesOf(list.batch_root ?? ""), list.changed_count, list.entries];
    list.digest = tagged("govnode/status-list/1")(pack([bytesOf(list.genesis_hash), ...place, ...counts, sm3(list.bits)]));
    return list;
  } catch (error) {
    return { fault: error.code === "STATUS_LIST_MALFORMED" ? error : malformedList(error.message) };
  }
}

/** Returns a value of MessagePack as readShape returns one of a file; throws RangeError. */
function readPacked(shape, value) {
  if (shape.isNullable && value === null) return null;
  if (shape.members !== undefined) {
    if (!Array.isArray(value) || value.length !== shape.members.length) throw new RangeError("another number of fields");
    const found = Object.fromEntries(shape.members.map(([name, inner], place) => [name, readPacked(inner, value[place])]));
    found.packed = value;
    return found;
  }
  if (shape.item !== undefined) {
    if (!Array.isArray(value) || value.length < shape.least || value.length > shape.most) throw new RangeError("another number of items");
    return value.map((one) => readPacked(shape.item, one));
  }
  if (!shape.is(value)) throw new RangeError("a value out of its range");
  return value;
}

/** Returns the department that anchored a list, null where its proof does not lead from the trusted checkpoint; throws ANCHOR_INVALID. */
function verifyAnchor(list, hex, trust) {
  const invalid = (reason) => fault("ANCHOR_INVALID", `清单的锚定：${reason}`, `the list's anchor: ${reason}`);
  let record;
  let proof;
  try {
    proof = readPacked(RECORD_PROOF, unpack(bytesOf(hex)));
    verifyRecord(proof, proof, trust);
    record = recordFields(proof.key, proof.value);
  } catch (error) {
    if (error instanceof Broken && error.step === "trust") return null;
    throw invalid(error.message);
  }
  const digest = toHex(list.digest);
  const isAnchor = recordKind(proof.key) === "anchor" && record !== null && record.get("digest") === digest;
  const key = isAnchor ? WORDS.kinds.anchor.prefix + digest + toHex(utf8(record.get("department"))) : null;
  if (key !== toHex(proof.key) || record.get("anchored_ms") <= list.time_ms) throw invalid("所证明的不是本清单的锚定 / what it proves is no anchor of this list");
  return record.get("department");
}

function verifyListSignature(list, one, nowMs, roots) {
  const message = tagged("govnode/status-list-seal/1")(pack([list.digest, one.department, one.signed_ms]));
  verifySigned(message, one.signature, one.chain, "SIGNATURE_INVALID");
  checkSignedBefore(one.signed_ms, nowMs);
  if (one.signed_ms < list.time_ms - BigInt(CLOCK_SKEW_MS)) {
    throw fault("SIGNED_BEFORE_BLOCK", "清单的签名时间早于其区块的时间", "the list is signed as of a time before its block was made");
  }
  verifySigner(one.chain, one.department, roots, Number(one.signed_ms));
}

/** Returns if the issuer's anchor lets a list be relied on; throws Broken. */
function verifyStatusList(list, trust, nowMs) {
  if (list.fault !== undefined) throw list.fault;
  if (list.genesis_hash !== toHex(trust.genesisHash)) {
    throw fault("STATUS_LIST_OF_ANOTHER_NETWORK", "清单属于另一个网络", "the list is of another network");
  }
  checkSignedBefore(list.time_ms, nowMs);
  for (const one of list.signatures) verifyListSignature(list, one, nowMs, trust.roots);
  const departments = list.anchors.map((hex) => verifyAnchor(list, hex, trust));
  const issuer = list.scope.split(".")[1];
  if (departments.includes(issuer)) return;
  if (list.signatures.some((one) => one.department === issuer)) {
    if (trust.roots !== null) return;
    throw fault("TRUST_MISSING", "清单只有签名、没有锚定，信任文件里没有根证书", "the list is signed and not anchored, and the trust file has no root certificates");
  }
  throw fault("STATUS_LIST_NOT_VOUCHED", `清单既没有 ${issuer} 的签名，也没有其锚定的证明`, `the list carries neither a signature of ${issuer} nor a proof that it anchored the list`);
}

/** Returns what a list says of a certificate: CLEAR, SUSPENDED, ENDED or ASK_ONLINE; throws Broken where it is about others. */
function findEntry(list, identifier, place) {
  const parsed = IDENTIFIER_FORM.exec(identifier);
  const [type, issuer] = list.scope.split(".");
  const isAbout = parsed !== null && parsed[1] === type && parsed[2] === issuer;
  if (!isAbout || (list.isBatch && (place === null || place.batch !== list.scope || place.position >= list.batch_count))) {
    throw fault("STATUS_LIST_NOT_ABOUT", `清单 ${list.scope} 不涉及这份证照`, `the list ${list.scope} is not about this certificate`);
  }
  if (list.isBatch) {
    const entry = ENTRIES[(list.bits[place.position >> 2] >> (6 - (place.position & 3) * 2)) & 3];
    if (entry !== "CLEAR" || !place.hasOwnRecord) return entry;
    // Whether the record came by this position, or stood there before the batch, the list does not tell.
    throw fault("STATUS_LIST_NOT_ABOUT", `证照另有记录，清单 ${list.scope} 不能断定；请取其类型与颁发机构的清单`, `it has a record of its own, of which the list ${list.scope} does not tell; fetch the list of its type and issuer`);
  }
  const digest = tagged("govnode/status-list-entry/1")(pack([bytesOf(list.block_id), identifier]));
  const entry = Number(toInteger(digest.slice(0, 8)) % list.entries);
  return list.bits[entry >> 3] & (0x80 >> (entry & 7)) ? "ASK_ONLINE" : "CLEAR";
}

function freshnessStep(verdict, list, trust, nowMs) {
  try {
    if (!CERTIFICATE_KINDS.includes(verdict.kind)) throw fault("STATUS_LIST_NOT_ABOUT", "证明的不是证照", "what is proved is no certificate");
    verifyStatusList(list, trust, nowMs);
    const finding = findEntry(list, verdict.record.get("identifier"), verdict.place);
    const when = showTime(list.time_ms);
    if (list.height < verdict.height) {
      return { state: "not-asked", finding: "", zh: `清单截至区块 ${list.height}（${when}），早于证明，不增加信息`, en: `the list is as of block ${list.height} (${when}), before the proof: it adds nothing` };
    }
    const [zh, en] = WORDS.list_findings[finding];
    const texts = { zh: `状态清单截至区块 ${list.height}（${when}）：${zh}`, en: `the status list as of block ${list.height} (${when}): ${en}` };
    return { state: finding === "CLEAR" ? "held" : "broken", finding: finding === "CLEAR" ? "" : finding, ...texts };
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { state: "broken", finding: error.code, zh: error.zh, en: error.en };
  }
}

/** Returns the verdict on a proof with one step more: what a list says since. What the proof refuses stays refused. */
function withStatusList(verdict, list, trust, nowMs) {
  const [zh, en] = WORDS.freshness;
  if (!verdict.isAccepted) return { ...verdict, steps: [...verdict.steps, { code: "freshness", state: "not-reached", finding: "", zh, en }] };
  const step = { code: "freshness", ...freshnessStep(verdict, list, trust, nowMs) };
  const steps = [...verdict.steps, step];
  if (step.state !== "broken") return { ...verdict, steps, zh: `${verdict.zh}；${step.zh}`, en: `${verdict.en}; ${step.en}` };
  return { ...verdict, steps, isAccepted: false, code: step.finding, zh: step.zh, en: step.en, brokenStep: "freshness" };
}
