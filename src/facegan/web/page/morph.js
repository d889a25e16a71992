// The way from one face to another, under a slider.

import { morphCommand } from "./commands.js";
import { button, draw, element, newest, slider } from "./dom.js";
import { between, withPictures } from "./face.js";
import { faceSlot } from "./shelf.js";

const SECONDS = 3;

export function morphView(app) {
  const { texts } = app, side = app.about.recipe.resolution, chosen = app.pairs.morph;
  const canvas = element("canvas", { width: side, height: side, class: "large", id: "morphed" });
  let face = null, playing = 0;

  const update = newest(async () => {
    if (!chosen.a || !chosen.b) return;
    [face] = await withPictures(app.engine, [between(app.engine, chosen.a, chosen.b, chosen.share)]);
    draw(canvas, face.pixels, side);
    canvas.dataset.painted = String(Number(canvas.dataset.painted ?? 0) + 1);
  });
  const move = slider({
    label: texts.share, name: "share", value: chosen.share, min: 0, max: 1, step: 0.01,
    onmove: (value) => {
      chosen.share = value;
      update();
    },
  });
  const first = faceSlot(app, texts.first, "morph-a", (each) => { chosen.a = each; update(); });
  const second = faceSlot(app, texts.second, "morph-b", (each) => { chosen.b = each; update(); });

  function frame(time) {
    if (!playing || !canvas.isConnected) return;
    const turn = ((time - playing) / 1000 / SECONDS) % 2, place = turn > 1 ? 2 - turn : turn;
    chosen.share = place * place * (3 - 2 * place);
    move.setValue(chosen.share);
    update();
    requestAnimationFrame(frame);
  }
  const play = button(texts.play, () => {
    playing = playing ? 0 : performance.now();
    play.textContent = playing ? texts.stop : texts.play;
    if (playing) requestAnimationFrame(frame);
  }, { id: "play" });
  const facts = () => ({ seed: null, truncation: 1 });
  const bar = element("div", { class: "bar" }, play,
    button(`☆ ${texts.keep}`, () => app.shelf.keep(face)),
    button(texts.png, () => face && app.savePng(canvas, "between.png", facts(), {}, "", false)),
    button(texts.command, () => chosen.a && chosen.b && app.showCommand(morphCommand(app, chosen.a, chosen.b)), { id: "morph-command" }));
  const view = element("section", { class: "view", "data-view": "morph" },
    element("p", { class: "hint" }, texts.choose),
    element("div", { class: "ways" }, first, element("div", { class: "middle" }, canvas, move, bar), second));
  const refresh = async () => {
    const [a, b] = await app.somePair(chosen);
    first.put(a);
    second.put(b);
  };
  return { view, refresh };
}
