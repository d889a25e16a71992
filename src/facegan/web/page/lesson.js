// One step of training, slowly: press a button, look at D's scores.

import { figure } from "./charts.js";
import { button, element } from "./dom.js";
import { scoredRow } from "./live.js";
import { ask, askJson, each, facesOf, posted } from "./server_engine.js";

const NEW = "/api/lessons", STORED = "facegan/lesson";

export function lessonView(app) {
  const { texts } = app, kept = app.lesson ??= { id: sessionStorage.getItem(STORED) };
  const rows = element("div", { id: "rows" }), why = element("p", { class: "why", id: "why", role: "status" }), curve = element("div", { class: "curves", id: "lesson-curve" });
  const measured = element("table", { id: "measured" });
  const reasons = { "": texts.whyBegin, D: texts.whyD, G: texts.whyG, "G-not-frozen": texts.whyBoth, both: texts.whyUsual };

  /** What the last button did to D's scores: of real images, of the same made images, of the new ones. */
  function rowsOf(before, now) {
    const row = (...cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell)));
    const score = (value) => value.toFixed(2);
    return [
      row("", texts.scoreBefore, texts.scoreAfter), row(texts.lessonReal, score(before.real), score(now.real)),
      row(texts.sameImages, score(before.made), score(now.same_images)), row(texts.newImages, "", score(now.made)),
      row(texts.imageChange, "", `${now.change.toFixed(1)} / 255`),
    ];
  }

  async function show(answer) {
    kept.id = answer.headers.get("x-lesson");
    sessionStorage.setItem(STORED, kept.id);
    const source = answer.headers.get("x-real"), real = source === "data" ? texts.lessonData : `${texts.lessonStandIn} ${source}`;
    const found = await facesOf(answer), faces = each(found, found.scores.length), half = faces.length / 2;
    const side = Math.sqrt(faces[0].pixels.length / 4);
    rows.replaceChildren(scoredRow(real, faces.slice(0, half), side), scoredRow(texts.lessonMade, faces.slice(half), side));
    const { history } = await askJson(`/api/lessons/${kept.id}/history`), [before, now] = [history.at(-2), history.at(-1)];
    why.textContent = reasons[now.action];
    measured.replaceChildren(...(before ? rowsOf(before, now) : []));
    const line = (name) => history.map((row) => [row.steps, row[name]]);
    curve.replaceChildren(figure(texts.lessonChart, { [texts.realLine]: line("real"), [texts.madeLine]: line("made") }, { marks: true, range: [0, 1] }));
    rows.dataset.steps = answer.headers.get("x-steps");
  }

  async function act(path, options) {
    buttons.forEach((each) => { each.disabled = true; });
    try {
      await show(await ask(path, options));
    } catch (error) {
      if (error.message.includes("lesson is over") && path !== NEW) {
        app.say(texts.lessonOver);
        await begin();
      } else app.say(error.message, true);
    }
    buttons.forEach((each) => { each.disabled = false; });
  }

  const begin = () => act(NEW, posted({ model: app.about.id }));
  const resume = () => act(`${NEW}/${kept.id}`, {});
  const action = (text, name) => button(text, () => act(`${NEW}/${kept.id}`, posted({ action: name })), { "data-action": name });
  const buttons = [action(texts.trainD, "D"), action(texts.trainG, "G"), action(texts.trainBoth, "G-not-frozen"), action(texts.trainUsual, "both"), button(texts.again, begin, { id: "again" })];
  const view = element("section", { class: "view", "data-view": "lesson" }, element("p", {}, texts.lessonHelp),
    element("div", { class: "bar" }, buttons, element("span", { class: "hint" }, texts.fiveSteps)), why, measured, rows, curve);
  return { view, refresh: () => (kept.id ? resume() : begin()) };
}
