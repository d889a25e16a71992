import * as commands from "../../src/facegan/web/page/commands.js";
import { textsOf } from "../../src/facegan/web/page/texts.js";

const app = { about: { command: "runs/my faces" }, texts: textsOf("en") };
const face = (number, { truncation = 0.7, edited = "", seed = "0", ...rest } = {}) =>
  ({ origin: { seed, number, truncation, edited }, asked: {}, drawn: "prior", ...rest });
const changed = (number) => face(number, { edited: "Smiling=+2 (directions)", unedited: true });
const mixture = () => face(null, { seed: null, edited: "mixed", truncation: 1 });
const opened = face(8, { opened: "eight.safetensors" }), whole = face(1, { truncation: 1 }), twice = mixture();
const changedFile = { ...opened, unedited: opened, origin: { ...opened.origin, edited: "Smiling=+2 (directions)" } };
const pairs = {
  alike: [face(0), face(1)], truncations: [face(0), whole], labels: [face(0), face(1, { drawn: "none" })],
  asked: [face(0), face(1, { truncation: 1, asked: { Smiling: 1 } })], changed: [changed(2), face(0)],
  mixtures: [mixture(), mixture()], same: [twice, twice], one: [changed(2), changed(2)], file: [opened, whole],
  changedFile: [opened, changedFile], name: [mixture(), { ...mixture(), opened: "face-changed.safetensors" }],
};
console.log(JSON.stringify({
  ...Object.fromEntries(Object.entries(pairs).map(([name, [a, b]]) => [name, commands.mixCommand(app, a, b, 4).split("\n")])),
  morph: commands.morphCommand({ ...app, about: { command: "celeba64" } }, face(0), whole).split("\n"),
  saved: commands.savedCommand(app, { ...opened, opened: "my face.safetensors" }).split("\n"),
  edit: commands.editCommand(app, changed(2), { Smiling: 1 }, "directions").split("\n"),
}));
