// A model as the page has it: numbered faces, and pictures of styles or latents. Answers equal Model.sample's in Python.

import { Kernel } from "./kernel.js";
import { Conditioning, LabelPrior, askedVector, uniformSource } from "./labels.js";
import { PLAIN_NETWORKS, PlainNetwork } from "./plain_network.js";
import { drawLatent } from "./random.js";
import { readSafetensors } from "./safetensors.js";
import { StyleNetwork } from "./style_network.js";

const MEAN_PAIRS = 32, MOST_MEANS = 64;

/** An image in [-1, 1] as RGBA, Uint8ClampedArray: rounds, and clips what lies outside. */
function toPixels(image, out, at) {
  for (let i = 0; i < image.length; i += 3, at += 4) {
    for (let c = 0; c < 3; c++) out[at + c] = (image[i + c] + 1) * 127.5;
    out[at + 3] = 255;
  }
}

export class PageModel {
  /** `about`: what the export says of the model; `weights`, `prior` (or null): safetensors; `wasm`: the kernel. */
  constructor(about, weights, prior, wasm) {
    const { recipe } = about, kernel = new Kernel(wasm), { tensors } = readSafetensors(weights);
    const Network = PLAIN_NETWORKS.includes(recipe.network) ? PlainNetwork : StyleNetwork;
    this.recipe = recipe;
    this.names = about.attributes;
    this.network = new Network(kernel, tensors, recipe);
    this.prior = prior && recipe.attributes ? new LabelPrior(readSafetensors(prior).tensors) : null;
    this.means = new Map();
  }

  /** Faces of numbers of a seed: {latents, labels, styles}, each a list with a Float32Array for each face, or null. */
  numbered({ seed, numbers, attributes = {}, truncation = 1, labels = "prior" }) {
    const { latent_size: Z, latent, attributes: labelled, label_dropout: dropout } = this.recipe;
    const latents = numbers.map((number) => drawLatent(seed, "latents", number, Z, latent));
    if (!this.network.styleLayers) {
      return { latents: latents.map((row) => row.map((v) => v * Math.fround(truncation))), labels: null, styles: null };
    }
    const asked = askedVector(labelled ? attributes : {}, this.names);
    const conditioning = new Conditioning(labels === "prior" ? this.prior : null, asked, dropout);
    const source = uniformSource(seed), rows = numbers.map((number) => conditioning.of(number, source));
    const said = rows[0] ? rows : null;
    return { latents, labels: said, ...this.map({ latents, labels: said, truncation }) };
  }

  /** Styles, a list of Float32Array [W], of latents and labels (a list, or null: nothing is said). */
  map({ latents, labels, truncation = 1 }) {
    const flat = this.network.map(latents, labels), W = this.network.styleSize;
    const styles = latents.map((_, row) => flat.slice(row * W, (row + 1) * W));
    if (truncation !== 1) styles.forEach((style, row) => this.truncate(style, this.meanStyle(labels?.[row]), truncation));
    return { styles };
  }

  truncate(style, mean, truncation) {
    style.forEach((value, i) => { style[i] = mean[i] + truncation * (value - mean[i]); });
  }

  /** The style that truncation moves towards, Float32Array [W], of a face with these labels (none: nothing is said). */
  meanStyle(labels) {
    const key = labels?.join() ?? "";
    if (!this.means.has(key)) {
      const { latent_size: Z, latent } = this.recipe;
      const drawn = () => Array.from({ length: MEAN_PAIRS }, (_, number) => drawLatent(0, "mean-style", number, Z, latent));
      this.meanLatents ??= drawn().flatMap((row) => [row, row.map((value) => -value)]);
      const flat = this.network.map(this.meanLatents, labels ? this.meanLatents.map(() => labels) : null);
      const W = this.network.styleSize, sum = new Float64Array(W);
      for (let i = 0; i < flat.length; i++) sum[i % W] += flat[i];
      if (this.means.size >= MOST_MEANS) this.means.delete(this.means.keys().next().value);
      this.means.set(key, Float32Array.from(sum, (value) => value / this.meanLatents.length));
    }
    return this.means.get(key);
  }

  /** Pictures, Uint8ClampedArray [N * R * R * 4], of lists of styles or of latents. */
  render({ styles, latents }) {
    const side = this.recipe.resolution, size = side * side * 4, { network } = this;
    const images = styles ? styles.map((row) => () => network.synthesize(row)) : latents.map((row) => () => network.generate(row));
    const pixels = new Uint8ClampedArray(images.length * size);
    images.forEach((image, number) => toPixels(image(), pixels, number * size));
    return pixels;
  }
}
