// Labels of faces, as facegan/sampling/label_prior.py and conditioning.py draw them.

import { Stream } from "./random.js";

const COUNT = 40, EDGE = 1e-6, LARGEST_FACTOR = 2;

/** Labels [40] of what is asked for ({place: value}); NaN where nothing is. */
export function askedVector(attributes, names) {
  const asked = new Float32Array(COUNT).fill(NaN);
  for (const [name, value] of Object.entries(attributes)) asked[names.indexOf(name)] = value;
  return asked;
}

/** How much louder asked attributes are said: their norm becomes that of 40 labels, at most doubled. */
export function amplification(asked) {
  let square = 0;
  for (const value of asked) if (!Number.isNaN(value)) square += value * value;
  return Math.min(LARGEST_FACTOR, Math.sqrt(COUNT) / Math.max(Math.sqrt(square), 1e-6));
}

/** A mixture of Bernoulli vectors: weights [K], probabilities [K * 40], known [40]. */
export class LabelPrior {
  constructor(tensors) {
    this.weights = tensors.weights.data;
    this.probabilities = tensors.probabilities.data;
    this.known = tensors.known.data;
  }

  /** Cumulative probabilities of the components, given what is asked for. */
  edges(asked) {
    const logs = Array.from(this.weights, (weight, k) => {
      let log = Math.log(weight);
      asked.forEach((value, a) => {
        if (Number.isNaN(value) || value === 0) return;
        const there = Math.min(1 - EDGE, Math.max(EDGE, this.probabilities[k * COUNT + a]));
        log += Math.abs(value) * Math.log(value > 0 ? there : 1 - there);
      });
      return log;
    });
    const most = Math.max(...logs), shares = logs.map((log) => Math.exp(log - most));
    const sum = shares.reduce((a, b) => a + b, 0);
    let edge = 0;
    return shares.map((share) => (edge += share / sum));
  }

  /** Labels [40] of one sample; `draws`: its uniform numbers [81]. */
  complete(draws, asked, edges) {
    let component = edges.findIndex((edge) => edge >= draws[0]);
    if (component < 0) component = edges.length - 1;
    return Float32Array.from(asked, (value, a) => {
      if (!Number.isNaN(value)) return value;
      if (!(draws[1 + COUNT + a] < this.known[a])) return 0;
      return draws[1 + a] < this.probabilities[component * COUNT + a] ? 1 : -1;
    });
  }
}

/** The labels of numbered samples, as the generator gets them. */
export class Conditioning {
  /** `prior`: a LabelPrior, or null where attributes that are not asked for stay unknown; `asked`: [40]. */
  constructor(prior, asked, dropout) {
    this.prior = prior;
    this.asked = asked;
    this.dropout = dropout;
    this.asks = asked.some((value) => value !== 0 && !Number.isNaN(value));
    this.factor = amplification(asked);
    this.edges = prior ? prior.edges(asked) : null;
  }

  /** Labels [40] of sample `index`, or null where nothing is said. `source`: (stream name, index, count) to uniforms. */
  of(index, source) {
    if (!this.prior && !this.asks) return null;
    if (!this.prior) return this.amplified(this.asked.map((value) => (Number.isNaN(value) ? 0 : value)));
    const labels = this.prior.complete(source("labels", index, 1 + 2 * COUNT), this.asked, this.edges);
    if (this.asks) return this.amplified(labels);
    const draws = source("labels/withheld", index, 2 + COUNT), some = draws[0] >= this.dropout;
    return this.amplified(labels.map((value, a) => (some && draws[2 + a] < draws[1] ? value : 0)));
  }

  amplified(labels) {
    return labels.map((value, a) => (Number.isNaN(this.asked[a]) ? value : value * this.factor));
  }
}

/** A source of uniforms for `Conditioning.of`. */
export function uniformSource(seed) {
  const streams = {};
  return (stream, index, count) => (streams[stream] ??= new Stream(seed, stream)).uniform(index, count);
}
