// One face, large: its changes, its files, its command.

import { GROUPS, attributeName } from "./attributes.js";
import { editCommand, faceCommand, isNumbered, savedCommand } from "./commands.js";
import { button, download, draw, element, newest, slider } from "./dom.js";
import { changedAlong, changedByLabels, faceFile, fileName, withPictures } from "./face.js";
import { readSafetensors } from "../engine/safetensors.js";

/** How a face can be changed: along directions, by labels, or not at all (""). */
function wayOf(app, face) {
  if (!face.styles) return "";
  if (app.directions) return "directions";
  return face.latent && app.about.recipe.attributes ? "labels" : "";
}

/** Directions, Float32Array [40 * W], of the model's file (an ArrayBuffer). */
export function readDirections(buffer) {
  return readSafetensors(buffer).tensors.directions.data;
}

/** A window with a face; `show(face)` opens it. */
export function faceWindow(app) {
  const { texts } = app, side = app.about.recipe.resolution;
  const canvas = element("canvas", { width: side, height: side, class: "large" });
  const title = element("h2"), facts = element("p", { class: "hint" }), changes = element("div", { class: "changes" });
  const uses = element("div", { class: "bar" });
  let original = null, face = null, amounts = {};

  const update = newest(async () => {
    const of = original, wanted = amounts;
    const way = wayOf(app, of), asked = Object.entries(wanted).filter(([, amount]) => amount !== 0);
    if (!asked.length) face = original;
    else {
      const said = Object.fromEntries(asked);
      const changed = way === "directions" ? changedAlong(app.engine, of, said, app.directions) : await changedByLabels(app.engine, of, said);
      const [shown] = await withPictures(app.engine, [changed]);
      if (of !== original || wanted !== amounts) return; // another face was opened, or this one's changes undone
      face = shown;
    }
    paint();
  });

  function paint() {
    draw(canvas, face.pixels, side);
    title.textContent = app.nameOf(face);
    facts.textContent = [face.origin.edited, face.score === undefined ? "" : `${texts.score}: ${face.score.toFixed(2)}`].filter(Boolean).join(" · ");
    canvas.dataset.painted = String(Number(canvas.dataset.painted ?? 0) + 1);
  }

  function sliders() {
    const way = wayOf(app, original), range = way === "directions" ? 3 : 2;
    if (!way) return [];
    const groups = Object.entries(GROUPS).map(([group, names]) => element("details", { open: group === "expression" },
      element("summary", {}, texts[group]), names.map((name) => slider({
        label: attributeName(name, app.language), name, value: 0, min: -range, max: range, step: 0.1,
        onmove: (value) => {
          amounts[name] = value;
          update();
        },
      }))));
    const hint = element("p", { class: "hint" }, way === "directions" ? texts.changeHelp : texts.changeLabels);
    return [element("h2", {}, texts.change), hint, groups, button(texts.reset, () => show(original), { id: "reset" })].flat();
  }

  function command() {
    const asked = Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== 0));
    if (Object.keys(asked).length) return app.showCommand(editCommand(app, original, asked, wayOf(app, original)));
    return app.showCommand(isNumbered(face) ? faceCommand(app.about.command, face) : savedCommand(app, face));
  }

  const savePng = (scale) => {
    const large = element("canvas", { width: side * scale, height: side * scale }), context = large.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(canvas, 0, 0, large.width, large.height);
    app.savePng(scale === 1 ? canvas : large, fileName(face, ".png"), face.origin, face.asked, face.drawn, false);
  };
  const tools = element("div", { class: "bar" },
    button(`☆ ${texts.keep}`, () => app.shelf.keep(face), { id: "keep" }),
    button(texts.png, () => savePng(1), { id: "png" }), button(`${texts.png} ×4`, () => savePng(4), { id: "png4" }),
    button(texts.save, () => {
      const name = fileName(face, ".safetensors");
      download(name, faceFile(app.engine, face));
      app.say(texts.saved + name);
    }, { id: "save" }),
    button(texts.command, command, { id: "face-command" }));
  const dialog = element("dialog", { class: "window", id: "face" },
    element("div", { class: "two" }, element("div", {}, title, canvas, facts, tools, uses), changes),
    button("×", () => dialog.close(), { class: "close", title: texts.close, "aria-label": texts.close }));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  function show(next) {
    original = face = next;
    amounts = {};
    changes.replaceChildren(...sliders());
    uses.replaceChildren(...app.uses(() => face, () => dialog.close()));
    paint();
    if (!dialog.open) dialog.showModal();
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input[type=text]")) return;
    if (event.key === "k" || event.key === "K") app.shelf.keep(face);
    event.stopPropagation();
  });
  return { dialog, show };
}
