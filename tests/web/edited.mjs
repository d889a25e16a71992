import { readFileSync, writeFileSync } from "node:fs";
import { PageModel } from "../../src/facegan/web/engine/model.js";
import { changedByLabels } from "../../src/facegan/web/page/face.js";

const read = (file) => { const b = readFileSync(file); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
const folder = process.argv[2], { about, number, truncation, amounts } = JSON.parse(readFileSync(`${folder}/asked.json`));
const wasm = read(new URL("../../src/facegan/web/engine/kernel-simd.wasm", import.meta.url));
const model = new PageModel(about, read(`${folder}/weights`), read(`${folder}/prior`), wasm);
const { styles: [style], latents: [latent], labels: [labels] } = model.numbered({ seed: "7", numbers: [number], truncation });
const face = { origin: { truncation }, styles: style, latent, labels };
const engine = { about, map: async (request) => model.map(request) };
const changed = await changedByLabels(engine, face, amounts);
writeFileSync(`${folder}/styles`, new Uint8Array(changed.styles.buffer, changed.styles.byteOffset, changed.styles.byteLength));
