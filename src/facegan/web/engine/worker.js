// In a worker: one model, which answers one request after the other.

import { PageModel } from "./model.js";

let model = null;

function answer({ kind, ...request }) {
  if (kind === "open") {
    model = new PageModel(request.about, request.weights, request.prior, request.wasm);
    const { styleLayers, styleSize } = model.network;
    return { styleLayers, styleSize };
  }
  if (kind === "numbered") {
    const made = model.numbered(request);
    return { ...made, pixels: model.render(made) };
  }
  return kind === "map" ? model.map(request) : { pixels: model.render(request) };
}

self.onmessage = ({ data: { id, request } }) => {
  try {
    const reply = answer(request);
    self.postMessage({ id, reply }, reply.pixels ? [reply.pixels.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
