// Coarse layers of one face, fine layers of another.

import { mixCommand } from "./commands.js";
import { button, draw, element, newest, slider } from "./dom.js";
import { mixed, withPictures } from "./face.js";
import { faceSlot } from "./shelf.js";

export function mixView(app) {
  const { texts, engine } = app, side = app.about.recipe.resolution, chosen = app.pairs.mix;
  if (!engine.styleLayers) {
    return { view: element("section", { class: "view", "data-view": "mix" }, element("p", {}, texts.noStyles)), refresh: () => {} };
  }
  chosen.layer ??= app.about.default_layer;
  const canvas = element("canvas", { width: side, height: side, class: "large", id: "mixed" });
  const strip = element("div", { class: "strip" });
  let face = null;

  const update = newest(async () => {
    if (!chosen.a || !chosen.b) return;
    [face] = await withPictures(engine, [mixed(engine, chosen.a, chosen.b, chosen.layer)]);
    draw(canvas, face.pixels, side);
    canvas.dataset.painted = String(Number(canvas.dataset.painted ?? 0) + 1);
    [...strip.children].forEach((each) => each.classList.toggle("chosen", each.layer === chosen.layer));
  });
  const all = newest(async () => {
    if (!chosen.a || !chosen.b) return;
    const layers = Array.from({ length: engine.styleLayers - 1 }, (_, place) => place + 1);
    const made = await withPictures(engine, layers.map((layer) => mixed(engine, chosen.a, chosen.b, layer)));
    strip.replaceChildren(...layers.map((layer, place) => {
      const each = element("button", { type: "button", class: "face", title: String(layer), "aria-label": `${texts.layer}: ${layer}`, onclick: () => choose(layer) },
        draw(element("canvas"), made[place].pixels, side));
      each.layer = layer;
      return each;
    }));
    await update();
  });
  const move = slider({
    label: texts.layer, name: "layer", value: chosen.layer, min: 1, max: engine.styleLayers - 1, step: 1, onmove: (value) => choose(value),
  });
  function choose(layer) {
    chosen.layer = layer;
    move.setValue(layer);
    update();
  }
  const first = faceSlot(app, texts.coarse, "mix-a", (each) => { chosen.a = each; all(); });
  const second = faceSlot(app, texts.fine, "mix-b", (each) => { chosen.b = each; all(); });
  const bar = element("div", { class: "bar" },
    button(`☆ ${texts.keep}`, () => app.shelf.keep(face)),
    button(texts.open, () => face && app.open(face)),
    button(texts.png, () => face && app.savePng(canvas, "mixed.png", { seed: null, truncation: 1 }, {}, "", false)),
    button(texts.command, () => chosen.a && chosen.b && app.showCommand(mixCommand(app, chosen.a, chosen.b, chosen.layer)), { id: "mix-command" }));
  const view = element("section", { class: "view", "data-view": "mix" }, element("p", { class: "hint" }, texts.choose),
    element("div", { class: "ways" }, first, element("div", { class: "middle" }, canvas, move, bar), second), strip);
  const refresh = async () => {
    const [a, b] = await app.somePair(chosen);
    first.put(a);
    second.put(b);
  };
  return { view, refresh };
}
