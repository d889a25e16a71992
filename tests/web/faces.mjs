import { readFileSync, writeFileSync } from "node:fs";
import { PageModel } from "../../src/facegan/web/engine/model.js";

const read = (file) => { const b = readFileSync(file); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
const [folder, kernel] = process.argv.slice(2), { about, cases, prior } = JSON.parse(readFileSync(`${folder}/asked.json`));
const wasm = read(new URL(`../../src/facegan/web/engine/kernel-${kernel}.wasm`, import.meta.url));
const model = new PageModel(about, read(`${folder}/weights`), prior ? read(`${folder}/prior`) : null, wasm);
const parts = cases.map(({ seed, numbers, ...rest }) => Buffer.from(model.render(model.numbered({ seed, numbers, ...rest }))));
writeFileSync(`${folder}/made`, Buffer.concat(parts));
