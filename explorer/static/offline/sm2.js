// SM2 signatures (GB/T 32918.2) over the recommended curve of GB/T 32918.5, under the default user id. Verification only: nothing is secret here.
"use strict";

const SM2_P = 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn;
const SM2_A = SM2_P - 3n;
const SM2_B = 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n;
const SM2_N = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
const SM2_G = [
  0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
];
const SM2_ID = "1234567812345678";

const mod = (value, modulus) => {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
};
const toInteger = (bytes) => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

/** Returns the point of a key x || y; null where it is none of the curve. */
function curvePoint(key) {
  if (key.length !== 64) return null;
  const [x, y] = [toInteger(key.subarray(0, 32)), toInteger(key.subarray(32))];
  if (x >= SM2_P || y >= SM2_P) return null;
  return mod(y * y - (x * x * x + SM2_A * x + SM2_B), SM2_P) === 0n ? [x, y] : null;
}

// Points in Jacobian coordinates [X, Y, Z]; Z = 0 is the point at infinity.
function double([x, y, z]) {
  if (z === 0n || y === 0n) return [1n, 1n, 0n];
  const yy = (y * y) % SM2_P;
  const s = (4n * x * yy) % SM2_P;
  const zz = (z * z) % SM2_P;
  const m = mod(3n * (x - zz) * (x + zz), SM2_P);
  const x3 = mod(m * m - 2n * s, SM2_P);
  return [x3, mod(m * (s - x3) - 8n * yy * yy, SM2_P), (2n * y * z) % SM2_P];
}

function add(p, q) {
  if (p[2] === 0n) return q;
  if (q[2] === 0n) return p;
  const z1 = (p[2] * p[2]) % SM2_P;
  const z2 = (q[2] * q[2]) % SM2_P;
  const u1 = (p[0] * z2) % SM2_P;
  const u2 = (q[0] * z1) % SM2_P;
  const s1 = (p[1] * z2 * q[2]) % SM2_P;
  const s2 = (q[1] * z1 * p[2]) % SM2_P;
  if (u1 === u2) return s1 === s2 ? double(p) : [1n, 1n, 0n];
  const h = mod(u2 - u1, SM2_P);
  const r = mod(s2 - s1, SM2_P);
  const hh = (h * h) % SM2_P;
  const hhh = (h * hh) % SM2_P;
  const v = (u1 * hh) % SM2_P;
  const x3 = mod(r * r - hhh - 2n * v, SM2_P);
  return [x3, mod(r * (v - x3) - s1 * hhh, SM2_P), (h * p[2] * q[2]) % SM2_P];
}

function inverse(value, modulus) {
  let [old, rest, a, b] = [mod(value, modulus), modulus, 1n, 0n];
  while (rest !== 0n) {
    const quotient = old / rest;
    [old, rest] = [rest, old - quotient * rest];
    [a, b] = [b, a - quotient * b];
  }
  return mod(a, modulus);
}

/** Returns the affine x of s*G + t*P, null at infinity: both scalars in one pass of doublings. */
function sumX(s, t, point) {
  const base = [...SM2_G, 1n];
  const key = [...point, 1n];
  const table = [null, base, key, add(base, key)];
  let sum = [1n, 1n, 0n];
  for (let bit = 255n; bit >= 0n; bit--) {
    sum = double(sum);
    const place = Number((s >> bit) & 1n) + 2 * Number((t >> bit) & 1n);
    if (place > 0) sum = add(sum, table[place]);
  }
  return sum[2] === 0n ? null : (sum[0] * inverse(sum[2] * sum[2], SM2_P)) % SM2_P;
}

/** Returns the digest that a signature is over: of the user id, the curve, the key, and the message. */
function signedDigest(key, message) {
  const id = utf8(SM2_ID);
  const curve = [SM2_A, SM2_B, ...SM2_G].map((value) => bigEndian(value, 32));
  return sm3(sm3(bigEndian(BigInt(8 * id.length), 2), id, ...curve, key), message);
}

/** Returns whether r || s is the signature of a message by the owner of the key x || y. */
function verifySm2(key, message, signature) {
  const point = curvePoint(key);
  if (point === null || signature.length !== 64) return false;
  const [r, s] = [toInteger(signature.subarray(0, 32)), toInteger(signature.subarray(32))];
  if (r < 1n || r >= SM2_N || s < 1n || s >= SM2_N) return false;
  const t = (r + s) % SM2_N;
  if (t === 0n) return false;
  const x = sumX(s, t, point);
  return x !== null && (toInteger(signedDigest(key, message)) + x) % SM2_N === r;
}
