// Pictures as PNG files that say what made them: facegan/provenance.py writes the same texts.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function checksum(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function chunk(kind, content) {
  const out = new Uint8Array(12 + content.length), view = new DataView(out.buffer);
  view.setUint32(0, content.length);
  out.set(new TextEncoder().encode(kind), 4);
  out.set(content, 8);
  view.setUint32(8 + content.length, checksum(out.subarray(4, 8 + content.length)));
  return out;
}

/** A PNG, Uint8Array, with texts {key: text} added behind its header. */
export function withTexts(png, texts) {
  const header = 8 + 25; // signature and IHDR
  const chunks = Object.entries(texts).map(([key, text]) =>
    chunk("iTXt", new TextEncoder().encode(`${key}\0\0\0\0\0${text}`)));
  const parts = [png.subarray(0, header), ...chunks, png.subarray(header)];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** The texts of a picture. `provenance`: {software, sentence, xmp, sheet, sheetXmp}, where xmp has @SENTENCE@ for the
 *  sentence; `facts`: what is known of the face, such as "seed 0". */
export function pictureTexts({ software, sentence, xmp, sheet, sheetXmp }, facts, isSheet) {
  const said = [sentence, ...facts].join(", "), packet = isSheet ? sheetXmp : xmp;
  return {
    Software: software, ...(isSheet ? { Title: sheet } : {}), Description: said,
    "XML:com.adobe.xmp": packet.replace("@SENTENCE@", () => escaped(said)),
  };
}

/** What is known of faces made with the page's settings. */
export function knownFacts({ seed, number, truncation }, attributes = {}, drawn = "prior") {
  const facts = seed === null || seed === undefined ? [] : [`seed ${seed}`];
  if (typeof number === "number") facts.push(`number ${number}`);
  if (typeof number === "string") facts.push(`numbers ${number}`);
  if (truncation !== 1) facts.push(`truncation ${truncation}`);
  facts.push(...Object.entries(attributes).map(([name, value]) => `${name}=${value}`));
  if (drawn === "none") facts.push("labels none");
  return facts;
}
