// What makes faces for the page when a studio serves it: requests to the server. The same engine as engine.js.

import { readSafetensors, writeSafetensors } from "../engine/safetensors.js";
import { Dropped } from "./engine.js";

const PATIENCE = 8;

/** An answer of the studio; what it refuses is an Error with its sentence. One that is busy is asked again. */
export async function ask(path, options = {}) {
  let answer = null;
  for (let turn = 0; turn < PATIENCE; turn++) {
    answer = await fetched(path, options);
    if (answer.ok) return answer;
    if (answer.status !== 503) break;
    await new Promise((done) => setTimeout(done, 300 * (turn + 1)));
  }
  let said = `${answer.status}`;
  try {
    said = (await answer.json()).error ?? said;
  } catch {
    // it was no JSON: the number must do
  }
  throw new Error(said);
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("serverGone");
  }
}

/** An answer's JSON. */
export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

export const posted = (value) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });

/** {pixels: RGBA of all, ...rows} of an answer in safetensors. */
export async function facesOf(answer) {
  const { tensors } = readSafetensors(await answer.arrayBuffer()), found = {};
  for (const [name, { shape: [count, ...rest], data }] of Object.entries(tensors)) {
    const size = rest.reduce((product, each) => product * each, 1);
    if (name === "pixels") found.pixels = withAlpha(data);
    else if (!rest.length) found[name] = Array.from(data);
    else found[name] = Array.from({ length: count }, (_, row) => data.slice(row * size, (row + 1) * size));
  }
  return found;
}

function withAlpha(rgb) {
  const out = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    out[to] = rgb[from], out[to + 1] = rgb[from + 1], out[to + 2] = rgb[from + 2];
  }
  return out;
}

/** The pictures of an answer one by one: [{pixels, score}]. */
export function each({ pixels, scores }, count) {
  const size = pixels.length / count;
  return Array.from({ length: count }, (_, row) => ({ pixels: pixels.subarray(row * size, (row + 1) * size), score: scores?.[row] }));
}

/** Rows of equal length as a tensor. */
function stacked(rows) {
  const width = rows[0].length, data = new Float32Array(rows.length * width);
  rows.forEach((row, place) => data.set(row, place * width));
  return { shape: [rows.length, width], data };
}

export class ServerEngine {
  batch = 24;

  constructor(about) {
    this.about = about;
    this.path = `/api/models/${about.id}`;
    this.styleLayers = about.style_layers;
    this.styleSize = about.style_size;
    this.going = new AbortController();
  }

  drop() {
    this.going.abort();
    this.going = new AbortController();
  }

  async request(kind, options, signal = undefined) {
    try {
      return await facesOf(await ask(`${this.path}/${kind}`, { ...options, signal }));
    } catch (error) {
      throw error.name === "AbortError" ? new Dropped() : error;
    }
  }

  numbered(request) {
    return this.request("faces", posted(request), this.going.signal);
  }

  render({ styles, latents, labels }) {
    const unknown = new Float32Array(this.about.attributes.length);
    const known = labels?.some((row) => row) ? { labels: stacked(labels.map((row) => row ?? unknown)) } : {};
    return this.request("render", this.arrays({ ...(styles ? { styles: stacked(this.alike(styles)) } : { latents: stacked(latents) }), ...known }));
  }

  map({ latents, labels, truncation = 1 }) {
    return this.request(`map?truncation=${truncation}`, this.arrays({ latents: stacked(latents), labels: stacked(labels) }));
  }

  arrays(tensors) {
    return { method: "POST", body: writeSafetensors(tensors) };
  }

  /** A film through faces, as a Blob. */
  async film(faces, kind) {
    const rows = this.styleLayers ? { styles: stacked(faces.map((face) => this.everyLayer(face.styles))) } : { latents: stacked(faces.map((face) => face.latent)) };
    const answer = await ask(`${this.path}/film?kind=${kind}&frames=${Math.min(250, 50 * faces.length)}`, this.arrays(rows));
    return answer.blob();
  }

  /** Rows of styles, all of one for all layers, or all of one for each. */
  alike(styles) {
    return styles.every((row) => row.length === styles[0].length) ? styles : styles.map((row) => this.everyLayer(row));
  }

  everyLayer(styles) {
    const { styleLayers: layers, styleSize: size } = this;
    return styles.length === size ? Float32Array.from({ length: layers * size }, (_, i) => styles[i % size]) : styles;
  }
}
