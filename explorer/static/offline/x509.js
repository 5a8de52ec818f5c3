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

/** Returns the time of an UTCTime or GeneralizedTime in ms; throws RangeError. */
function derTime(item) {
  const text = new TextDecoder().decode(item.content);
  const form = item.tag === 0x17 ? /^([0-9]{2})([0-9]{10})Z$/ : item.tag === 0x18 ? /^([0-9]{4})([0-9]{10})Z$/ : null;
  const found = form === null ? null : form.exec(text);
  if (found === null) throw new RangeError("no time");
  const year = item.tag === 0x18 ? Number(found[1]) : Number(found[1]) + (Number(found[1]) < 50 ? 2000 : 1900);
  const [month, day, hour, minute, second] = found[2].match(/../g).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (date.getUTCMonth() !== month - 1 || date.getUTCSeconds() !== second) throw new RangeError("no time");
  return date.getTime();
}

/** Returns r || s of a DER signature; throws RangeError on any but its one form. */
function derSignature(bytes) {
  const [outer, ...rest] = derItems(bytes);
  if (rest.length > 0) throw new RangeError("no signature");
  const parts = derWithin(outer, 0x30, 2).map(({ tag, content }) => {
    const isShortest = content.length > 0 && !(content[0] === 0 && content.length > 1 && content[1] < 0x80);
    if (tag !== 0x02 || !isShortest || content[0] >= 0x80 || content.length > 33) throw new RangeError("no signature");
    return bigEndian(toInteger(content), 32);
  });
  return concat(...parts);
}

function readExtensions(items) {
  const found = { usage: null, constraints: null, keyIdentifier: null, authority: null, purposes: [] };
  const seen = new Set();
  for (const item of items) {
    const parts = derWithin(item, 0x30);
    const name = EXTENSIONS[toHex(parts[0].content)];
    const isCritical = parts.length === 3;
    if (parts.length < 2 || parts.length > 3 || seen.has(name) || (isCritical && toHex(parts[1].der) !== "0101ff")) throw new RangeError("malformed extension");
    if (name === undefined) {
      if (isCritical) throw new RangeError("a critical extension that is not known here");
      continue;
    }
    seen.add(name);
    const [value] = derWithin(parts.at(-1), 0x04, 1);
    if (name === "keyIdentifier") found.keyIdentifier = toHex(value.content);
    else if (name === "usage") found.usage = value.content[1] ?? 0;
    else if (name === "purposes") found.purposes = derWithin(value, 0x30).map((one) => toHex(one.content));
    else if (name === "authority") found.authority = toHex(derWithin(value, 0x30).find((one) => one.tag === 0x80)?.content ?? []);
    else found.constraints = readConstraints(derWithin(value, 0x30));
  }
  return found;
}

function readConstraints(parts) {
  const isAuthority = parts[0]?.tag === 0x01 && parts[0].content[0] === 0xff;
  const length = parts.find((part) => part.tag === 0x02);
  return { isAuthority, pathLength: length === undefined ? null : Number(toInteger(length.content)) };
}

/** Returns what an SM2 certificate in hex digits of its DER says; throws on anything else. */
function readCertificate(hex) {
  const whole = derItems(bytesOf(hex));
  if (whole.length !== 1) throw new RangeError("no certificate");
  const [tbs, algorithm, signature] = derWithin(whole[0], 0x30, 3);
  const [version, , inner, issuer, validity, subject, info, extensions] = derWithin(tbs, 0x30, 8);
  const isOfProfile = toHex(version.der) === "a003020102" && extensions.tag === 0xa3 && signature.tag === 0x03 && signature.content[0] === 0;
  if (!isOfProfile || [algorithm, inner].some((one) => toHex(one.der) !== SM2_WITH_SM3)) throw new RangeError("no certificate signed by SM2 with SM3");
  const names = {};
  for (const set of derWithin(subject, 0x30)) {
    for (const pair of derWithin(set, 0x31)) {
      const [kind, value] = derWithin(pair, 0x30, 2);
      names[toHex(kind.content)] = new TextDecoder("utf-8", { fatal: true }).decode(value.content);
    }
  }
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
