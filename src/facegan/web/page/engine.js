// What makes faces for the page: workers in the page itself, each with the whole model.
//
// An engine has: about (the model), styleLayers, styleSize; numbered(request), render(request) and map(request), which
// return promises of what engine/model.js returns; batch, how many faces are best asked for at a time; drop(), which
// forgets numbered faces that have not begun.

const MOST_WORKERS = 4;

/** The bytes of base64 text, ArrayBuffer. */
export function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

/** The error of a request that was dropped, which need not be shown. */
export class Dropped extends Error {
  name = "Dropped";
}

export class PageEngine {
  batch = 2;

  /** `assets`: {about, weights, prior, kernel, plainKernel (base64 texts), code (the worker's)}. */
  constructor({ about, ...assets }) {
    this.about = about;
    this.assets = assets;
    this.queue = [];
    this.workers = [];
    this.count = 0;
  }

  async open() {
    const { weights, prior, kernel, plainKernel, code } = this.assets;
    const wasm = decoded(kernel);
    this.model = {
      kind: "open", about: this.about, weights: decoded(weights), prior: prior ? decoded(prior) : null,
      wasm: WebAssembly.validate(wasm) ? wasm : decoded(plainKernel),
    };
    this.code = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    Object.assign(this, await this.addWorker());
  }

  /** Open more workers, as many as the machine has cores to spare. */
  async grow() {
    const wanted = Math.min(MOST_WORKERS, (navigator.hardwareConcurrency ?? 2) - 1);
    while (this.workers.length < wanted) await this.addWorker();
  }

  async addWorker() {
    const worker = { port: new Worker(this.code), waiting: null };
    worker.port.onmessage = ({ data }) => this.finish(worker, data);
    worker.port.onerror = (event) => {
      event.preventDefault?.();
      this.finish(worker, { error: event.message ?? "the worker did not start" });
    };
    const opened = new Promise((resolve, reject) => this.send(worker, { request: this.model, resolve, reject }));
    const shape = await opened.catch((error) => {
      worker.port.terminate();
      throw error;
    });
    this.workers.push(worker);
    this.next();
    return shape;
  }

  send(worker, job) {
    worker.waiting = job;
    worker.port.postMessage({ id: ++this.count, request: job.request });
  }

  finish(worker, { reply, error }) {
    const job = worker.waiting;
    worker.waiting = null;
    if (error === undefined) job?.resolve(reply);
    else job?.reject(new Error(error));
    this.next();
  }

  next() {
    for (const worker of this.workers) if (!worker.waiting && this.queue.length) this.send(worker, this.queue.shift());
  }

  ask(request) {
    return new Promise((resolve, reject) => {
      this.queue.push({ request, resolve, reject });
      this.next();
    });
  }

  drop() {
    const dropped = this.queue.filter(({ request }) => request.kind === "numbered");
    this.queue = this.queue.filter((job) => !dropped.includes(job));
    for (const job of dropped) job.reject(new Dropped());
  }

  numbered(request) {
    return this.ask({ kind: "numbered", ...request });
  }

  render(request) {
    return this.ask({ kind: "render", ...request });
  }

  map(request) {
    return this.ask({ kind: "map", ...request });
  }
}
