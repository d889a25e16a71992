// Layers in WebAssembly: weights as the kernel wants them, feature maps with a border of zeros, passes over them.

const PAGE = 65536, STACK = 4096, MOST_ROWS = 64;
const padded = (count) => (count + 7) & ~7;

/** The kernel and its memory. Places in memory are counted in floats. */
export class Kernel {
  constructor(wasm) {
    this.memory = new WebAssembly.Memory({ initial: 256 });
    this.top = STACK;
    this.run = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env: { memory: this.memory } }).exports.convolve;
    this.view = new Float32Array(this.memory.buffer);
  }

  /** All of the memory, Float32Array; ask again after `room`, which may replace it. */
  get floats() {
    if (this.view.buffer !== this.memory.buffer) this.view = new Float32Array(this.memory.buffer);
    return this.view;
  }

  /** Return the place of `count` floats, zero and never given back. */
  room(count) {
    const place = this.top;
    this.top += (count + 3) & ~3;
    const missing = 4 * this.top - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE) + 64);
    return place;
  }

  /** Weights as panels: `value(output, tap, place in the tap's run)`; outputs are filled up to a multiple of 8. */
  panels(taps, run, outs, value) {
    const n = padded(outs), at = this.room(taps * run * n), floats = this.floats;
    for (let o = 0; o < outs; o++) {
      let to = at + (o >> 3) * taps * run * 8 + (o & 7);
      for (let tap = 0; tap < taps; tap++) for (let q = 0; q < run; q++, to += 8) floats[to] = value(o, tap, q);
    }
    return { at, taps, run, n };
  }

  /** A map of `side` x `side` pixels with a border of one pixel. */
  map(side, channels) {
    const wide = padded(channels), row = (side + 2) * wide;
    return { at: this.room((side + 2) * row), side, channels: wide, row };
  }

  /** n floats for each output channel, all `value`. */
  perChannel(n, value = 0, values = []) {
    const at = this.room(n);
    this.floats.fill(value, at, at + n);
    this.floats.set(values, at);
    return at;
  }

  /** Convolve `input` into `output`. `top`, `left`: where the kernel begins in the padded input, for the output pixel
   *  (0, 0); `step`, `row`, `column`: output pixels are (step i + row, step j + column). */
  convolve(input, panels, output, finish, { top = 0, left = 0, step = 1, row = 0, column = 0 } = {}) {
    const { at, taps, run, n } = panels, side = output.side / step;
    this.run(
      4 * (input.at + top * input.row + left * input.channels), input.row, input.channels, 4 * at, taps, run,
      4 * (output.at + (row + 1) * output.row + (column + 1) * output.channels), step * output.row,
      step * output.channels, 4 * finish.scale, 4 * finish.shift, finish.slope, side, side, n,
    );
  }

  /** A fully connected layer; `weight(output, input)`. */
  dense(ins, outs, weight, bias = [], slope = 1) {
    const panels = this.panels(1, ins, outs, (o, _, i) => weight(o, i));
    const finish = { scale: this.perChannel(panels.n, 1), shift: this.perChannel(panels.n, 0, bias), slope };
    return { ins, outs, panels, finish, x: this.room(MOST_ROWS * ins), y: this.room(MOST_ROWS * panels.n) };
  }

  /** Return Float32Array [rows * outs] of x, Float32Array [rows * ins]. */
  apply(layer, x) {
    const { ins, outs, panels, finish } = layer, rows = x.length / ins, result = new Float32Array(rows * outs);
    for (let first = 0; first < rows; first += MOST_ROWS) {
      const count = Math.min(MOST_ROWS, rows - first), floats = this.floats;
      floats.set(x.subarray(first * ins, (first + count) * ins), layer.x);
      this.run(
        4 * layer.x, 0, ins, 4 * panels.at, 1, ins, 4 * layer.y, 0, panels.n, 4 * finish.scale, 4 * finish.shift,
        finish.slope, 1, count, panels.n,
      );
      for (let r = 0; r < count; r++) {
        const from = layer.y + r * panels.n;
        result.set(floats.subarray(from, from + outs), (first + r) * outs);
      }
    }
    return result;
  }

  /** Write floats [side * side * channels] into the inside of a map. */
  fill(map, x) {
    const { at, side, channels, row } = map, floats = this.floats;
    for (let i = 0; i < side; i++) {
      floats.set(x.subarray(i * side * channels, (i + 1) * side * channels), at + (i + 1) * row + channels);
    }
  }

  /** Return the first three channels of a map, Float32Array [side * side * 3]. */
  image(map) {
    const { at, side, channels, row } = map, floats = this.floats, out = new Float32Array(side * side * 3);
    for (let i = 0, to = 0; i < side; i++) {
      for (let j = 0, from = at + (i + 1) * row + channels; j < side; j++, from += channels) {
        out[to++] = floats[from], out[to++] = floats[from + 1], out[to++] = floats[from + 2];
      }
    }
    return out;
  }
}
