// The shelf: faces that were kept, and saved faces that were opened. Other parts of the page take their faces from it.

import { button, draw, element } from "./dom.js";
import { faceFile, readFaceFile, withPictures } from "./face.js";

const MOST = 48;

export class Shelf {
  constructor(app) {
    this.app = app;
    this.faces = [];
    this.dragged = null;
    this.chosen = null;
    this.row = element("div", { class: "kept", role: "list" });
    this.build();
  }

  build() {
    const { texts } = this.app;
    const input = element("input", {
      type: "file", accept: ".safetensors", multiple: true, hidden: true, id: "face-file",
      onchange: async () => {
        for (const file of input.files) await this.openFile(file);
        input.value = "";
      },
    });
    this.element = element("footer", {
      class: "shelf", ondragover: (event) => event.preventDefault(), ondrop: (event) => this.drop(event),
    }, element("div", { class: "bar" }, element("strong", {}, texts.kept), element("span", { class: "hint" }, texts.keptHelp),
      button(texts.load, () => input.click(), { id: "load" }), input), this.row);
    this.show();
  }

  keep(face) {
    if (!face || this.faces.some((each) => each === face)) return;
    this.faces = [...this.faces, face].slice(-MOST);
    this.show();
    if (!this.app.restoring) this.store();
  }

  /** Remember the faces for as long as the window is open, so that reloading it does not lose them. */
  store() {
    const { engine } = this.app;
    const kept = this.faces.map((face) => ({
      file: btoa(String.fromCharCode(...faceFile(engine, face))), asked: face.asked, drawn: face.drawn, opened: face.opened, changed: Boolean(face.unedited),
    }));
    try {
      sessionStorage.setItem(`facegan/${engine.about.sha256}`, JSON.stringify(kept));
    } catch {
      // no room, or not allowed: they are kept until the page is left
    }
  }

  async restore() {
    const { app } = this, { engine } = app;
    try {
      const stored = JSON.parse(sessionStorage.getItem(`facegan/${engine.about.sha256}`) ?? "[]");
      const faces = stored.flatMap((each) => storedFace(engine, each));
      if (!faces.length) return;
      app.restoring = true; // what is kept meanwhile is stored with them
      const shown = await withPictures(engine, faces), { shelf } = app; // the page may have been built anew since
      shelf.faces = [...shown, ...shelf.faces].slice(-MOST);
      shelf.show();
    } catch {
      // of another version of the page: nothing is kept
    }
    const wasRestoring = app.restoring;
    app.restoring = false;
    if (wasRestoring && app.shelf.faces.length) app.shelf.store();
  }

  drag(face) {
    this.dragged = face;
  }

  async drop(event) {
    event.preventDefault();
    for (const file of event.dataTransfer?.files ?? []) await this.openFile(file);
    if (!event.dataTransfer?.files.length) this.keep(this.dragged);
    this.dragged = null;
  }

  async openFile(file) {
    const { app } = this;
    try {
      const face = readFaceFile(app.engine, await file.arrayBuffer());
      const [shown] = await withPictures(app.engine, [face]);
      this.keep({ ...shown, opened: file.name });
    } catch (error) {
      app.say(`${file.name}: ${app.texts[error.message] ?? error.message}`);
    }
  }

  /** Call `take` with the next face that is clicked on the shelf, instead of opening it. */
  choose(take) {
    this.chosen = take;
    this.element.classList.toggle("choosing", take !== null);
  }

  take(face) {
    const take = this.chosen;
    if (!take) return this.app.open(face);
    this.choose(null);
    return take(face);
  }

  show() {
    const { app } = this, side = app.about.recipe.resolution;
    const items = this.faces.map((face) => element("div", { class: "cell", role: "listitem" },
      element("button", {
        type: "button", class: "face", title: app.nameOf(face), "aria-label": app.nameOf(face), draggable: true,
        ondragstart: () => this.drag(face), onclick: () => this.take(face),
      }, draw(element("canvas"), face.pixels, side)),
      button("×", () => {
        this.faces = this.faces.filter((each) => each !== face);
        this.show();
        this.store();
      }, { class: "star", title: app.texts.forget, "aria-label": app.texts.forget })));
    this.row.replaceChildren(...(items.length ? items : [element("span", { class: "hint" }, app.texts.empty)]));
    app.shelfChanged?.();
  }
}

/** A face that was stored, in a list; none where it is of another snapshot. */
function storedFace(engine, stored) {
  try {
    const { file, changed, ...known } = stored;
    const face = readFaceFile(engine, Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0)).buffer);
    return [{ ...face, ...known, unedited: changed }];
  } catch {
    return [];
  }
}

/** A place that takes a face from the shelf, by click and click or by dragging. */
export function faceSlot(app, title, id, onface) {
  const canvas = element("canvas", { width: app.about.recipe.resolution, height: app.about.recipe.resolution });
  const put = (face) => {
    if (!face) return;
    draw(canvas, face.pixels, app.about.recipe.resolution);
    onface(face);
  };
  const made = element("button", {
    type: "button", class: "slot", id, title: app.texts.choose, onclick: () => app.shelf.choose(put),
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => {
      event.preventDefault();
      event.stopPropagation();
      put(app.shelf.dragged);
    },
  }, canvas, element("span", {}, title));
  made.put = put;
  return made;
}
