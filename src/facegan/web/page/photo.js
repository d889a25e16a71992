// A photo as a face of the model, to be changed like any other.

import { button, draw, element } from "./dom.js";
import { ask, askJson, each, facesOf } from "./server_engine.js";

const EVERY = 700;

export function photoView(app) {
  const { texts, about } = app, view = element("section", { class: "view", "data-view": "photo" });
  if (!app.engine.styleLayers) {
    view.append(element("p", {}, texts.noInversion));
    return { view, refresh: () => {} };
  }
  const said = element("p", { id: "photo-said", role: "status" }), bar = element("progress", { max: 1, value: 0, hidden: true }), pair = element("div", { class: "ways" });
  const input = element("input", { type: "file", accept: "image/*", id: "photo-file", hidden: true, onchange: () => {
    const [file] = input.files;
    input.value = "";
    if (file) send(file);
  } });
  const choose = button(texts.upload, () => input.click(), { class: "primary", id: "upload" });

  async function send(file) {
    pair.replaceChildren();
    choose.disabled = true;
    bar.hidden = false;
    bar.removeAttribute("value");
    said.textContent = texts.waiting;
    try {
      const { job } = await askJson(`/api/models/${about.id}/photo`, { method: "POST", body: file });
      await show(await finished(job), job);
    } catch (error) {
      said.textContent = `${file.name}: ${texts[error.message] ?? error.message}`;
    }
    choose.disabled = false;
    bar.hidden = true;
  }

  async function finished(job) {
    for (;;) {
      const now = await askJson(`/api/jobs/${job}`);
      if (now.state === "done") return now;
      if (now.state === "failed") throw new Error(now.error);
      said.textContent = { "looking for the face": texts.looking, likeness: texts.likeness }[now.what] ?? texts.waiting;
      if (now.total) bar.value = now.done / now.total;
      await new Promise((done) => setTimeout(done, EVERY));
    }
  }

  async function show({ psnr, kept, failed, placed }, job) {
    const found = await facesOf(await ask(`/api/jobs/${job}/result`)), [made, photo] = each(found, 2), side = about.recipe.resolution;
    const origin = { model: about.name, sha256: about.sha256, seed: null, number: null, truncation: 1, edited: "of a photo" };
    const face = { origin, styles: found.styles[0], latent: null, labels: null, pixels: made.pixels };
    said.classList.toggle("problem", failed);
    said.textContent = failed ? (placed ? texts.photoFailed : texts.photoNotPlaced) : `${psnr} ${texts.photoDone} ${kept} / 40.`;
    const shown = (title, pixels) => element("figure", {}, draw(element("canvas", { class: "large" }), pixels, side), element("figcaption", {}, title));
    pair.replaceChildren(shown(texts.yourPhoto, photo.pixels), shown(texts.theFace, made.pixels),
      failed ? "" : element("div", {}, button(texts.openIt, () => app.open(face), { id: "open-photo" }), button(`☆ ${texts.keep}`, () => app.shelf.keep(face))));
  }

  view.append(element("p", { class: "hint" }, texts.photoHelp), element("div", { class: "bar" }, choose, input), said, bar, pair);
  return { view, refresh: () => {} };
}
