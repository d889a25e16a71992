// Chance as in facegan/randomness.py: Philox4x32-10 (Salmon et al., SC 2011), a function of (seed, stream, index).

/** The two key words of a stream: FNV-1a 64 of "<seed>/<stream>". `seed`: a number, a BigInt, or digits. */
export function streamKey(seed, stream) {
  let state = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(`${seed}/${stream}`)) {
    state = ((state ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return [Number(state & 0xffffffffn), Number(state >> 32n)];
}

/** The upper 32 bits of the product of two 32-bit words. */
function multiplyHigh(a, b) {
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (a0 * b1 + (middle % 65536)) / 65536;
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry)) >>> 0;
}

/** Write the four words of a counter under a key to `out`, from place `at`. */
export function philox(counter, key, out, at) {
  let [c0, c1, c2, c3] = counter, [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(c0, 0xd2511f53), low0 = Math.imul(c0, 0xd2511f53);
    const high1 = multiplyHigh(c2, 0xcd9e8d57), low1 = Math.imul(c2, 0xcd9e8d57);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[at] = c0, out[at + 1] = c1, out[at + 2] = c2, out[at + 3] = c3;
}

/** A named sequence of draws. Indices are whole numbers below 2^53. */
export class Stream {
  constructor(seed, name) {
    this.key = streamKey(seed, name);
  }

  words(index, count) {
    const out = new Uint32Array((count + 3) & ~3), low = index >>> 0, high = Math.floor(index / 4294967296);
    for (let block = 0; 4 * block < count; block++) philox([low, high, block, 0], this.key, out, 4 * block);
    return out.subarray(0, count);
  }

  /** Float64Array [count] in (0, 1). */
  uniform(index, count) {
    const words = this.words(index, count), out = new Float64Array(count);
    for (let i = 0; i < count; i++) out[i] = (words[i] + 0.5) * 2 ** -32;
    return out;
  }

  /** Float32Array [count], standard normal: Box-Muller in float64. */
  normal(index, count) {
    const uniform = this.uniform(index, count + (count & 1)), out = new Float32Array(uniform.length);
    for (let i = 0; i < out.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(uniform[i])), angle = 2 * Math.PI * uniform[i + 1];
      out[i] = radius * Math.cos(angle);
      out[i + 1] = radius * Math.sin(angle);
    }
    return out.subarray(0, count);
  }
}

/** A sample's latent, Float32Array [size]: N(0, 1), or U(-1, 1) where the distribution is "uniform". */
export function drawLatent(seed, stream, index, size, distribution) {
  const source = new Stream(seed, stream);
  if (distribution === "normal") return source.normal(index, size);
  return Float32Array.from(source.uniform(index, size), (u) => 2 * u - 1);
}
