// Faces as the page holds them, and what can be made of them: mixtures, ways between two, changes, files.
//
// A face: {origin: {model, sha256, seed, number, truncation, edited}, styles: Float32Array [W] or [L * W], or null of a
// generator without styles, latent: Float32Array [Z] or null, labels: Float32Array [40] or null, pixels, score}.

import { readSafetensors, writeSafetensors } from "../engine/safetensors.js";

const KEY = "facegan-face", LARGEST_FILE = 1 << 20;

/** Faces of numbers of a seed, with their pictures. */
export async function numberedFaces(engine, numbers, { seed, attributes, truncation, labels }) {
  const made = await engine.numbered({ seed, numbers, attributes, truncation, labels });
  return numbers.map((number, row) => ({
    origin: { model: engine.about.name, sha256: engine.about.sha256, seed, number, truncation, edited: "" },
    asked: { ...attributes }, drawn: labels, ...rowOf(made, row, numbers.length),
  }));
}

function rowOf(made, row, count) {
  const size = made.pixels.length / count;
  return {
    styles: made.styles?.[row] ?? null, latent: made.latents?.[row] ?? null, labels: made.labels?.[row] ?? null,
    pixels: made.pixels.subarray(row * size, (row + 1) * size), score: made.scores?.[row],
  };
}

/** Give faces their pictures; labels tell a discriminator what to look for. */
export async function withPictures(engine, faces) {
  const bare = !engine.styleLayers;
  const made = await engine.render({
    styles: bare ? null : faces.map((face) => face.styles), latents: bare ? faces.map((face) => face.latent) : null,
    labels: faces.map((face) => face.labels),
  });
  const size = made.pixels.length / faces.length;
  return faces.map((face, row) => ({
    ...face, pixels: made.pixels.subarray(row * size, (row + 1) * size), score: made.scores?.[row],
  }));
}

/** The styles of a face in all layers, whether it has one or one for each. */
function everyLayer({ styles }, { styleLayers, styleSize }) {
  if (styles.length !== styleSize) return styles;
  const out = new Float32Array(styleLayers * styleSize);
  for (let layer = 0; layer < styleLayers; layer++) out.set(styles, layer * styleSize);
  return out;
}

const short = (face) => (face.origin.seed === null ? "photo" : `${face.origin.seed}:${face.origin.number}`);

function made(engine, parts, edited) {
  const { name: model, sha256 } = engine.about;
  const origin = { model, sha256, seed: null, number: null, truncation: 1, edited };
  return { origin, styles: null, latent: null, labels: null, ...parts };
}

/** The styles of `coarse` before a layer, of `fine` from there on. */
export function mixed(engine, coarse, fine, layer) {
  const styles = everyLayer(coarse, engine).slice(), W = engine.styleSize;
  styles.set(everyLayer(fine, engine).subarray(layer * W), layer * W);
  return made(engine, { styles }, `mixed: ${short(coarse)} before layer ${layer}, ${short(fine)} from there on`);
}

/** The face at a share, 0 to 1, of the way between two: straight through styles, or round through latents. */
export function between(engine, a, b, share) {
  const edited = `between ${short(a)} and ${short(b)}, at ${share}`;
  if (!engine.styleLayers) {
    const way = engine.about.recipe.latent === "normal" ? onCircle : straight;
    return made(engine, { latent: way(a.latent, b.latent, share) }, edited);
  }
  const same = a.styles.length === b.styles.length;
  const [from, to] = same ? [a.styles, b.styles] : [everyLayer(a, engine), everyLayer(b, engine)];
  return made(engine, { styles: straight(from, to, share) }, edited);
}

const straight = (a, b, share) => a.map((value, i) => (1 - share) * value + share * b[i]);
const length = (a) => Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));

function onCircle(a, b, share) {
  const [la, lb] = [length(a), length(b)], cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / Math.max(la * lb, 1e-12);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return straight(a, b, share);
  const [wa, wb] = [Math.sin((1 - share) * angle) / la, Math.sin(share * angle) / lb];
  const size = ((1 - share) * la + share * lb) / Math.sin(angle);
  return a.map((value, i) => (wa * value + wb * b[i]) * size);
}

const signed = (amount) => `${amount < 0 ? "" : "+"}${Number(amount.toPrecision(6))}`;

function editedOrigin(face, amounts, how) {
  const said = Object.entries(amounts).map(([name, amount]) => `${name}=${signed(amount)}`).join(", ");
  return { ...face.origin, edited: `${[face.origin.edited, said].filter(Boolean).join(", ")} (${how})` };
}

/** A face moved along directions, Float32Array [40 * W], by amounts {name: units}. */
export function changedAlong(engine, face, amounts, directions) {
  const W = engine.styleSize, styles = face.styles.slice();
  for (const [name, amount] of Object.entries(amounts)) {
    const at = engine.about.attributes.indexOf(name) * W;
    for (let i = 0; i < styles.length; i++) styles[i] += amount * directions[at + (i % W)];
  }
  return { ...face, origin: editedOrigin(face, amounts, "directions"), styles, latent: null, labels: null, unedited: face };
}

/** A face made again with other labels. */
export async function changedByLabels(engine, face, amounts) {
  const before = face.labels ?? new Float32Array(engine.about.attributes.length), after = before.slice();
  for (const [name, amount] of Object.entries(amounts)) after[engine.about.attributes.indexOf(name)] = amount;
  const latents = [face.latent, face.latent], labels = [before, after], { truncation } = face.origin;
  const { styles: [from, to] } = await engine.map({ latents, labels, truncation });
  const styles = face.styles.map((value, i) => value + to[i % to.length] - from[i % to.length]);
  return { ...face, origin: editedOrigin(face, amounts, "labels"), styles, labels: after, unedited: face };
}

/** The name of a face in files. */
export function fileName(face, end) {
  const { seed, number, edited } = face.origin;
  const place = seed === null ? "face" : `face-${seed}-${number}`;
  return `${place}${edited ? "-changed" : ""}${end}`;
}

/** A face's file, as facegan sample --out face.safetensors writes it. */
export function faceFile(engine, face) {
  const tensors = {}, { styleSize: W } = engine;
  if (face.styles) tensors.styles = { shape: [face.styles.length / W, W], data: face.styles };
  if (face.latent) tensors.latent = { shape: [face.latent.length], data: face.latent };
  if (face.labels) tensors.labels = { shape: [face.labels.length], data: face.labels };
  // Seeds may be larger than a number of JavaScript's, so that this one is written as text.
  const { seed, ...rest } = face.origin, described = JSON.stringify({ format_version: 1, ...rest });
  const whole = seed === null ? `${described.slice(0, -1)},"seed":null}` : `${described.slice(0, -1)},"seed":${seed}}`;
  return writeSafetensors(tensors, { [KEY]: whole });
}

/** The face in a file's ArrayBuffer, without its picture. Throws an Error whose message is a key of the page's texts. */
export function readFaceFile(engine, buffer) {
  if (buffer.byteLength > LARGEST_FILE) throw new Error("notAFace");
  let read, origin;
  try {
    read = readSafetensors(buffer);
    const text = read.metadata[KEY], seed = /"seed":\s*(\d+)/.exec(text);
    origin = { ...JSON.parse(text), seed: seed ? seed[1] : null };
  } catch {
    throw new Error("notAFace");
  }
  const numbered = (origin.number ?? null) === null || Number.isInteger(origin.number);
  const { truncation = 1 } = origin;
  if (origin.format_version !== 1 || !numbered || typeof truncation !== "number" || !(truncation >= 0 && truncation <= 1)) throw new Error("notAFace");
  if (origin.sha256 !== engine.about.sha256) throw new Error("otherModel");
  delete origin.format_version;
  const { styles, latent, labels } = read.tensors, { styleLayers: L, styleSize: W, about } = engine;
  const sizes = { styles: [W, L * W], latent: [about.recipe.latent_size], labels: [about.attributes.length] };
  for (const [name, tensor] of Object.entries(read.tensors)) {
    if (!Object.hasOwn(sizes, name) || !sizes[name].includes(tensor.data.length) || !tensor.data.every(Number.isFinite)) throw new Error("notAFace");
  }
  if (L ? !styles : !latent) throw new Error("notAFace");
  const data = (tensor) => tensor?.data ?? null;
  return { origin, styles: data(styles), latent: data(latent), labels: data(labels) };
}
