// X.509 certificates of SM2 keys (the profile of sm_crypto/x509.py), and chains of them to a root that the trust file names.
// Stricter than RFC 5280 asks: what the profile does not have is refused, so that nothing holds here that does not hold there.
"use strict";

const SM2_WITH_SM3 = "300a06082a811ccf55018375";
const SM2_KEY_PREFIX = "3059301306072a8648ce3d020106082a811ccf5501822d03420004";
const COMMON_NAME = "550403";
const ORGANIZATION_IDENTIFIER = "550461";
const EXTENSIONS = { "551d0e": "keyIdentifier", "551d0f": "usage", "551d13": "constraints", "551d23": "authority", "551d25": "purposes" };
const SERVER_PURPOSE = "2b06010505070301";
const KEY_CERT_SIGN = 0x04;

/** Returns the elements of DER as {tag, content, der}; throws RangeError on anything but shortest lengths. */
function derItems(bytes) {
  const items = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at;
    const tag = bytes[at++];
    const first = bytes[at++];
    const size = first < 0x80 ? 0 : first & 0x7f;
    const digits = bytes.subarray(at, at + size);
    at += size;
    const length = size === 0 ? first : Number(toInteger(digits));
    const isShortest = size === 0 ? first < 0x80 : size < 4 && digits.length === size && digits[0] > 0 && length > 0x7f;
    if (!isShortest || at + length > bytes.length) throw new RangeError("malformed DER");
    items.push({ tag, content: bytes.subarray(at, at + length), der: bytes.subarray(start, at + length) });
    at += length;
  }
  return items;
}

/** Returns the elements within one of this tag, exactly `count` of them where a count is given; throws RangeError. */
function derWithin(item, tag, count = null) {
  if (item === undefined || item.tag !== tag) throw new RangeError("another element than expected");
  const inner = derItems(item.content);
  if (count !== null && inner.length !== count) throw new RangeError("another number of elements than expected");
  return inner;
}

/** Returns the content of a primitive element with one of these tags; throws RangeError. */
function derContent(item, ...tags) {
  if (item === undefined || !tags.includes(item.tag)) throw new RangeError("another element than expected");
  return item.content;
}

/** Returns an object identifier's bytes as hex digits; throws RangeError. */
function derName(item) {
  const content = derContent(item, 0x06);
  if (content.length === 0 || content.at(-1) >= 0x80) throw new RangeError("no object identifier");
  return toHex(content);
}

/** Returns an integer that is not negative; throws RangeError on any but its shortest form. */
function derInteger(item) {
  const content = derContent(item, 0x02);
  const isShortest = content.length > 0 && !(content[0] === 0 && content.length > 1 && content[1] < 0x80);
  if (!isShortest || content[0] >= 0x80) throw new RangeError("no integer, or a negative one");
  return toInteger(content);
}

/** Returns the time of an UTCTime or GeneralizedTime in ms; throws RangeError. */
function derTime(item) {
  const text = new TextDecoder().decode(item.content);
  const form = item.tag === 0x17 ? /^([0-9]{2})([0-9]{10})Z$/ : item.tag === 0x18 ? /^([0-9]{4})([0-9]{10})Z$/ : null;
  const found = form === null ? null : form.exec(text);
  if (found === null) throw new RangeError("no time");
  const year = item.tag === 0x18 ? Number(found[1]) : Number(found[1]) + (Number(found[1]) < 50 ? 2000 : 1900);
  const [month, day, hour, minute, second] = found[2].match(/../g).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (date.toISOString().replace(/\D/g, "").slice(4, 14) !== found[2]) throw new RangeError("no time");
  return date.getTime();
}

/** Returns r || s of a DER signature; throws RangeError on any but its one form. */
function derSignature(bytes) {
  const [outer, ...rest] = derItems(bytes);
  if (rest.length > 0) throw new RangeError("no signature");
  const parts = derWithin(outer, 0x30, 2).map(derInteger);
  if (parts.some((part) => part >= 1n << 256n)) throw new RangeError("no signature");
  return concat(...parts.map((part) => bigEndian(part, 32)));
}

function readExtensions(items) {
  const found = { usage: null, constraints: null, keyIdentifier: null, authority: null, purposes: [] };
  const seen = new Set();
  for (const item of items) {
    const parts = derWithin(item, 0x30);
    const name = EXTENSIONS[derName(parts[0])];
    const isMarked = parts.length === 2 || (parts.length === 3 && toHex(parts[1].der) === "0101ff");
    if (name === undefined || seen.has(name) || !isMarked) throw new RangeError("an extension that is malformed, or not known here");
    seen.add(name);
    const [value] = derWithin(parts.at(-1), 0x04, 1);
    if (name === "keyIdentifier") found.keyIdentifier = toHex(derContent(value, 0x04));
    else if (name === "usage") found.usage = readUsage(derContent(value, 0x03));
    else if (name === "purposes") found.purposes = derWithin(value, 0x30).map(derName);
    else if (name === "authority") found.authority = toHex(derContent(derWithin(value, 0x30, 1)[0], 0x80));
    else found.constraints = readConstraints(derWithin(value, 0x30));
  }
  return found;
}

function readUsage(content) {
  const [unused, bits] = content;
  if (content.length !== 2 || unused > 7 || (bits & ((1 << unused) - 1)) !== 0) throw new RangeError("malformed key usage");
  return bits;
}

function readConstraints(parts) {
  const isAuthority = parts[0]?.tag === 0x01;
  if (isAuthority && toHex(parts[0].der) !== "0101ff") throw new RangeError("malformed constraints");
  const [length, ...more] = isAuthority ? parts.slice(1) : parts;
  if (more.length > 0) throw new RangeError("malformed constraints");
  return { isAuthority, pathLength: length === undefined ? null : Number(derInteger(length)) };
}

/** Returns the parts of a name by their kinds; throws RangeError or TypeError. */
function readName(item) {
  const names = {};
  for (const set of derWithin(item, 0x30)) {
    for (const pair of derWithin(set, 0x31)) {
      const [kind, value] = derWithin(pair, 0x30, 2);
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(derContent(value, 0x0c, 0x13));
      if (value.tag === 0x13 && !/^[\x20-\x7e]*$/.test(text)) throw new RangeError("malformed name");
      names[derName(kind)] = text;
    }
  }
  return names;
}

/** Returns what an SM2 certificate in hex digits of its DER says; throws on anything else. */
function readCertificate(hex) {
  const whole = derItems(bytesOf(hex));
  if (whole.length !== 1) throw new RangeError("no certificate");
  const [tbs, algorithm, signature] = derWithin(whole[0], 0x30, 3);
  const [version, serial, inner, issuer, validity, subject, info, extensions] = derWithin(tbs, 0x30, 8);
  const isOfProfile = toHex(version.der) === "a003020102" && extensions.tag === 0xa3 && signature.tag === 0x03 && signature.content[0] === 0;
  if (!isOfProfile || [algorithm, inner].some((one) => toHex(one.der) !== SM2_WITH_SM3)) throw new RangeError("no certificate signed by SM2 with SM3");
  derInteger(serial);
  readName(issuer);
  const names = readName(subject);
  const key = info.der.slice(-64);
  if (toHex(info.der.slice(0, -64)) !== SM2_KEY_PREFIX || curvePoint(key) === null || names[COMMON_NAME] === undefined) throw new RangeError("no SM2 key, or no name");
  const [from, to] = derWithin(validity, 0x30, 2).map(derTime);
  const found = readExtensions(derWithin(derWithin(extensions, 0xa3, 1)[0], 0x30));
  return {
    hex, key, from, to, ...found,
    signed: tbs.der, signature: derSignature(signature.content.subarray(1)),
    subject: toHex(subject.der), issuer: toHex(issuer.der),
    name: names[COMMON_NAME], organization: names[ORGANIZATION_IDENTIFIER] ?? "", isServer: found.purposes.includes(SERVER_PURPOSE),
  };
}

const isIssuedBy = (certificate, issuer) => certificate.issuer === issuer.subject && verifySm2(issuer.key, certificate.signed, certificate.signature);

/** Returns if a chain, leaf first, leads to one of the roots and held at a time in ms; throws RangeError otherwise. */
function verifyChain(chain, roots, atMs) {
  const last = chain.at(-1);
  const root = roots.find((one) => one.hex === last.hex) ?? roots.find((one) => isIssuedBy(last, one));
  if (root === undefined) throw new RangeError(`the chain of ${chain[0].name} leads to no trusted root`);
  const path = root.hex === last.hex ? chain : [...chain, root];
  path.forEach((certificate, place) => {
    const issuer = path[place + 1] ?? certificate;
    if (!isIssuedBy(certificate, issuer)) throw new RangeError(`${issuer.name} did not sign the certificate of ${certificate.name}`);
    if (issuer.keyIdentifier === null || certificate.authority !== issuer.keyIdentifier) throw new RangeError(`the certificate of ${certificate.name} names another key above it`);
    if (atMs < certificate.from || atMs > certificate.to) throw new RangeError(`the certificate of ${certificate.name} did not hold at that time`);
    const { constraints, usage } = certificate;
    const isAuthority = constraints !== null && constraints.isAuthority && usage !== null && (usage & KEY_CERT_SIGN) !== 0;
    if (place > 0 && (!isAuthority || (constraints.pathLength !== null && constraints.pathLength < place - 1))) {
      throw new RangeError(`${certificate.name} may not certify others here`);
    }
  });
}

/** Returns the department's certificate that a chain's signer belongs to, if its code is this one; without roots (null) the chain is not judged. */
function verifySigner(chain, department, roots, atMs) {
  let certificates;
  try {
    certificates = chain.map(readCertificate);
    if (roots !== null) verifyChain(certificates, roots, atMs);
  } catch (error) {
    throw fault("SIGNER_NOT_TRUSTED", `签名证书链不通向所信任的根，或签名时不在有效期：${error.message}`, `the signer's chain leads to no trusted root, or did not hold when it signed: ${error.message}`);
  }
  const [signer, above] = certificates;
  if (signer.isServer || signer.constraints?.isAuthority || above.organization !== department) {
    throw fault("SIGNER_NOT_OF_DEPARTMENT", `签名证书 ${signer.name} 不是部门 ${department} 的签名人证书`, `the certificate of ${signer.name} is not one of a person who signs for the department ${department}`);
  }
  return above;
}
