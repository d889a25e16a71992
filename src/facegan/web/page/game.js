// Be the discriminator: which faces are made?

import { figure } from "./charts.js";
import { button, draw, element } from "./dom.js";
import { ask, askJson, each, facesOf, posted } from "./server_engine.js";

const FACES = 20;

export function gameView(app) {
  const { texts } = app, side = app.about.recipe.resolution;
  const task = element("p", { id: "task" }), grid = element("div", { class: "grid", id: "round" }), result = element("div", { id: "result", role: "status" });
  const count = element("span", { class: "hint", id: "marked" });
  let round = null, kind = "", marked = new Set();

  const check = button(texts.check, async () => {
    check.disabled = true;
    try {
      show(await askJson(`/api/rounds/${round}`, posted({ made: [...marked] })));
    } catch (error) {
      app.say(error.message);
    }
  }, { id: "check", class: "primary", disabled: true });
  const again = button(texts.begin, begin, { id: "begin" });

  async function begin() {
    result.replaceChildren();
    again.disabled = true;
    try {
      const answer = await ask("/api/rounds", posted({ model: app.about.id }));
      round = answer.headers.get("x-round");
      kind = answer.headers.get("x-kind");
      marked = new Set();
      task.textContent = kind === "photographs" ? texts.gamePhotographs : texts.gameSnapshots;
      grid.replaceChildren(...each(await facesOf(answer), FACES).map(place));
      check.disabled = false;
      say();
    } catch (error) {
      task.textContent = error.message;
    }
    again.disabled = false;
  }

  function say() {
    count.textContent = `${marked.size} ${texts.marked}`;
  }

  function place({ pixels }, at) {
    const note = element("span", { class: "score" });
    const face = element("button", {
      type: "button", class: "face", "aria-pressed": "false", "aria-label": `${texts.face} ${at + 1}`, onclick: () => {
        if (check.disabled) return;
        if (!marked.delete(at)) marked.add(at);
        face.classList.toggle("chosen", marked.has(at));
        face.setAttribute("aria-pressed", String(marked.has(at)));
        say();
      },
    }, draw(element("canvas"), pixels, side), note);
    face.note = note;
    return element("div", { class: "cell" }, face);
  }

  function show({ made, right, scores, D_right: ofD, history, faces }) {
    const words = kind === "photographs" ? [texts.wasReal, texts.wasMade] : [texts.wasLate, texts.wasEarly];
    [...grid.querySelectorAll(".face")].forEach((face, at) => {
      const correct = marked.has(at) === made[at];
      face.classList.add(correct ? "right" : "wrong");
      face.note.textContent = `${words[Number(made[at])]}, D ${scores[at].toFixed(2)}`;
    });
    const lines = [element("p", {}, `${texts.youRight} ${right} / ${faces} ${texts.faces}.`)];
    if (ofD !== null) lines.push(element("p", {}, `${texts.dRight} ${ofD} / ${faces} ${texts.faces}. ${texts.dHow}`));
    if (history.length > 1) lines.push(figure(texts.dHistory, { "": history.map((row) => [row.nimg, row.right]) }, { marks: true }));
    result.replaceChildren(...lines);
  }

  const view = element("section", { class: "view", "data-view": "game" }, task, element("p", { class: "hint" }, texts.rules),
    grid, element("div", { class: "bar" }, check, again, count), result);
  return { view, refresh: () => { if (!round) begin(); } };
}
