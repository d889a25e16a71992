// A film through the faces that were kept.

import { button, download, element } from "./dom.js";

const KINDS = ["webp", "avif", "gif"];

export function filmView(app) {
  const { texts } = app, shown = element("img", { class: "sheet", id: "film-picture", alt: texts.film, hidden: true }), said = element("p", { id: "film-said", role: "status" });
  const kind = element("select", { id: "film-kind", "aria-label": texts.film }, KINDS.map((each) => element("option", {}, each)));
  let blob = null;
  const save = button(texts.saveFilm, () => download(`film.${blob.type.split("/")[1]}`, blob, blob.type), { id: "save-film", disabled: true });
  const make = button(texts.makeFilm, async () => {
    const { faces } = app.shelf;
    if (faces.length < 2) {
      said.textContent = texts.fewFaces;
      return;
    }
    make.disabled = true;
    said.textContent = texts.working;
    try {
      blob = await app.engine.film(faces, kind.value);
      shown.src = URL.createObjectURL(blob);
      shown.hidden = false;
      save.disabled = false;
      said.textContent = `${(blob.size / 1000).toFixed(0)} kB`;
    } catch (error) {
      said.textContent = texts[error.message] ?? error.message;
    }
    make.disabled = false;
  }, { class: "primary", id: "make-film" });
  const view = element("section", { class: "view", "data-view": "film" }, element("p", { class: "hint" }, texts.filmHelp),
    element("div", { class: "bar" }, make, kind, save), said, shown);
  return { view, refresh: () => {} };
}
