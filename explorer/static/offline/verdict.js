// What a proof comes to: the certificate's status as of the proof, the document that was given, and the verdict.
"use strict";

const FINDINGS = { SUSPENDED: "SUSPENDED_SINCE", SUPERSEDED: "SUPERSEDED_BY" };
const BATCH_PROOF_FORMAT = "govnode-batch-proof/1";
const CERTIFICATE_KINDS = ["certificate", "batch-certificate"];

/** Returns a time as people in China read it, to the second. */
function showTime(timeMs) {
  const date = new Date(Number(timeMs) + 8 * 3600000);
  return Number.isNaN(date.getTime()) ? `${timeMs} ms` : `${date.toISOString().slice(0, 19).replace("T", " ")} (UTC+8)`;
}

function showSpan(spanMs) {
  for (const [size, zh, en] of [[86400000, "天", "day"], [3600000, "小时", "hour"], [60000, "分钟", "minute"], [1000, "秒", "second"]]) {
    const count = Math.floor(spanMs / size);
    if (count > 0) return [`${count} ${zh}`, `${count} ${en}${count === 1 ? "" : "s"}`];
  }
  return ["不到 1 秒", "less than a second"];
}

/** Returns what a certificate was at a time, from the intervals in its record. */
function statusAt(record, timeMs) {
  const history = record.get("history");
  const current = history.findLast((interval) => interval.get("from_ms") <= timeMs);
  if (timeMs < record.get("issued_ms") || current === undefined) {
    return { verdict: "NOT_YET_ISSUED", status: "", sinceMs: record.get("issued_ms"), reason: "", successor: "" };
  }
  const successor = current === history.at(-1) ? record.get("successor") : "";
  const effect = Number(current.get("effect"));
  const [from, to, since] = [record.get("valid_from_ms"), record.get("valid_to_ms"), current.get("from_ms")];
  let found;
  if (effect === WORDS.effects.ended) found = [successor ? "SUPERSEDED" : "ENDED", since];
  else if (effect !== WORDS.effects.in_force) found = ["SUSPENDED", since];
  else if (timeMs < from) found = ["NOT_YET_VALID", since];
  else if (to < timeMs && to < MAX_TIME_MS) found = ["EXPIRED", to];
  else found = ["IN_FORCE", since > from ? since : from];
  return { verdict: found[0], status: current.get("status"), sinceMs: found[1], reason: current.get("reason"), successor };
}

function statusStep(proved, nowMs) {
  if (!proved.isPresent) {
    let [zh, en] = ["账本上没有此记录", "the ledger holds no such record"];
    if (proved.kind === "certificate") {
      zh += "；整批颁发的证照可以没有自身的记录，须由批次证明核对";
      en += "; one of a batch may have none of its own, which a proof of its place in the batch tells";
    }
    return { finding: "NOT_ON_LEDGER", zh, en };
  }
  if (proved.fault) return { finding: proved.fault.code, zh: proved.fault.zh, en: proved.fault.en };
  if (!CERTIFICATE_KINDS.includes(proved.kind)) {
    const [zh, en] = recordWords(proved.kind, proved.record);
    return { finding: "", code: "RECORDED", zh, en };
  }
  const status = statusAt(proved.record, proved.timeMs);
  const to = proved.record.get("valid_to_ms");
  if (status.verdict === "IN_FORCE" && to < nowMs) {
    return { finding: "EXPIRED", code: "EXPIRED", zh: `有效期已于 ${showTime(to)} 届满`, en: `its validity ended at ${showTime(to)}` };
  }
  let [zh, en] = WORDS.verdicts[status.verdict];
  if (status.verdict === "IN_FORCE") return { finding: "", code: "IN_FORCE", zh, en };
  const since = showTime(status.sinceMs);
  [zh, en] = [`${zh}（状态代码 ${status.status}），自 ${since}`, `${en} (status code ${status.status}) since ${since}`];
  if (status.successor) [zh, en] = [`${zh}，后继证照：${status.successor}`, `${en}, its successor: ${status.successor}`];
  if (status.reason) [zh, en] = [`${zh}，原因：${status.reason}`, `${en}, reason: ${status.reason}`];
  return { finding: FINDINGS[status.verdict] ?? status.verdict, code: status.verdict, zh, en };
}

function documentStep(proved, content, nowMs, recipient) {
  if (content === null) return { state: "not-asked", finding: "", zh: "未给出文件，未核对", en: "no document was given; none was checked" };
  // A certificate file is never taken by its SM3: anybody can have the bytes of a forged one recorded as some other document.
  const kind = certificateFileKind(content);
  if (kind !== null && !CERTIFICATE_KINDS.includes(proved.kind)) {
    return {
      state: "broken",
      finding: "WRONG_PROOF",
      zh: "这是证照文件，而证明的不是证照：请出示该证照自身的证明",
      en: "this is a certificate's file, and what is proved is no certificate: the certificate's own proof is needed",
    };
  }
  if (kind !== null && proved.record) {
    const file = verifyCertificateFile(kind, content, proved, nowMs, recipient);
    return { state: file.isAccepted ? "held" : "broken", finding: file.isAccepted ? "" : file.code, zh: file.zh, en: file.en, file };
  }
  const fields = WORDS.digest_fields[proved.kind];
  const expected = fields !== undefined && proved.record ? valueAt(proved.record, fields.join(".")) : "";
  if (/^0*$/.test(expected)) {
    return { state: "broken", finding: "DOCUMENT_CHANGED", zh: WORDS.no_digest[0], en: WORDS.no_digest[1] };
  }
  const found = toHex(sm3(content));
  if (found === expected) return { state: "held", finding: "", zh: WORDS.steps.document[0], en: WORDS.steps.document[1] };
  const [zhMore, enMore] = proved.kind === "delivery" ? WORDS.delivery_hint : ["", ""];
  return {
    state: "broken",
    finding: "DOCUMENT_CHANGED",
    zh: `文件被改动过，或不是这一份：应为 SM3 ${expected}，实为 ${found}${zhMore}`,
    en: `the document was changed, or is another one: expected SM3 ${expected}, found ${found}${enMore}`,
  };
}

function conclude(proved, content, nowMs, recipient) {
  const status = statusStep(proved, nowMs);
  const document = documentStep(proved, content, nowMs, recipient);
  const ageMs = Math.max(0, nowMs - Number(proved.timeMs));
  const [age, ageEn] = showSpan(ageMs);
  const isDocumentTold = document.state === "broken" && proved.isPresent;
  const told = isDocumentTold ? document : status;
  const steps = proved.steps.filter((name) => name !== "document" && name !== "status").map(heldStep);
  steps.push({ code: "document", state: document.state, finding: document.finding, zh: document.zh, en: document.en });
  steps.push({ code: "status", state: status.finding ? "broken" : "held", finding: status.finding, zh: status.zh, en: status.en });
  const verdict = {
    isAccepted: document.state !== "broken" && !status.finding,
    code: isDocumentTold ? document.finding : (status.code ?? status.finding),
    zh: `${told.zh}（截至区块 ${proved.height}，${showTime(proved.timeMs)}，${age}前；之后的变更不在此证明中）`,
    en: `${told.en} (as of block ${proved.height}, ${showTime(proved.timeMs)}, ${ageEn} ago; what changed later is not in this proof)`,
    brokenStep: document.state === "broken" ? "document" : status.finding ? "status" : null,
    steps,
    kind: proved.kind,
    record: proved.record,
    height: proved.height,
    timeMs: proved.timeMs,
    ageMs,
    file: document.file ?? null,
    place: proved.place ?? null,
  };
  const isClockBehind = Number(proved.timeMs) > nowMs + CLOCK_SKEW_MS;
  return verdict.isAccepted && isClockBehind ? refuseByClock(verdict, nowMs) : verdict;
}

/** Returns an accepted verdict with the step of its age broken: by a clock that is behind every proof is new, and no validity has ended. */
function refuseByClock(verdict, nowMs) {
  const [found, made] = [showTime(nowMs), showTime(verdict.timeMs)];
  const zh = `本机时钟 ${found} 早于证明的区块 ${made}，不能判断证明的新旧：请校准时钟后再核验`;
  const en = `this machine's clock says ${found}, before the proof's block of ${made}, and cannot tell its age: set the clock, then verify`;
  const step = { code: "age", state: "broken", finding: "CLOCK_BEHIND", zh, en };
  return { ...verdict, steps: [...verdict.steps, step], isAccepted: false, code: step.finding, zh, en, brokenStep: step.code };
}

const heldStep = (name) => ({ code: name, state: "held", finding: "", zh: WORDS.steps[name][0], en: WORDS.steps[name][1] });

function brokenVerdict(names, error) {
  let state = error.isBefore ? "not-reached" : "held";
  const steps = names.map((name) => {
    if (name !== error.step) return { ...heldStep(name), state };
    state = "not-reached";
    return { code: name, state: "broken", finding: error.code, zh: error.zh, en: error.en };
  });
  const words = WORDS.steps[error.step];
  const isNamed = ["ANOTHER_NETWORK", "NOT_A_PROOF"].includes(error.code);
  return {
    isAccepted: false,
    code: error.code,
    zh: isNamed ? error.zh : `证明不成立，断在“${words[0]}”（${error.step}）：${error.zh}`,
    en: isNamed ? error.en : `the proof does not hold; the broken step is ${error.step} ("${words[1]}"): ${error.en}`,
    brokenStep: error.step,
    steps,
    kind: null,
    record: null,
    height: null,
    timeMs: null,
    ageMs: null,
    file: null,
    place: null,
  };
}

const PROOF_MARKS = ['"govnode-proof/', '"govnode-batch-proof/'];

/** Returns whether bytes say that they are a proof, however damaged. */
const isProofFile = (bytes) => {
  const text = new TextDecoder("latin1").decode(bytes);
  return PROOF_MARKS.some((mark) => text.includes(mark));
};

/** Returns what is said of bytes that are no proof, by what they say that they are. */
function notProof(bytes) {
  const format = String(formatOf(bytes) ?? "").slice(0, 40);
  const [zh, en] = bytes.length === 0 ? ["空文件", "an empty file"] : format ? [`格式为 '${format}' 的文件`, `a file of the format '${format}'`] : ["其他文件", "some other file"];
  const error = new Broken("file", `不是证明文件：应为 *.proof.json；实为${zh}，请核对所选的文件`, `expected a proof file (*.proof.json), found ${en}: check which file it is`, "NOT_A_PROOF");
  error.isBefore = true;
  return error;
}

/** Returns the verdict on the bytes of a proof file of either kind, with the document that it speaks of or null. */
function verifyProof(bytes, document, trust, nowMs, recipient = null) {
  const isBatch = formatOf(bytes) === BATCH_PROOF_FORMAT;
  try {
    const content = readFile(bytes);
    const proved = isBatch ? proveMember(content, trust) : proveRecord(content, trust);
    return conclude({ ...proved, roots: trust.roots }, document, nowMs, recipient);
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return brokenVerdict(isBatch ? WORDS.batch_steps : WORDS.record_steps, isProofFile(bytes) || error.step !== "file" ? error : notProof(bytes));
  }
}

function proveRecord(content, trust) {
  checkNames("file", content, ["format", "version", "record", "state", ...Object.keys(FINALITY)]);
  if (content.get("format") !== "govnode-proof/1") throw malformed("file", "expected the format govnode-proof/1");
  const record = content.get("record");
  checkNames("record", record, ["kind", "key", "value", "fields"]);
  if (content.get("version") !== 1n) throw malformed("file", "expected version 1");
  const [proof, at] = [readFinality(content), readRecord(record, content.get("state"))];
  const kind = recordKind(at.key);
  if (record.get("kind") !== kind || !sameJson(at.fields, record.get("fields"))) {
    throw new Broken("record", "文字所述与记录不符", "the fields in words are not those of the record");
  }
  verifyRecord(proof, at, trust);
  const steps = WORDS.record_steps;
  return { steps, kind, isPresent: at.value !== null, record: at.fields, height: proof.header.height, timeMs: proof.header.time_ms };
}

function readFinality(content) {
  return Object.fromEntries(Object.entries(FINALITY).map(([part, shape]) => [part, readShape(part, shape, content.get(part))]));
}

function readRecord(record, state) {
  const key = hexPart("record", record.get("key"));
  const value = record.get("value") === null ? null : hexPart("record", record.get("value"));
  if (key.length > 512 || (value !== null && value.length > 256 * 1024)) throw malformed("record", "过长 / too long");
  return { key, value, state: readShape("state", STATE, state), fields: recordFields(key, value) };
}

// A certificate of a batch.

function proveMember(content, trust) {
  const names = ["format", "version", "member", "batch_record", "own_record", ...Object.keys(FINALITY)];
  checkNames("file", content, names);
  if (content.get("format") !== BATCH_PROOF_FORMAT) throw malformed("file", `expected the format ${BATCH_PROOF_FORMAT}`);
  if (content.get("version") !== 1n) throw malformed("file", "expected version 1");
  const proof = readFinality(content);
  const [batch, own] = ["batch_record", "own_record"].map((name) => {
    checkNames("record", content.get(name), ["key", "value", "fields", "state"]);
    return readRecord(content.get(name), content.get(name).get("state"));
  });
  if (batch.value === null) throw malformed("record", "expected the record of a batch, found none");
  const member = readMember(content.get("member"));
  if (recordKind(batch.key) !== "batch" || recordKind(own.key) !== "certificate") {
    throw new Broken("record", "不是批次与证照的记录", "expected the records of a batch and of a certificate");
  }
  const keyOf = (kind, name) => WORDS.kinds[kind].prefix + toHex(utf8(name));
  const isTold = ["batch_record", "own_record"].every((name, place) => sameJson([batch, own][place].fields, content.get(name).get("fields")));
  if (!isTold || toHex(batch.key) !== keyOf("batch", batch.fields.get("name")) || toHex(own.key) !== keyOf("certificate", member.identifier)) {
    throw new Broken("record", "文字所述或键与记录不符", "the fields in words, or the keys, are not those of the records");
  }
  verifyRecord(proof, batch, trust);
  verifyState(own.state, own.key, own.value, proof.header.state_root);
  const { record, fault } = memberRecord(batch.fields, member, own.fields);
  return {
    steps: WORDS.batch_steps,
    kind: "batch-certificate",
    isPresent: true,
    record,
    fault,
    batch: batch.fields,
    place: { batch: batch.fields.get("name"), position: member.position, hasOwnRecord: own.fields !== null },
    height: proof.header.height,
    timeMs: proof.header.time_ms,
  };
}

function readMember(member) {
  checkNames("member", member, ["content", "position", "path"]);
  const [content, path, position] = ["content", "path", "position"].map((name) => member.get(name));
  checkNames("member", content, ["identifier", "document_digest", "holder_commitment", "valid_from_ms", "valid_to_ms"]);
  const digest = (text) => {
    const bytes = hexPart("member", text);
    if (bytes.length !== 32) throw malformed("member", "expected 32 bytes");
    return bytes;
  };
  const within = (value, least, most) => {
    if (typeof value !== "bigint" || value < least || value > most) throw malformed("member", "expected an integer in its range");
    return value;
  };
  const parsed = typeof content.get("identifier") === "string" ? IDENTIFIER_FORM.exec(content.get("identifier")) : null;
  if (parsed === null || parsed[4] === "000") throw malformed("member", "expected an identifier with its root");
  if (!Array.isArray(path) || path.length > 64) throw malformed("member", "expected a path of at most 64 siblings");
  const safe = 2n ** 53n - 1n;
  const times = ["valid_from_ms", "valid_to_ms"].map((name) => within(content.get(name), -safe, safe));
  return {
    identifier: parsed[0],
    parsed,
    documentDigest: digest(content.get("document_digest")),
    holderCommitment: digest(content.get("holder_commitment")),
    times,
    position: Number(within(position, 0n, 2n ** 24n - 1n)),
    path: path.map(digest),
  };
}

/** Returns the check character of an identifier's parts (ISO 7064 MOD 37,36). */
function checkCharacter(text) {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  let state = 36;
  for (const character of text) state = (2 * ((state + alphabet.indexOf(character)) % 36 || 36)) % 37;
  return alphabet[(37 - state) % 36];
}

/** Returns the words of a refusal of the contracts, filled in. */
const refusalTexts = (code, facts) => WORDS.refusals[code].map((text) => text.replace(/\{([a-z]+)\}/g, (_, name) => String(facts[name])));

const leafOf = (identifier, documentDigest, holderCommitment, times) =>
  tagged("govnode/batch-leaf/1")(pack([identifier, documentDigest, holderCommitment, ...times]));

/** Returns the record that speaks for a certificate of a batch, and why it is about another one where it is; throws Broken. */
function memberRecord(batch, member, own) {
  const [, type, issuer, serial, version, check] = member.parsed;
  const [from, to] = member.times;
  const expected = checkCharacter(type + issuer + serial + version);
  const facts = { found: member.identifier, batch: batch.get("name"), position: member.position, start: from, end: to, field: "content", expected };
  const refuse = (code) => new Broken("member", ...refusalTexts(code, facts), code);
  if ([member.documentDigest, member.holderCommitment].some((digest) => digest.every((byte) => byte === 0))) throw refuse("DIGEST_ZERO");
  if (from < MIN_TIME_MS || to < MIN_TIME_MS || from > MAX_TIME_MS || to > MAX_TIME_MS) throw refuse("DATE_OUT_OF_RANGE");
  if (from >= to) throw refuse("DATES_REVERSED");
  if (expected !== check) throw refuse("CHECK_CHARACTER_MISMATCH");
  const isOfPair = type === batch.get("type_code") && issuer === batch.get("issuer");
  if (!isOfPair || version !== FIRST_VERSION || serial < batch.get("first") || serial > batch.get("last")) {
    throw refuse("OUTSIDE_BATCH");
  }
  let root = null;
  try {
    const leaf = leafOf(member.identifier, member.documentDigest, member.holderCommitment, member.times);
    root = merklePathRoot(leaf, member.position, Number(batch.get("count")), member.path);
  } catch {
    // A path of another length leads nowhere.
  }
  if (root === null || toHex(root) !== batch.get("root")) throw refuse("NOT_IN_BATCH");
  const [digest, holder] = [toHex(member.documentDigest), toHex(member.holderCommitment)];
  if (own === null) {
    const issued = batch.get("issued");
    const texts = { identifier: member.identifier, type_code: type, issuer, document_digest: digest, holder_commitment: holder };
    const rest = { valid_from_ms: from, valid_to_ms: to, predecessor: "", successor: "", recipient: "", issued_ms: issued.get("from_ms") };
    return { record: new Map(Object.entries({ ...texts, ...rest, page_count: 0n, history: [issued] })), fault: null };
  }
  const isSame =
    own.get("document_digest") === digest && own.get("holder_commitment") === holder && own.get("valid_from_ms") === from && own.get("valid_to_ms") === to;
  const [zh, en] = refusalTexts("ANOTHER_CERTIFICATE", facts);
  return { record: own, fault: isSame ? null : { code: "ANOTHER_CERTIFICATE", zh, en } };
}
