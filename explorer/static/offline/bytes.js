// Bytes, SM3 with tags and HMAC, strict JSON, canonical MessagePack: what every part of a proof is made of.
// Integers of JSON and MessagePack are BigInt throughout: heights have more than 53 bits.
"use strict";

/** Something does not hold: the step that broke, the code of why, and both languages. */
class Broken extends Error {
  constructor(step, zh, en, code = "PROOF_BROKEN") {
    super(en);
    Object.assign(this, { step, zh, en, code });
  }
}

const MAX_JSON_DEPTH = 64;

const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Returns the bytes of lower-case hex digits, null for any other text: one value has one form. */
function fromHex(text) {
  if (typeof text !== "string" || text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

const utf8 = (text) => new TextEncoder().encode(text);
const sameBytes = (left, right) => left.length === right.length && left.every((byte, i) => byte === right[i]);
const isBytes = (value) => value instanceof Uint8Array;

function sm3(...parts) {
  const state = new Sm3();
  for (const part of parts) state.update(part);
  return fromHex(state.digestHex());
}

/** Returns a digest apart from every other: the tag fills SM3's first block. */
const tagged = (tag) => (bytes) => {
  const block = new Uint8Array(64);
  block.set(utf8(tag));
  return sm3(block, bytes);
};

function hmacSm3(key, message) {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sm3(key) : key);
  return sm3(block.map((byte) => byte ^ 0x5c), sm3(block.map((byte) => byte ^ 0x36), message));
}

/** Reads JSON that every reader takes the same way: UTF-8, no name twice in an object, no half of a surrogate pair. */
class JsonReader {
  constructor(bytes) {
    this.text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    this.at = 0;
  }

  read() {
    const value = this.value(0);
    this.space();
    if (this.at !== this.text.length) this.fail();
    return value;
  }

  fail() {
    throw new SyntaxError(`no JSON at character ${this.at}`);
  }

  space() {
    while (this.at < this.text.length && " \t\n\r".includes(this.text[this.at])) this.at++;
  }

  value(depth) {
    if (depth > MAX_JSON_DEPTH) this.fail();
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.list(depth);
    if (first === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    number.lastIndex = this.at;
    const found = number.exec(this.text);
    if (found === null) this.fail();
    this.at += found[0].length;
    return /^-?[0-9]+$/.test(found[0]) ? BigInt(found[0]) : Number(found[0]);
  }

  string() {
    const form = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found === null) this.fail();
    const text = JSON.parse(found[0]);
    if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)) this.fail();
    this.at += found[0].length;
    return text;
  }

  list(depth) {
    const items = [];
    this.at++;
    this.space();
    if (this.text[this.at] === "]") {
      this.at++;
      return items;
    }
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      const next = this.text[this.at++];
      if (next === "]") return items;
      if (next !== ",") this.fail();
    }
  }

  object(depth) {
    const members = new Map();
    this.at++;
    this.space();
    if (this.text[this.at] === "}") {
      this.at++;
      return members;
    }
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') this.fail();
      const name = this.string();
      this.space();
      if (this.text[this.at++] !== ":" || members.has(name)) this.fail();
      members.set(name, this.value(depth + 1));
      this.space();
      const next = this.text[this.at++];
      if (next === "}") return members;
      if (next !== ",") this.fail();
    }
  }
}

/** Returns JSON as Map, Array, string, BigInt, Number (of what has a point), boolean and null; throws SyntaxError or TypeError. */
const readJson = (bytes) => new JsonReader(bytes).read();

/** Returns the format that a file says it has, null where it says none or is no JSON; nothing else is checked. */
function formatOf(bytes) {
  try {
    // Bytes as they are: of a file that is no UTF-8, or has a name twice, the step that reads it says so. The last of two counts.
    const found = JSON.parse(new TextDecoder("latin1").decode(bytes));
    return Object.hasOwn(found, "format") ? found.format : null;
  } catch {
    return null;
  }
}

function bigEndian(value, size) {
  const bytes = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--) {
    bytes[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return bytes;
}

/** Returns the canonical MessagePack of null, booleans, BigInt, strings, bytes and arrays. */
function pack(value) {
  if (value === null) return Uint8Array.of(0xc0);
  if (value === false || value === true) return Uint8Array.of(value ? 0xc3 : 0xc2);
  if (typeof value === "bigint") return packInteger(value);
  if (isBytes(value)) return concat(packLength(value.length, [0xc4, 0xc5, 0xc6]), value);
  if (typeof value === "string") {
    const bytes = utf8(value);
    const head = bytes.length < 32 ? Uint8Array.of(0xa0 | bytes.length) : packLength(bytes.length, [0xd9, 0xda, 0xdb]);
    return concat(head, bytes);
  }
  if (!Array.isArray(value)) throw new TypeError("a value that has no canonical encoding");
  const head = value.length < 16 ? Uint8Array.of(0x90 | value.length) : packLength(value.length, [null, 0xdc, 0xdd]);
  return concat(head, ...value.map(pack));
}

function packLength(length, [one, two, four]) {
  if (one !== null && length < 0x100) return Uint8Array.of(one, length);
  if (length < 0x10000) return concat(Uint8Array.of(two), bigEndian(BigInt(length), 2));
  return concat(Uint8Array.of(four), bigEndian(BigInt(length), 4));
}

function packInteger(value) {
  if (value >= 0n) {
    if (value < 0x80n) return Uint8Array.of(Number(value));
    for (const [code, size] of [[0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8]]) {
      if (value < 1n << BigInt(8 * size)) return concat(Uint8Array.of(code), bigEndian(value, size));
    }
    throw new RangeError("an integer of more than 64 bits");
  }
  if (value >= -32n) return Uint8Array.of(Number(value + 0x100n));
  for (const [code, size] of [[0xd0, 1], [0xd1, 2], [0xd2, 4], [0xd3, 8]]) {
    const span = 1n << BigInt(8 * size);
    if (value >= -span / 2n) return concat(Uint8Array.of(code), bigEndian(value + span, size));
  }
  throw new RangeError("an integer of more than 64 bits");
}

/** Returns what bytes are the canonical MessagePack of; throws on anything else. */
function unpack(bytes) {
  let at = 0;
  const take = (size) => {
    if (at + size > bytes.length) throw new RangeError("the encoding ends too early");
    at += size;
    return bytes.subarray(at - size, at);
  };
  const number = (size) => take(size).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  const text = (size) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(size));
  const list = (count, depth) => {
    if (depth > MAX_JSON_DEPTH || count > bytes.length) throw new RangeError("nested too deep, or too long");
    return Array.from({ length: count }, () => value(depth + 1));
  };
  const value = (depth) => {
    const code = take(1)[0];
    if (code < 0x80) return BigInt(code);
    if (code >= 0xe0) return BigInt(code) - 0x100n;
    if (code >= 0xa0 && code < 0xc0) return text(code & 0x1f);
    if (code >= 0x90 && code < 0xa0) return list(code & 0x0f, depth);
    if (code === 0xc0) return null;
    if (code === 0xc2 || code === 0xc3) return code === 0xc3;
    if (code >= 0xc4 && code <= 0xc6) return take(Number(number(1 << (code - 0xc4)))).slice();
    if (code >= 0xcc && code <= 0xcf) return number(1 << (code - 0xcc));
    if (code >= 0xd0 && code <= 0xd3) return BigInt.asIntN(8 << (code - 0xd0), number(1 << (code - 0xd0)));
    if (code >= 0xd9 && code <= 0xdb) return text(Number(number(1 << (code - 0xd9))));
    if (code === 0xdc || code === 0xdd) return list(Number(number(code === 0xdc ? 2 : 4)), depth);
    throw new RangeError("a type that no record has");
  };
  const found = value(0);
  if (at !== bytes.length || !sameBytes(pack(found), bytes)) throw new RangeError("another encoding than the canonical one");
  return found;
}
