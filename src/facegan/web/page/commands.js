// The command lines that make the same faces.

import { fileName } from "./face.js";

const MOST_BARE = /^[\w@%+=:,./-]+$/, END = ".safetensors";
const quoted = (text) => (MOST_BARE.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
const signed = (amount) => `${amount < 0 ? "" : "+"}${Number(amount.toPrecision(6))}`;

function shared({ truncation, labels }, attributes = {}) {
  const asked = Object.entries(attributes).map(([name, value]) => ` --attr ${name}=${value}`).join("");
  return `${asked}${truncation === 1 ? "" : ` --truncation ${truncation}`}${labels === "none" ? " --labels none" : ""}`;
}

/** facegan sample for `count` faces from number `first` on. */
export function sampleCommand(model, { seed, first, count, attributes, ...rest }, out = "faces.png") {
  return `facegan sample ${quoted(model)} --seed ${seed} --first ${first} --count ${count}${shared(rest, attributes)} --out ${out}`;
}

/** What makes one face of a seed. */
export function faceCommand(model, face, out = "face.png") {
  const { seed, number, truncation } = face.origin;
  return sampleCommand(model, { seed, first: number, count: 1, attributes: face.asked, truncation, labels: face.drawn }, out);
}

/** Whether a face is still that of its number, and the page made it. */
export const isNumbered = (face) => face.origin.seed !== null && !face.unedited && !face.opened;
const isFile = (face) => face.opened && !face.unedited;
const isAsked = (face) => Object.keys(face.asked ?? {}).length > 0;
const settingsOf = ({ origin, drawn }) => shared({ truncation: origin.truncation, labels: drawn });

/** The file that a changed face is to be saved in: where another of `faces` has its name, with its place among them. */
function savedName(face, faces) {
  const wanted = (each) => (isFile(each) ? each.opened : fileName(each, END)), name = wanted(face);
  const taken = faces.some((each) => each !== face && wanted(each) === name);
  return taken ? fileName(face, `-${faces.indexOf(face) + 1}${END}`) : name;
}

/** Lines with a command for faces, whose names `command` gets; before it, what must be done first. */
function withFaces(app, faces, titles, command) {
  const model = app.about.command, plain = faces.filter((face) => isNumbered(face) && !isAsked(face));
  const settings = [...new Set(plain.map(settingsOf))], before = [];
  const names = faces.map((face, place) => {
    if (isFile(face)) return face.opened;
    if (isNumbered(face) && !isAsked(face) && settings.length === 1) return `${face.origin.seed}:${face.origin.number}`;
    const file = isNumbered(face) ? `face-${place + 1}${END}` : savedName(face, faces);
    before.push(isNumbered(face) ? faceCommand(model, face, file) : `# ${titles[faces.indexOf(face)]}: ${app.texts.saveFirst} ${file}`);
    return file;
  });
  return [...new Set(before), `${command(...names.map(quoted))}${settings.length === 1 ? settings[0] : ""}`].join("\n");
}

/** facegan edit of one face; `how`: directions or labels. */
export function editCommand(app, face, amounts, how) {
  const said = Object.entries(amounts).map(([name, amount]) => ` --attr ${name}=${signed(amount)}`).join("");
  return withFaces(app, [face], [app.texts.face], (name) => `facegan edit ${quoted(app.about.command)} ${name}${said} --how ${how} --out changed.png`);
}

/** Where a face goes that only its file knows. */
export function savedCommand(app, face) {
  return withFaces(app, [face], [app.texts.face], (name) => `facegan morph ${quoted(app.about.command)} ${name} ...`);
}

export function morphCommand(app, a, b) {
  const { first, second } = app.texts;
  return withFaces(app, [a, b], [first, second], (...names) => `facegan morph ${quoted(app.about.command)} ${names.join(" ")} --scale 4 --out morph.webp`);
}

export function mixCommand(app, a, b, layer) {
  const { coarse, fine } = app.texts;
  return withFaces(app, [a, b], [coarse, fine], (rows, columns) =>
    `facegan mix ${quoted(app.about.command)} --coarse ${rows} --fine ${columns} --layer ${layer} --out mixed.png`);
}
