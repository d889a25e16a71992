// Reading and writing safetensors files: https://github.com/huggingface/safetensors#format

const LONGEST_HEADER = 1 << 20;
const WIDTHS = { F32: 4, F16: 2, BF16: 2, U8: 1 };

function halfToFloat(half) {
  const exponent = (half >> 10) & 31, fraction = half & 1023, sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

let halves = null;

function halvesToFloats(words) {
  halves ??= Float32Array.from({ length: 65536 }, (_, half) => halfToFloat(half));
  const out = new Float32Array(words.length);
  for (let i = 0; i < out.length; i++) out[i] = halves[words[i]];
  return out;
}

function bfloatsToFloats(words) {
  return new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer);
}

const READERS = {
  F32: (bytes) => new Float32Array(bytes),
  F16: (bytes) => halvesToFloats(new Uint16Array(bytes)),
  BF16: (bytes) => bfloatsToFloats(new Uint16Array(bytes)),
  U8: (bytes) => new Uint8Array(bytes),
};

/** {tensors: {name: {shape, data}}, metadata: {name: text}} of an ArrayBuffer. Throws an Error where it is damaged. */
export function readSafetensors(buffer) {
  if (buffer.byteLength < 8) throw new Error("the file is too short");
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length > Math.min(LONGEST_HEADER, buffer.byteLength - 8)) throw new Error("this is no safetensors file");
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(
    new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 8, length)),
  );
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (!(dtype in READERS)) throw new Error(`${name} is of a kind that is not read here: ${dtype}`);
    if (to - from !== count * WIDTHS[dtype] || 8 + length + to > buffer.byteLength) throw new Error(`${name} is damaged`);
    tensors[name] = { shape, data: READERS[dtype](buffer.slice(8 + length + from, 8 + length + to)) };
  }
  return { tensors, metadata };
}

/** A safetensors file, Uint8Array, of {name: {shape, data: Float32Array}} and texts. */
export function writeSafetensors(tensors, metadata = {}) {
  const header = { __metadata__: metadata };
  let place = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [place, place + data.byteLength] };
    place += data.byteLength;
  }
  const unpadded = new TextEncoder().encode(JSON.stringify(header));
  const length = (unpadded.length + 7) & ~7, out = new Uint8Array(8 + length + place).fill(32, 8, 8 + length);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(unpadded, 8);
  let at = 8 + length;
  for (const { data } of Object.values(tensors)) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}
