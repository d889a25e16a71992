// The generator of facegan/networks/style.py in inference: latents and labels to styles, styles to an image.
//
// Upsampling convolutions, nearest and then 3x3, are computed as four 2x2 convolutions, one for each of the pixels that
// an input pixel becomes.

const SLOPE = 0.2, PICTURE_GAIN = 0.25, ONE = Math.log(Math.E - 1);
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));
/** Which rows of a 3x3 kernel fall on row r, r + 1 of the input, for the upper and the lower pixel. */
const TAPS = [[[0], [1, 2]], [[0, 1], [2]]];

/** The 2x2 kernel, weight(output, tap row, tap column, input), of the pixel (a, b). */
function phaseKernel({ shape: [, ins], data }, scale, a, b) {
  return (o, p, q, i) => {
    const base = (o * ins + i) * 9;
    let sum = 0;
    for (const row of TAPS[a][p]) for (const column of TAPS[b][q]) sum += data[base + 3 * row + column];
    return sum * scale;
  };
}

/** A convolution: its panels, one for each phase, and how much of an input channel's square comes out. */
function convolution(kernel, tensor, gain, channels) {
  const { shape: [outs, ins, size], data } = tensor, scale = gain / Math.sqrt(ins * size * size);
  const energy = new Float32Array(outs * ins);
  const panels = (taps, weight) => kernel.panels(taps, taps * channels, outs, (o, tap, place) => {
    const q = Math.floor(place / channels), i = place % channels;
    if (i >= ins) return 0;
    const value = weight(o, tap, q, i);
    energy[o * ins + i] += value * value;
    return value;
  });
  return { outs, ins, size, scale, energy, panels };
}

function plainConvolution(kernel, tensor, gain, channels) {
  const made = convolution(kernel, tensor, gain, channels), { ins, size, scale } = made, { data } = tensor;
  const weight = (o, p, q, i) => data[((o * ins + i) * size + p) * size + q] * scale;
  const edge = size === 3 ? 0 : 1;
  return { ...made, phases: [{ panels: made.panels(size, weight), place: { top: edge, left: edge } }] };
}

function doublingConvolution(kernel, tensor, gain, channels) {
  const made = convolution(kernel, tensor, gain, channels), phases = [];
  for (const a of [0, 1]) for (const b of [0, 1]) {
    const panels = made.panels(2, phaseKernel(tensor, made.scale, a, b));
    phases.push({ panels, place: { top: a, left: b, step: 2, row: a, column: b } });
  }
  made.energy.forEach((value, place) => { made.energy[place] = value / 4; });
  return { ...made, phases };
}

/** Bilinear, as torch's interpolate without aligned corners. */
function enlarged(image, side, wide) {
  if (side === wide) return image;
  const out = new Float32Array(wide * wide * 3), last = side - 1;
  const places = Array.from({ length: wide }, (_, i) => {
    const place = Math.max(0, ((i + 0.5) * side) / wide - 0.5), low = Math.floor(place);
    return [low, Math.min(low + 1, last), place - low];
  });
  for (let i = 0, to = 0; i < wide; i++) {
    const [top, bottom, t] = places[i];
    for (let j = 0; j < wide; j++) {
      const [left, right, u] = places[j];
      for (let c = 0; c < 3; c++, to++) {
        const upper = image[(top * side + left) * 3 + c] * (1 - u) + image[(top * side + right) * 3 + c] * u;
        const lower = image[(bottom * side + left) * 3 + c] * (1 - u) + image[(bottom * side + right) * 3 + c] * u;
        out[to] = upper * (1 - t) + lower * t;
      }
    }
  }
  return out;
}

export class StyleNetwork {
  /** `recipe`: {resolution, latent_size, generator: {the recipe's options}}. */
  constructor(kernel, tensors, recipe) {
    this.kernel = kernel;
    this.latentSize = recipe.latent_size;
    this.buildMapping(tensors, recipe.generator.mapping_lr_multiplier);
    this.buildLayers(tensors, recipe);
    const affine = (i) => this.scaledDense(tensors, `styles.${i}`, 1, 1, 1);
    this.affines = Array.from({ length: this.layers.length + 1 }, (_, i) => affine(i));
    this.styleSize = this.affines[0].ins;
    this.styleLayers = this.affines.length;
  }

  scaledDense(tensors, name, gain, rate, slope) {
    const { shape: [outs, ins], data } = tensors[`${name}.weight`], scale = (gain * rate) / Math.sqrt(ins);
    const bias = tensors[`${name}.bias`].data.map((value) => value * gain * rate);
    return this.kernel.dense(ins, outs, (o, i) => data[o * ins + i] * scale, bias, slope);
  }

  /** The first layer takes latent and labels: the labels' embedding, which is linear, is multiplied into it. */
  buildMapping(tensors, rate) {
    const embedding = tensors["mapping.embedding.weight"], [embedded, labels] = embedding.shape, Z = this.latentSize;
    const { shape: [outs, ins], data } = tensors["mapping.layers.0.weight"], gain = Math.SQRT2 * rate;
    const scale = gain / Math.sqrt(ins), labelScale = scale / Math.sqrt(labels);
    const ofLabel = (o, a) => {
      let sum = 0;
      for (let e = 0; e < embedded; e++) sum += data[o * ins + Z + e] * embedding.data[e * labels + a];
      return sum * labelScale;
    };
    const weight = (o, i) => (i < Z ? data[o * ins + i] * scale : ofLabel(o, i - Z));
    const bias = tensors["mapping.layers.0.bias"].data.map((value) => value * gain);
    this.mapping = [this.kernel.dense(Z + labels, outs, weight, bias, SLOPE)];
    for (let i = 1; `mapping.layers.${i}.weight` in tensors; i++) {
      this.mapping.push(this.scaledDense(tensors, `mapping.layers.${i}`, Math.SQRT2, rate, SLOPE));
    }
    this.labelCount = labels;
  }

  buildLayers(tensors, { resolution, generator }) {
    const { kernel } = this, constant = tensors.constant, [channels, side] = constant.shape;
    this.constant = { map: kernel.map(side, channels), channels, data: constant.data };
    this.layers = [];
    let map = this.constant.map, number = 0;
    const last = resolution / generator.patch;
    const add = (doubled) => {
      const make = doubled ? doublingConvolution : plainConvolution;
      const made = make(kernel, tensors[`layers.${number}.convolution.weight`], 1, map.channels);
      const output = kernel.map(doubled ? 2 * map.side : map.side, made.outs), n = output.channels;
      const finish = { scale: kernel.perChannel(n), shift: kernel.perChannel(n), slope: SLOPE };
      this.layers.push({ ...made, input: map, output, finish, shift: tensors[`layers.${number++}.shift`].data });
      map = output;
    };
    let pictures = 0;
    const addPicture = () => { this.layers.at(-1).picture = this.picture(tensors, `pictures.${pictures++}`, map); };
    for (let size = side; size <= last; size *= 2) {
      if (size > side) add(true);
      if (size <= generator.second_conv_max_side || size === side) add(false);
      addPicture();
    }
    if (generator.fine_layer) {
      add(false);
      addPicture();
    }
  }

  picture(tensors, name, input) {
    const weight = tensors[`${name}.weight`], doubled = weight.shape[2] === 3;
    const made = (doubled ? doublingConvolution : plainConvolution)(this.kernel, weight, PICTURE_GAIN, input.channels);
    const output = this.kernel.map(doubled ? 2 * input.side : input.side, 3), n = output.channels;
    const shift = this.kernel.perChannel(n, 0, tensors[`${name}.bias`].data);
    return { ...made, input, output, finish: { scale: this.kernel.perChannel(n, 1), shift, slope: 1 } };
  }

  /** Styles, Float32Array [N * W], of latents (a list of [Z]) and labels (a list of [40], or null: nothing is said). */
  map(latents, labels) {
    const Z = this.latentSize, width = Z + this.labelCount, x = new Float32Array(latents.length * width);
    latents.forEach((latent, row) => {
      let square = 0;
      for (const value of latent) square += value * value;
      const scale = 1 / Math.sqrt(square / Z + 1e-8);
      for (let i = 0; i < Z; i++) x[row * width + i] = latent[i] * scale;
      if (labels) x.set(labels[row], row * width + Z);
    });
    return this.mapping.reduce((y, layer) => this.kernel.apply(layer, y), x);
  }

  /** An image, Float32Array [R * R * 3], of one face's styles: Float32Array [W], or [L * W], one for each layer. */
  synthesize(styles) {
    const W = this.styleSize, one = styles.length === W;
    const scales = this.affines.map((affine, layer) =>
      this.kernel.apply(affine, one ? styles : styles.subarray(layer * W, (layer + 1) * W)).map((v) => softplus(v + ONE)));
    this.scaleConstant(scales[0]);
    let image = null, side = 0;
    this.layers.forEach((layer, number) => {
      this.modulate(layer, scales[number], scales[number + 1]);
      this.pass(layer);
      if (!layer.picture) return;
      this.pass(layer.picture);
      const wide = layer.picture.output.side, part = this.kernel.image(layer.picture.output);
      if (image) {
        const grown = enlarged(image, side, wide);
        for (let i = 0; i < part.length; i++) part[i] += grown[i];
      }
      image = part;
      side = wide;
    });
    return image;
  }

  scaleConstant(scale) {
    const { map, channels, data } = this.constant, pixels = map.side ** 2;
    const x = new Float32Array(pixels * map.channels);
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < pixels; i++) x[i * map.channels + c] = data[c * pixels + i] * scale[c];
    }
    this.kernel.fill(map, x);
  }

  /** Set what a layer does to its output: demodulation (Karras et al. 2020, equation 3), bias, and the next scale. */
  modulate({ outs, ins, energy, finish, shift }, scale, next) {
    const floats = this.kernel.floats, squares = scale.map((v) => v * v);
    for (let o = 0; o < outs; o++) {
      let sum = 1e-8;
      for (let i = 0, at = o * ins; i < ins; i++) sum += squares[i] * energy[at + i];
      const gain = next[o] * Math.SQRT2;
      floats[finish.scale + o] = gain / Math.sqrt(sum);
      floats[finish.shift + o] = shift[o] * gain;
    }
  }

  pass({ input, output, finish, phases }) {
    for (const { panels, place } of phases) this.kernel.convolve(input, panels, output, finish, place);
  }
}
