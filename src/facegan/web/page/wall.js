// The wall: many faces of a seed.

import { sampleCommand } from "./commands.js";
import { button, draw, element, newest, sheetOf } from "./dom.js";
import { Dropped } from "./engine.js";
import { numberedFaces } from "./face.js";
import { writeSettings } from "./settings.js";

/** A place for one face; `setFace` draws it. */
export function faceButton(app, onopen) {
  const canvas = element("canvas", { width: app.about.recipe.resolution, height: app.about.recipe.resolution });
  const score = element("span", { class: "score", title: app.texts.scoreHelp });
  const star = button("☆", (event) => {
    event.stopPropagation();
    app.shelf.keep(cell.face);
  }, { class: "star", title: `${app.texts.keep} (K)`, "aria-label": app.texts.keep, tabIndex: -1 });
  const inner = element("button", {
    type: "button", class: "face", draggable: true, onclick: () => cell.face && onopen(cell.face),
    ondragstart: () => app.shelf.drag(cell.face),
  }, canvas, score);
  const cell = element("div", { class: "cell" }, inner, star);
  cell.setFace = (face) => {
    cell.face = face;
    draw(canvas, face.pixels, app.about.recipe.resolution);
    inner.setAttribute("aria-label", app.nameOf(face));
    inner.title = app.nameOf(face);
    score.textContent = face.score === undefined ? "" : face.score.toFixed(2);
  };
  return cell;
}

export function wall(app) {
  const { texts, settings } = app, grid = element("div", { class: "grid", id: "grid" });
  const range = element("span", { class: "range" });
  let cells = [], shown = "";
  const wanted = () => writeSettings({ ...settings, tab: "", theme: "", language: "" });

  const refill = newest(async () => {
    const { count, first } = settings, asked = wanted();
    while (grid.children.length > count) grid.lastChild.remove();
    while (grid.children.length < count) grid.append(faceButton(app, app.open));
    cells = [...grid.children];
    const numbers = Array.from({ length: count }, (_, place) => first + place);
    const parts = [];
    for (let at = 0; at < count; at += app.engine.batch) parts.push(numbers.slice(at, at + app.engine.batch));
    await Promise.all(parts.map(async (part) => {
      try {
        const faces = await numberedFaces(app.engine, part, settings);
        faces.forEach((face) => cells[face.origin.number - first]?.setFace(face));
      } catch (error) {
        if (!(error instanceof Dropped)) app.say(error.message, true);
      }
    }));
    grid.dataset.full = `${settings.seed}/${first}/${count}`;
    shown = asked;
  });

  const refresh = () => {
    range.textContent = `${settings.first} – ${settings.first + settings.count - 1}`;
    app.engine.drop(); // what was asked for with other settings
    refill();
  };
  const turn = (pages) => app.change({ first: Math.max(0, settings.first + pages * settings.count) });
  const command = () => app.showCommand(sampleCommand(app.about.command, settings));
  const save = () => {
    if (shown !== wanted()) return; // faces are still being made
    const columns = Math.ceil(Math.sqrt(cells.length)), faces = cells.map((cell) => cell.face).filter(Boolean);
    const { seed, first, count, truncation, attributes, labels } = settings;
    const facts = { seed, number: `${first} to ${first + count - 1}`, truncation };
    app.savePng(sheetOf(faces, app.about.recipe.resolution, columns), `faces-${seed}.png`, facts, attributes, labels, true);
  };
  const bar = element("div", { class: "bar" },
    button("◀", () => turn(-1), { title: texts.back, "aria-label": texts.back, id: "back" }), range,
    button("▶", () => turn(1), { title: texts.on, "aria-label": texts.on, id: "on" }),
    button(texts.sheet, save, { id: "sheet" }), button(texts.command, command, { id: "command" }));
  const keys = (event) => {
    if (event.key === "PageDown" || event.key === "PageUp") {
      event.preventDefault();
      turn(event.key === "PageDown" ? 1 : -1);
    }
    if (event.key.startsWith("Arrow") && grid.contains(document.activeElement)) {
      event.preventDefault();
      moveFocus(grid, event.key);
    }
    if (event.key === "k" || event.key === "K") app.shelf.keep(document.activeElement.closest?.(".cell")?.face);
  };
  const view = element("section", { class: "view", "data-view": "wall" }, bar, grid);
  return { view, refresh, keys };
}

function moveFocus(grid, key) {
  const faces = [...grid.querySelectorAll(".face")], at = faces.indexOf(document.activeElement);
  const top = faces[0].getBoundingClientRect().top;
  const columns = faces.filter((face) => face.getBoundingClientRect().top === top).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  faces[Math.min(faces.length - 1, Math.max(0, at + step))].focus();
}
