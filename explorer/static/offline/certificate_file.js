// Certificate documents, presentations and annotated copies (docs/spec/certificate-document.md), held against what a proof shows of the certificate.
"use strict";

const MAX_DOCUMENT_FILE_BYTES = 4 * 1024 * 1024;
const MAX_FIELDS = 128;
const MAX_ATTACHMENTS = 32;
const MAX_CERTIFICATE_BYTES = 8192;
const CLOCK_SKEW_MS = 5 * 60 * 1000;
const METADATA = ["ZZBS", "ZZMC", "ZZLXDM", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "associatedZzeCertID"];
const HOLDER_NAMES = ["ZZBH", "CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM"];
const FILE_KINDS = { "govnode-certificate/1": "document", "govnode-presentation/1": "presentation", "govnode-annotated-copy/1": "annotated-copy" };
const KIND_NAMES = {
  document: ["证照文件", "certificate document"],
  presentation: ["证照出示件", "presentation"],
  "annotated-copy": ["证照加注件", "annotated copy"],
};

const textOf = (least, most) => ({ is: (value) => typeof value === "string" && [...value].length >= least && [...value].length <= most });
const pattern = (form) => ({ is: (value) => typeof value === "string" && form.test(value) });
const hexOf = (size) => pattern(new RegExp(`^[0-9a-f]{${2 * size}}$`));
const oneOf = (value) => ({ is: (found) => found === value });
const TIME = integer(0n, MAX_TIME_MS);
const POSITION = integer(0n, BigInt(MAX_FIELDS - 1));
const FILE_SIZE = integer(0n, 2n ** 40n);
const DATE = pattern(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/);
const DER_CHAIN = listOf({ is: (value) => typeof value === "string" && /^([0-9a-f]{2})+$/.test(value) && value.length <= 2 * MAX_CERTIFICATE_BYTES }, 2, 4);
const CORE = {
  ZZBS: textOf(1, 128), ZZMC: textOf(1, 128), ZZLXDM: textOf(1, 128), ZZBFJG: textOf(1, 128), ZZBFJGDM: textOf(1, 128),
  ZZBFRQ: DATE, ZZYXQQSRQ: DATE, ZZYXQJZRQ: DATE, associatedZzeCertID: textOf(0, 128),
  holder_commitment: hexOf(32), holder_key: pattern(/^([0-9a-f]{128})?$/),
  fields: listOf({ name: textOf(1, 64), commitment: hexOf(32) }, 0, MAX_FIELDS),
  attachments: listOf({ name: textOf(1, 128), media_type: { is: (value) => typeof value === "string" && value.length <= 64 && /^[a-z0-9][a-z0-9.+-]*\/[a-z0-9][a-z0-9.+-]*$/.test(value) }, commitment: hexOf(32) }, 0, MAX_ATTACHMENTS),
};
const SEALS = {
  issuer: { kind: oneOf("issuer"), signed_ms: TIME, signature: hexOf(64), chain: DER_CHAIN },
  batch: {
    kind: oneOf("batch"), batch: textOf(1, 128), count: integer(1n, 2n ** 32n), root: hexOf(32), manifest_digest: hexOf(32),
    position: integer(0n, 2n ** 32n - 1n), path: listOf(hexOf(32), 0, 64), signed_ms: TIME, signature: hexOf(64), chain: DER_CHAIN,
  },
};
const SEAL = { choose: (value) => SEALS[value.get("kind")] };
const PRESENTATION = {
  format: oneOf("govnode-presentation/1"), core: CORE,
  fields: listOf({ position: POSITION, value: textOf(1, 4096), salt: hexOf(16) }, 0, MAX_FIELDS),
  attachments: listOf({ position: integer(0n, BigInt(MAX_ATTACHMENTS - 1)), size: FILE_SIZE, sm3: hexOf(32), salt: hexOf(16) }, 0, MAX_ATTACHMENTS),
  seal: SEAL,
  binding: { isNullable: true, recipient: textOf(1, 128), purpose: textOf(1, 200), made_ms: TIME, expires_ms: TIME, signature: hexOf(64) },
};
const FILES = {
  document: {
    format: oneOf("govnode-certificate/1"), core: CORE, values: listOf(textOf(1, 4096), 0, MAX_FIELDS),
    files: listOf({ size: FILE_SIZE, sm3: hexOf(32) }, 0, MAX_ATTACHMENTS), secret: hexOf(32), seal: SEAL,
  },
  presentation: PRESENTATION,
  "annotated-copy": {
    format: oneOf("govnode-annotated-copy/1"), original: PRESENTATION,
    annotation: { JZJZZSJ: TIME, JZJZZZ: textOf(1, 128), maker_code: textOf(18, 18), JZJZZSY: textOf(1, 200), recipient: textOf(1, 128), JZJYXQJZSJ: TIME },
    signature: hexOf(64), chain: DER_CHAIN,
  },
};

const fault = (code, zh, en) => new Broken("file", zh, en, code);
const malformedFile = (reason) => fault("DOCUMENT_MALFORMED", `不是合规的证照文件：${reason}`, `not a well-formed certificate file: ${reason}`);

/** Returns a value as an object if it has the form; throws DOCUMENT_MALFORMED. */
function readForm(form, value, where) {
  if (form.isNullable && value === null) return null;
  if (form.is !== undefined) {
    if (!form.is(value)) throw malformedFile(where);
    return value;
  }
  if (form.item !== undefined) {
    if (!Array.isArray(value) || value.length < form.least || value.length > form.most) throw malformedFile(where);
    return value.map((one) => readForm(form.item, one, where));
  }
  if (!(value instanceof Map)) throw malformedFile(where);
  const members = form.choose === undefined ? form : form.choose(value);
  const names = members === undefined ? [] : Object.keys(members).filter((name) => name !== "isNullable");
  if (names.length === 0 || value.size !== names.length || !names.every((name) => value.has(name))) throw malformedFile(where);
  return Object.fromEntries(names.map((name) => [name, readForm(members[name], value.get(name), name)]));
}

/** Returns whether a text is a unified social credit code with the right check character (GB 32100). */
function isUscc(code) {
  const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY";
  const weights = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
  const values = [...code].map((character) => alphabet.indexOf(character));
  if (values.length !== 18 || values.includes(-1)) return false;
  const total = weights.reduce((sum, weight, place) => sum + weight * values[place], 0);
  return values[17] === (31 - (total % 31)) % 31;
}

/** Returns the class of the characters in a table of the contracts. */
const classOf = (name) => `[${WORDS.characters[name].map(([first, last]) => `\\u{${first.toString(16)}}-\\u{${last.toString(16)}}`).join("")}]`;
const notBetween = (neighbours, found) => `(?<!${classOf(neighbours)})${classOf(found)}|${classOf(found)}(?!${classOf(neighbours)})`;
const notBehind = (before, found) => `(?<!${classOf(before)})${classOf(found)}`;
const NOT_PLAIN = new RegExp(
  [
    `^${classOf("SPACES")}|${classOf("SPACES")}$`,
    classOf("REFUSED"),
    notBetween("JOINED", "JOINERS"),
    notBetween("MONGOLIAN", "MONGOLIAN_SEPARATOR"),
    notBehind("MONGOLIAN", "MONGOLIAN_SELECTORS"),
    notBehind("IDEOGRAPHS", "SELECTORS"),
  ].join("|"),
  "u",
);

/** Returns whether a text has no control or invisible character, and no white space at its ends. */
const isPlain = (text) => !NOT_PLAIN.test(text);

/** Returns the first millisecond of a day of China; throws DOCUMENT_MALFORMED where there is no such day. */
function dayStart(text) {
  const [year, month, day] = text.split("-").map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (year < 1 || date.toISOString().slice(0, 10) !== text) throw malformedFile(text);
  return BigInt(date.getTime() - 8 * 3600000);
}

const dayEnd = (text) => dayStart(text) + 86399999n;

function checkCore(core) {
  const parsed = IDENTIFIER_FORM.exec(core.ZZBS);
  if (parsed === null || parsed[4] === "000") throw malformedFile("ZZBS");
  const [from, to] = [dayStart(core.ZZYXQQSRQ), dayEnd(core.ZZYXQJZRQ)];
  dayStart(core.ZZBFRQ);
  const isSound =
    isPlain(core.ZZMC) && isPlain(core.ZZBFJG) && from >= MIN_TIME_MS && from < to && to <= MAX_TIME_MS &&
    (core.associatedZzeCertID === "" || IDENTIFIER_FORM.test(core.associatedZzeCertID)) &&
    (core.holder_key === "" || curvePoint(fromHex(core.holder_key)) !== null) &&
    parsed[1] === core.ZZLXDM && parsed[2] === core.ZZBFJGDM;
  if (!isSound) throw malformedFile("core");
  const expected = checkCharacter(parsed.slice(1, 5).join(""));
  if (parsed[5] !== expected) {
    throw fault("CHECK_CHARACTER_MISMATCH", `证照标识的校验位是 ${parsed[5]}，应为 ${expected}`, `the check character of the identifier is ${parsed[5]}, expected ${expected}`);
  }
  const names = core.fields.map((field) => field.name);
  for (const list of [names, core.attachments.map((one) => one.name)]) {
    if (!list.every(isPlain) || new Set(list).size < list.length) throw malformedFile("name");
  }
  const leading = HOLDER_NAMES.filter((name) => names.includes(name));
  if (names.some((name) => METADATA.includes(name)) || leading.some((name, place) => names[place] !== name)) throw malformedFile("fields");
}

function checkValue(value) {
  if (!isPlain(value.replaceAll("\n", "·"))) throw malformedFile("value");
}

function checkTimes(made, expires) {
  if (made >= expires) throw malformedFile("times");
}

function checkPresentation(shown) {
  checkCore(shown.core);
  for (const [items, count] of [[shown.fields, shown.core.fields.length], [shown.attachments, shown.core.attachments.length]]) {
    const places = [...items.map((one) => Number(one.position)), count];
    if (places.some((place, i) => i > 0 && place <= places[i - 1])) throw malformedFile("position");
  }
  shown.fields.forEach((one) => checkValue(one.value));
  if (shown.binding === null) return;
  if (shown.core.holder_key === "" || !isPlain(shown.binding.recipient) || !isPlain(shown.binding.purpose)) throw malformedFile("binding");
  checkTimes(shown.binding.made_ms, shown.binding.expires_ms);
}

function readCertificateFile(kind, bytes) {
  if (bytes.length > MAX_DOCUMENT_FILE_BYTES) throw malformedFile(`> ${MAX_DOCUMENT_FILE_BYTES}`);
  let content;
  try {
    content = readJson(bytes);
  } catch (error) {
    throw malformedFile(error.message);
  }
  const file = readForm(FILES[kind], content, "file");
  if (kind === "document") {
    checkCore(file.core);
    if (file.values.length !== file.core.fields.length || file.files.length !== file.core.attachments.length) throw malformedFile("values");
    file.values.forEach(checkValue);
    return file;
  }
  checkPresentation(kind === "presentation" ? file : file.original);
  if (kind === "annotated-copy") {
    const { annotation } = file;
    if (!isUscc(annotation.maker_code) || ![annotation.JZJZZZ, annotation.JZJZZSY, annotation.recipient].every(isPlain)) throw malformedFile("annotation");
    checkTimes(annotation.JZJZZSJ, annotation.JZJYXQJZSJ);
  }
  return file;
}

const bytesOf = (hex) => fromHex(hex);

function coreDigest(core) {
  return tagged("govnode/certificate-document/1")(
    pack([
      ...METADATA.map((name) => core[name]),
      bytesOf(core.holder_commitment),
      bytesOf(core.holder_key),
      core.fields.map((one) => [one.name, bytesOf(one.commitment)]),
      core.attachments.map((one) => [one.name, one.media_type, bytesOf(one.commitment)]),
    ]),
  );
}

const fieldCommitment = (core, place, salt, value) =>
  toHex(tagged("govnode/certificate-field/1")(pack([core.ZZBS, BigInt(place), core.fields[place].name, salt, value])));

function attachmentCommitment(core, place, salt, size, digest) {
  const { name, media_type: mediaType } = core.attachments[place];
  return toHex(tagged("govnode/certificate-attachment/1")(pack([core.ZZBS, BigInt(place), name, mediaType, salt, size, bytesOf(digest)])));
}

const saltOf = (secret, label, place) => hmacSm3(secret, concat(utf8(`${label}\0`), bigEndian(BigInt(place), 4))).slice(0, 16);

function verifySigned(message, signature, chain, code) {
  let signer = null;
  try {
    signer = readCertificate(chain[0]);
  } catch {
    // A certificate that cannot be read has signed nothing.
  }
  if (signer === null || !verifySm2(signer.key, message, bytesOf(signature))) {
    throw fault(code, "签名不成立：签名后内容被改动，或不是证书所有者所签", "the signature does not hold: changed after signing, or not made by the certificate's owner");
  }
  return signer;
}

// The steps.

function checkLedger(core, seal, proved) {
  const { record } = proved;
  if (record.get("document_digest") !== toHex(coreDigest(core))) {
    const proven = record.get("identifier");
    if (proven !== core.ZZBS) {
      throw fault("ANOTHER_CERTIFICATE", `这份文件是证照 ${core.ZZBS} 的，所对照的账本记录是 ${proven} 的：请取该证照自身的证明或文件`, `this file is of the certificate ${core.ZZBS}, the ledger's record of ${proven}: take the proof of the file's own certificate, or the file of the proved one`);
    }
    throw fault("DOCUMENT_CHANGED", "与账本登记的不符：公开元数据、字段名、字段顺序或承诺被改动，或者是另一份证照", "not what the ledger records: metadata, names, order or commitments were changed, or it is another certificate");
  }
  const isSame =
    record.get("identifier") === core.ZZBS && record.get("holder_commitment") === core.holder_commitment &&
    record.get("valid_from_ms") === dayStart(core.ZZYXQQSRQ) && record.get("valid_to_ms") === dayEnd(core.ZZYXQJZRQ);
  if (!isSame) {
    throw fault("RECORD_DIFFERS", "账本登记的标识、有效期或持证主体承诺与证照文件所载不同", "the ledger records another identifier, validity or holder than the document says");
  }
  if (proved.batch !== undefined && (seal.kind !== "batch" || seal.root !== proved.batch.get("root"))) {
    throw fault("ANOTHER_BATCH", "批次的默克尔根与账本登记的不符", "the Merkle root of its batch is not the one that the ledger records");
  }
  return true;
}

function checkBatch(core, seal) {
  if (seal.kind !== "batch") return false;
  const [, type, issuer, serial, version] = IDENTIFIER_FORM.exec(core.ZZBS);
  const last = seal.batch.lastIndexOf(".");
  const leaf = leafOf(core.ZZBS, coreDigest(core), bytesOf(core.holder_commitment), [dayStart(core.ZZYXQQSRQ), dayEnd(core.ZZYXQJZRQ)]);
  let root = null;
  try {
    const isOfPair = last >= 0 && seal.batch.slice(0, last) === `${type}.${issuer}`;
    if (isOfPair && version === FIRST_VERSION && serial >= seal.batch.slice(last + 1)) {
      root = merklePathRoot(leaf, Number(seal.position), Number(seal.count), seal.path.map(bytesOf));
    }
  } catch {
    // A path of another length leads nowhere.
  }
  if (root === null || toHex(root) !== seal.root) {
    throw fault("NOT_IN_BATCH", `文件不在批次 ${seal.batch} 的第 ${seal.position} 位`, `the document is not at position ${seal.position} of the batch ${seal.batch}`);
  }
  return true;
}

function checkSeal(core, seal) {
  const message =
    seal.kind === "batch"
      ? tagged("govnode/batch-seal/1")(pack([seal.batch, seal.count, bytesOf(seal.root), bytesOf(seal.manifest_digest), seal.signed_ms]))
      : tagged("govnode/certificate-seal/1")(pack([coreDigest(core), seal.signed_ms]));
  return verifySigned(message, seal.signature, seal.chain, "SIGNATURE_INVALID");
}

function checkChain(core, seal, nowMs, roots) {
  verifySigner(seal.chain, core.ZZBFJGDM, roots, Number(seal.signed_ms));
  checkSignedBefore(seal.signed_ms, nowMs);
  return roots !== null;
}

function checkSignedBefore(signedMs, nowMs) {
  if (signedMs > BigInt(nowMs + CLOCK_SKEW_MS)) {
    throw fault("SIGNED_IN_FUTURE", `签名时间 ${showTime(signedMs)} 在将来：请检查本机时钟`, `it was signed at ${showTime(signedMs)}, which is in the future: check this machine's clock`);
  }
}

const fieldChanged = (names) => fault("FIELD_CHANGED", `字段 ${names.join("、")} 的值（或其盐）不是颁发时的`, `the value (or its salt) is not the one that was issued: ${names.join(", ")}`);
const attachmentChanged = (name) => fault("ATTACHMENT_CHANGED", `附件 ${name} 不是颁发时的文件`, `the attachment ${name} is not the file that was issued`);

function isHolderCommitted(file) {
  const values = Object.fromEntries(file.core.fields.map((field, place) => [field.name, file.values[place]]));
  const salt = hmacSm3(bytesOf(file.secret), concat(utf8("govnode/holder-salt/1\0"), utf8(file.core.ZZBS)));
  const holder = JSON.stringify(["CZZTDMLXDM", "CZZTDM", "CZZT"].map((name) => values[name] ?? ""));
  return toHex(hmacSm3(salt, utf8(holder))) === file.core.holder_commitment;
}

const isAttachmentCommitted = (core, one) =>
  attachmentCommitment(core, Number(one.position), bytesOf(one.salt), one.size, one.sm3) === core.attachments[Number(one.position)].commitment;

function allAttachments(file) {
  const secret = bytesOf(file.secret);
  return file.files.map((one, place) => ({ ...one, position: BigInt(place), salt: toHex(saltOf(secret, "govnode/attachment-salt/1", place)) }));
}

function checkAllFields(file) {
  const { core } = file;
  const secret = bytesOf(file.secret);
  const changed = core.fields.filter((field, place) => fieldCommitment(core, place, saltOf(secret, "govnode/field-salt/1", place), file.values[place]) !== field.commitment);
  const opensAnything = changed.length < core.fields.length || isHolderCommitted(file) || allAttachments(file).some((one) => isAttachmentCommitted(core, one));
  if (!opensAnything) {
    throw fault("SALT_WRONG", "文件中的密钥打不开任何承诺：密钥被改动或属于另一份证照，或者全部值都被替换", "the secret in the file opens no commitment: it was changed or is another certificate's, or every value was replaced");
  }
  if (changed.length > 0) throw fieldChanged(changed.map((field) => field.name));
  return true;
}

function checkOpenFields(shown) {
  const changed = shown.fields.filter((one) => {
    const place = Number(one.position);
    return fieldCommitment(shown.core, place, bytesOf(one.salt), one.value) !== shown.core.fields[place].commitment;
  });
  if (changed.length > 0) throw fieldChanged(changed.map((one) => shown.core.fields[Number(one.position)].name));
  return shown.fields.length > 0;
}

function checkHolder(file) {
  if (!isHolderCommitted(file)) throw fault("HOLDER_CHANGED", "持证主体的承诺与字段中的持证主体不符", "the holder's commitment is not about the holder in the fields");
  return true;
}

function checkAttachments(core, shown) {
  for (const one of shown) if (!isAttachmentCommitted(core, one)) throw attachmentChanged(core.attachments[Number(one.position)].name);
  return false;
}

function presentationDigest(shown) {
  const fields = shown.fields.map((one) => [one.position, one.value, bytesOf(one.salt)]);
  const files = shown.attachments.map((one) => [one.position, one.size, bytesOf(one.sm3), bytesOf(one.salt)]);
  return tagged("govnode/presentation/1")(pack([coreDigest(shown.core), fields, files]));
}

function checkBinding(shown, isNeeded) {
  const { binding } = shown;
  if (binding === null) {
    if (isNeeded) throw fault("HOLDER_SIGNATURE_MISSING", "证照登记了持证人密钥，出示件须由持证人签名", "the document names a holder key: a presentation of it must be signed by the holder");
    return false;
  }
  const message = tagged("govnode/presentation-binding/1")(
    pack([presentationDigest(shown), binding.recipient, binding.purpose, binding.made_ms, binding.expires_ms]),
  );
  if (!verifySm2(bytesOf(shown.core.holder_key), message, bytesOf(binding.signature))) {
    throw fault("HOLDER_SIGNATURE_INVALID", "持证人签名不成立：出示内容、接收方、用途或期限在签名后被改动", "the holder's signature does not hold: what is shown, for whom, what for or until when was changed after signing");
  }
  return true;
}

const anothers = (recipient, asking) => fault("ANOTHERS_COPY", `这是给 ${recipient} 的，不是给 ${asking} 的`, `it is made out to ${recipient}, not to ${asking}`);

function checkRecipient(recipient, asking) {
  if (asking === null || recipient === null) return false;
  if (recipient !== asking) throw anothers(recipient, asking);
  return true;
}

function checkExpiry(made, expires, nowMs) {
  checkSignedBefore(made, nowMs);
  if (expires < BigInt(nowMs)) throw fault("COPY_EXPIRED", `使用期限已于 ${showTime(expires)} 届满`, `it was to be used until ${showTime(expires)}`);
  return true;
}

function checkShownToMaker(copy) {
  const { binding } = copy.original;
  if (binding === null || !checkBinding(copy.original, false)) return false;
  const { JZJZZZ: maker, maker_code: code, JZJZZSJ: made } = copy.annotation;
  if (![maker, code].includes(binding.recipient)) throw anothers(binding.recipient, maker);
  return checkExpiry(binding.made_ms, binding.expires_ms, Number(made));
}

function checkMaker(copy, roots) {
  const { original, annotation } = copy;
  const { binding } = original;
  const bound = binding === null ? null : [binding.recipient, binding.purpose, binding.made_ms, binding.expires_ms, bytesOf(binding.signature)];
  const words = ["JZJZZSJ", "JZJZZZ", "maker_code", "JZJZZSY", "recipient", "JZJYXQJZSJ"].map((name) => annotation[name]);
  const message = tagged("govnode/annotated-copy/1")(pack([presentationDigest(original), bound, ...words]));
  verifySigned(message, copy.signature, copy.chain, "MAKER_SIGNATURE_INVALID");
  if (roots === null) {
    throw fault("TRUST_MISSING", "核验加注机构需要所信任的根证书，信任文件里没有", "trusted root certificates are needed to tell who made the copy, and the trust file has none");
  }
  const department = verifySigner(copy.chain, annotation.maker_code, roots, Number(annotation.JZJZZSJ));
  if (department.name !== annotation.JZJZZZ) {
    throw fault("SIGNER_NOT_OF_DEPARTMENT", `证书中的部门是 ${department.name}，加注为 ${annotation.JZJZZZ}`, `the certificate is of ${department.name}, the annotation says ${annotation.JZJZZZ}`);
  }
  return true;
}

/** Returns the checks of a file of this kind by step; each returns whether there was something to check, or throws. */
function fileChecks(kind, file, proved, nowMs, asking) {
  const shown = kind === "annotated-copy" ? file.original : file;
  const { core, seal } = shown;
  const checks = {
    ledger: () => checkLedger(core, seal, proved),
    batch: () => checkBatch(core, seal),
    seal: () => checkSeal(core, seal) !== null,
    chain: () => checkChain(core, seal, nowMs, proved.roots),
  };
  if (kind === "document") {
    return { ...checks, fields: () => checkAllFields(file), holder: () => checkHolder(file), attachments: () => checkAttachments(core, allAttachments(file)) };
  }
  Object.assign(checks, { fields: () => checkOpenFields(shown), attachments: () => checkAttachments(core, shown.attachments) });
  const { annotation } = file;
  if (kind === "presentation") {
    const { binding } = file;
    return {
      ...checks,
      binding: () => checkBinding(file, core.holder_key !== ""),
      recipient: () => checkRecipient(binding?.recipient ?? null, asking),
      expiry: () => binding !== null && checkExpiry(binding.made_ms, binding.expires_ms, nowMs),
    };
  }
  return {
    ...checks,
    binding: () => checkShownToMaker(file),
    maker: () => checkMaker(file, proved.roots),
    recipient: () => checkRecipient(annotation.recipient, asking),
    expiry: () => checkExpiry(annotation.JZJZZSJ, annotation.JZJYXQJZSJ, nowMs),
  };
}

/** Returns which of the three kinds of file these bytes say they are, null for any other file; nothing else is checked. */
function certificateFileKind(bytes) {
  const format = formatOf(bytes);
  return typeof format === "string" && Object.hasOwn(FILE_KINDS, format) ? FILE_KINDS[format] : null;
}

/** Returns the verdict on a certificate file of a kind. */
function verifyCertificateFile(kind, bytes, proved, nowMs, asking) {
  const steps = [];
  let broken = null;
  const run = (step, check) => {
    const [zh, en] = WORDS.file_steps[step];
    if (broken !== null) {
      steps.push({ code: step, state: "not-reached", finding: "", zh, en });
      return null;
    }
    try {
      const found = check();
      steps.push({ code: step, state: found === false ? "not-asked" : "held", finding: "", zh, en });
      return found;
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      broken = { code: step, state: "broken", finding: error.code, zh: error.zh, en: error.en };
      steps.push(broken);
      return null;
    }
  };
  const [, ...names] = WORDS.file_steps_of[kind];
  const file = run("file", () => readCertificateFile(kind, bytes));
  const checks = file === null ? {} : fileChecks(kind, file, proved, nowMs, asking);
  for (const name of names) run(name, checks[name]);
  const [zh, en] = KIND_NAMES[kind];
  if (broken !== null) {
    const [stepZh, stepEn] = WORDS.file_steps[broken.code];
    return {
      kind, isAccepted: false, code: broken.finding, steps, values: null, hidden: [], about: [],
      zh: `${zh}不予采信，断在“${stepZh}”：${broken.zh}`,
      en: `the ${en} is refused; the broken step is ${broken.code} ("${stepEn}"): ${broken.en}`,
    };
  }
  const shown = kind === "annotated-copy" ? file.original : file;
  const values = kind === "document" ? file.values.map((value, place) => [place, value]) : shown.fields.map((one) => [Number(one.position), one.value]);
  const places = new Set(values.map(([place]) => place));
  const isOnMakersWord = kind === "annotated-copy" && shown.core.holder_key !== "" && shown.binding === null;
  const [wordZh, wordEn] = isOnMakersWord ? WORDS.makers_word : ["", ""];
  return {
    kind, isAccepted: true, code: "GENUINE", steps,
    zh: `${zh}真实完整；证照现在是否有效以账本为准${isOnMakersWord ? "；" : ""}${wordZh}`,
    en: `the ${en} is genuine and whole; whether the certificate is in force is for the ledger to say${isOnMakersWord ? "; " : ""}${wordEn}`,
    values: values.map(([place, value]) => [shown.core.fields[place].name, value]),
    hidden: shown.core.fields.filter((_, place) => !places.has(place)).map((field) => field.name),
    about: [
      ["类型 / type", `${shown.core.ZZMC} ${shown.core.ZZLXDM}`],
      ["颁发机构 / issuer", `${shown.core.ZZBFJG} ${shown.core.ZZBFJGDM}`],
      ["有效期 / validity", `${shown.core.ZZYXQQSRQ} ~ ${shown.core.ZZYXQJZRQ === "9999-12-31" ? "长期 / without end" : shown.core.ZZYXQJZRQ}`],
    ],
  };
}
