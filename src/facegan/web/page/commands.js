// The command lines that make the same faces.

const MOST_BARE = /^[\w@%+=:,./-]+$/;
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

/** The name under which a command finds a face, and the command that must be run before, if any. */
function named(model, face, file) {
  const { seed, truncation } = face.origin;
  if (seed === null || face.unedited || face.opened) return { name: face.opened ?? file, before: [] };
  if (face.asked && Object.keys(face.asked).length) return { name: file, before: [faceCommand(model, face, file)] };
  return { name: `${seed}:${face.origin.number}`, before: [], truncation, labels: face.drawn };
}

function options(found) {
  const truncation = found.find((each) => each.truncation !== undefined)?.truncation ?? 1;
  return shared({ truncation, labels: found.find((each) => each.labels)?.labels });
}

function withFaces(model, faces, command) {
  const found = faces.map((face, number) => named(model, face, `face-${number + 1}.safetensors`));
  return [...found.flatMap(({ before }) => before), `${command(found)}${options(found)}`].join("\n");
}

/** facegan edit of one face; `how`: directions or labels. */
export function editCommand(model, face, amounts, how) {
  const said = Object.entries(amounts).map(([name, amount]) => ` --attr ${name}=${signed(amount)}`).join("");
  return withFaces(model, [face], ([{ name }]) => `facegan edit ${quoted(model)} ${quoted(name)}${said} --how ${how} --out changed.png`);
}

export function morphCommand(model, a, b) {
  return withFaces(model, [a, b], (found) => `facegan morph ${quoted(model)} ${found.map(({ name }) => quoted(name)).join(" ")} --scale 4 --out morph.webp`);
}

export function mixCommand(model, coarse, fine, layer) {
  return withFaces(model, [coarse, fine], ([a, b]) =>
    `facegan mix ${quoted(model)} --coarse ${quoted(a.name)} --fine ${quoted(b.name)} --layer ${layer} --out mixed.png`);
}
