// Generators of facegan/networks/dcgan.py and classic.py in inference: a fully connected layer, then convolutions that
// double the side. Batch normalisation is folded into the layer before it.

const EPSILON = { dcgan: 1e-5, "classic-dcgan": 1e-3 };
/** Which rows of a 5x5 kernel over a nearest-doubled map fall on row i - 1, i, i + 1, for the upper and lower pixel. */
const FIVE = [[[0, 1], [2, 3], [4]], [[0], [1, 2], [3, 4]]];

export const PLAIN_NETWORKS = Object.keys(EPSILON);

/** The blocks with weights, each with what batch normalisation makes of its output: {weight, scale, shift}. */
function blocksOf(tensors, epsilon) {
  const numbers = Object.keys(tensors).map((name) => /^blocks\.(\d+)\.weight$/.exec(name)?.[1]).filter(Boolean);
  const get = (number, name) => tensors[`blocks.${number}.${name}`];
  const layers = numbers.map(Number).sort((a, b) => a - b).filter((number) => !get(number, "running_mean"));
  return layers.map((number) => {
    const weight = get(number, "weight"), norm = number + 1, mean = get(norm, "running_mean")?.data;
    const bias = get(number, "bias")?.data;
    if (!mean) return { weight, scale: null, shift: bias };
    const variance = get(norm, "running_var").data, gain = get(norm, "weight").data, offset = get(norm, "bias").data;
    const scale = variance.map((value, c) => gain[c] / Math.sqrt(value + epsilon));
    const shift = scale.map((value, c) => offset[c] + value * ((bias ? bias[c] : 0) - mean[c]));
    return { weight, scale, shift };
  });
}

export class PlainNetwork {
  constructor(kernel, tensors, recipe) {
    this.kernel = kernel;
    this.latentSize = recipe.latent_size;
    this.styleSize = this.styleLayers = 0;
    const [first, ...rest] = blocksOf(tensors, EPSILON[recipe.network]);
    let map = this.buildFirst(first, rest.length, recipe.resolution);
    this.layers = rest.map((block, number) => {
      const layer = this.buildDoubling(block, map, number === rest.length - 1);
      map = layer.output;
      return layer;
    });
  }

  /** Latents [Z] to the smallest map: a dense layer, or a transposed 4x4 convolution of one pixel. */
  buildFirst({ weight, scale, shift }, doublings, resolution) {
    const { shape, data } = weight, side = resolution >> doublings, transposed = shape.length === 4;
    const channels = transposed ? shape[1] : shape[0] / side ** 2, Z = this.latentSize;
    this.first = this.kernel.map(side, channels);
    const wide = this.first.channels, bias = new Float32Array(side * side * wide);
    const value = (o, i) => {
      const pixel = Math.floor(o / wide), c = o % wide;
      if (c >= channels) return 0;
      const stored = transposed ? data[(i * channels + c) * 16 + pixel] : data[(pixel * channels + c) * Z + i];
      return stored * (scale ? scale[c] : 1);
    };
    for (let pixel = 0; pixel < side * side; pixel++) for (let c = 0; shift && c < channels; c++) {
      bias[pixel * wide + c] = transposed ? shift[c] : shift[pixel * channels + c];
    }
    this.dense = this.kernel.dense(Z, side * side * wide, value, bias, 0);
    return this.first;
  }

  /** A transposed 4x4 convolution of stride 2, or nearest doubling and a 5x5 convolution: four passes each. */
  buildDoubling({ weight, scale, shift }, input, last) {
    const { kernel } = this, { shape, data } = weight, transposed = shape[2] === 4, wide = input.channels;
    const [ins, outs] = transposed ? shape : [shape[1], shape[0]], taps = transposed ? 2 : 3;
    const output = kernel.map(2 * input.side, outs), phases = [];
    for (const a of [0, 1]) for (const b of [0, 1]) {
      const one = (o, p, q, i) => data[((i * outs + o) * 4 + 3 - a - 2 * p) * 4 + 3 - b - 2 * q];
      const sum = (o, p, q, i) => {
        let total = 0;
        for (const row of FIVE[a][p]) for (const column of FIVE[b][q]) total += data[(o * ins + i) * 25 + 5 * row + column];
        return total;
      };
      const panels = kernel.panels(taps, taps * wide, outs, (o, p, place) => {
        const q = Math.floor(place / wide), i = place % wide;
        return i < ins ? (transposed ? one : sum)(o, p, q, i) : 0;
      });
      const corner = transposed ? { top: a, left: b } : {};
      phases.push({ panels, place: { ...corner, step: 2, row: a, column: b } });
    }
    const n = output.channels, slope = last ? 1 : 0;
    const finish = { scale: kernel.perChannel(n, 1, scale ?? []), shift: kernel.perChannel(n, 0, shift ?? []), slope };
    return { input, output, finish, phases };
  }

  /** An image, Float32Array [R * R * 3], of one latent [Z]. */
  generate(latent) {
    this.kernel.fill(this.first, this.kernel.apply(this.dense, latent));
    for (const { input, output, finish, phases } of this.layers) {
      for (const { panels, place } of phases) this.kernel.convolve(input, panels, output, finish, place);
    }
    return this.kernel.image(this.layers.at(-1).output).map(Math.tanh);
  }
}
