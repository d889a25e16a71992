// Be the discriminator: which faces are made?

import { figure } from "./charts.js";
import { button, draw, element } from "./dom.js";
import { ask, askJson, each, facesOf, posted } from "./server_engine.js";

const FACES = 20;

export function gameView(app) {
  const { texts } = app, side = app.about.recipe.resolution;
  const task = element("p", { id: "task" }), grid = element("div", { class: "grid", id: "round" }), result = element("div", { id: "result", role: "status" });
  const rules = element("p", { class: "hint" }, texts.rules);
  const count = element("span", { class: "hint", id: "marked" });
  const kept = app.round ??= { id: null, kind: "", marked: new Set(), faces: [], result: null };

  const check = button(texts.check, async () => {
    const { id } = kept;
    check.disabled = again.disabled = true;
    try {
      const found = await askJson(`/api/rounds/${id}`, posted({ made: [...kept.marked] }));
      if (kept.id === id) show(kept.result = found);
    } catch (error) {
      app.say(error.message, true);
    }
    again.disabled = false;
  }, { id: "check", class: "primary", disabled: true });
  const again = button(texts.begin, begin, { id: "begin" });

  async function begin() {
    result.replaceChildren();
    check.disabled = again.disabled = true;
    try {
      const answer = await ask("/api/rounds", posted({ model: app.about.id })), faces = each(await facesOf(answer), FACES);
      if (!view.isConnected) return; // the page was built anew, and has begun a round of its own
      Object.assign(kept, { id: answer.headers.get("x-round"), kind: answer.headers.get("x-kind"), marked: new Set(), faces, result: null });
      lay();
    } catch (error) {
      const said = texts[error.message] ?? error.message;
      task.textContent = said.charAt(0).toUpperCase() + said.slice(1);
      rules.hidden = check.hidden = count.hidden = true;
    }
    again.disabled = false;
  }

  /** Lay out the round that is under way, as the player left it. */
  function lay() {
    task.textContent = kept.kind === "photographs" ? texts.gamePhotographs : texts.gameSnapshots;
    rules.hidden = check.hidden = count.hidden = false;
    grid.replaceChildren(...kept.faces.map(place));
    say();
    if (kept.result) show(kept.result);
  }

  function say() {
    count.textContent = `${kept.marked.size} ${texts.marked}`;
    check.disabled = kept.result !== null || !kept.marked.size;
  }

  function place({ pixels }, at) {
    const note = element("span", { class: "score" });
    const face = element("button", {
      type: "button", class: "face", "aria-pressed": "false", "aria-label": `${texts.face} ${at + 1}`, onclick: () => {
        if (kept.result || again.disabled) return; // checked, or a check or another round is under way
        if (!kept.marked.delete(at)) kept.marked.add(at);
        face.classList.toggle("chosen", kept.marked.has(at));
        face.setAttribute("aria-pressed", String(kept.marked.has(at)));
        say();
      },
    }, draw(element("canvas"), pixels, side), note);
    face.classList.toggle("chosen", kept.marked.has(at));
    face.note = note;
    return element("div", { class: "cell" }, face);
  }

  function show({ made, right, scores, D_right: ofD, history, faces, practice }) {
    const words = kept.kind === "photographs" ? [texts.wasReal, texts.wasMade] : [texts.wasLate, texts.wasEarly];
    [...grid.querySelectorAll(".face")].forEach((face, at) => {
      const correct = kept.marked.has(at) === made[at];
      face.classList.add(correct ? "right" : "wrong");
      face.note.textContent = words[Number(made[at])] + (scores.length ? `, D ${scores[at].toFixed(2)}` : "");
    });
    const lines = [element("p", {}, `${texts.youRight} ${right} / ${faces} ${texts.faces}.`)];
    if (history.length) lines.push(element("p", {}, `${texts.dRight} ${ofD} / ${faces} ${texts.faces}. ${texts.dHow} ${practice} ${texts.otherFaces}.`));
    if (history.length > 1) lines.push(figure(texts.dHistory, { "": history.map((row) => [row.nimg, row.right]) }, { marks: true }));
    result.replaceChildren(...lines);
  }

  const view = element("section", { class: "view", "data-view": "game" }, task, rules,
    grid, element("div", { class: "bar" }, check, again, count), result);
  return { view, refresh: () => (kept.id && kept.faces.length ? lay() : begin()) };
}
