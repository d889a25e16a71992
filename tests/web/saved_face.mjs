import { readFileSync, writeFileSync } from "node:fs";
import { readSafetensors, writeSafetensors } from "../../src/facegan/web/engine/safetensors.js";
import * as face from "../../src/facegan/web/page/face.js";

const [folder, sha256] = process.argv.slice(2);
const about = { sha256, attributes: new Array(40), recipe: { latent_size: 128 } };
const engine = { about, styleLayers: 9, styleSize: 256 };
const bytes = readFileSync(`${folder}/python.safetensors`), buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const read = face.readFaceFile(engine, buffer);
writeFileSync(`${folder}/page.safetensors`, face.faceFile(engine, read));
const errors = [];
const refuse = (bytes, owner = engine) => {
  try { face.readFaceFile(owner, bytes); errors.push("taken"); } catch (error) { errors.push(error.message); }
};
refuse(new ArrayBuffer(4));
refuse(buffer.slice(0, 700));
refuse(buffer, { ...engine, about: { ...about, sha256: "other" } });
refuse(buffer, { ...engine, styleSize: 128 });
const damaged = buffer.slice();
new Uint8Array(damaged).fill(255, damaged.byteLength - 8);
refuse(damaged);
const { tensors, metadata } = readSafetensors(buffer), foreign = { ...tensors, constructor: { shape: [40], data: new Float32Array(40) } };
refuse(writeSafetensors(foreign, metadata).buffer);
refuse(writeSafetensors(tensors, { "facegan-face": metadata["facegan-face"].replace('"number": 5', '"number": "5\\nrm"') }).buffer);
refuse(writeSafetensors(tensors, { "facegan-face": metadata["facegan-face"].replace(/"truncation": [0-9.]+/, '"truncation": 7') }).buffer);
console.log(JSON.stringify(errors));
