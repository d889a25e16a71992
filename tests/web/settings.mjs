import { missingTexts } from "../../src/facegan/web/page/texts.js";
import { GROUPS, attributeName } from "../../src/facegan/web/page/attributes.js";
import * as settings from "../../src/facegan/web/page/settings.js";

const names = Object.values(GROUPS).flat(), read = (hash) => settings.readSettings(hash, names);
const chosen = { ...read(""), seed: "12", first: 48, truncation: 1, attributes: { Smiling: 1, Male: -1 }, theme: "dark" };
console.log(JSON.stringify({
  missing: missingTexts(), names, zh: names.filter((name) => attributeName(name, "zh") === name),
  back: JSON.stringify(read(settings.writeSettings(chosen))) === JSON.stringify(chosen), plain: settings.writeSettings(read("")),
  wrong: settings.writeSettings(read("#seed=-1&first=1e99&count=7&truncation=2&labels=x&Smiling=5&__proto__=1&theme=<b>")),
  seeds: ["7", " 07 ", "9223372036854775807", "9223372036854775808", "1.5", "", "x"].map(settings.checkedSeed),
}));
