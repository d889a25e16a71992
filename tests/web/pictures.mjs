import { readFileSync, writeFileSync } from "node:fs";
import * as png from "../../src/facegan/web/page/png.js";

const [folder] = process.argv.slice(2);
const provenance = JSON.parse(readFileSync(`${folder}/provenance.json`));
const facts = png.knownFacts({ seed: "3", number: 5, truncation: 0.7 }, { Smiling: 1 }, "none");
for (const sheet of [false, true]) {
  const texts = png.pictureTexts(provenance, [...facts, "<&>"], sheet);
  writeFileSync(`${folder}/${sheet}.png`, png.withTexts(readFileSync(`${folder}/bare.png`), texts));
}
