// A run while it is written: the same faces through time, what D says, curves, incidents, scores.

import { figure, short } from "./charts.js";
import { button, draw, element, newest, slider } from "./dom.js";
import { ask, askJson, each, facesOf } from "./server_engine.js";

const EVERY = 3000;

/** Pictures in a row, each with D's score. */
export function scoredRow(title, faces, side) {
  return element("div", { class: "scored" }, element("h3", {}, title), element("div", { class: "row" }, faces.map(({ pixels, score }) =>
    element("figure", { class: "small" }, draw(element("canvas"), pixels, side),
      element("figcaption", { class: "hint" }, score === undefined ? "" : score.toFixed(2))))));
}

const table = (rows) => element("table", {}, rows.map((row) => element("tr", {}, row.map((cell) => element("td", {}, cell)))));

export function liveView(app) {
  const { texts } = app, runs = app.models.filter(({ run }) => run);
  const view = element("section", { class: "view", "data-view": "live" });
  if (!runs.length) {
    view.append(element("p", {}, texts.noRun));
    return { view, refresh: () => {} };
  }
  const chosen = app.watched ?? runs[0].id;
  let known = null, following = true, shownSnapshot = null;
  const state = element("p", { class: "state", id: "state" }), picture = element("img", { class: "sheet", id: "grid-picture", alt: texts.through });
  const place = element("div"), says = element("div", { id: "says" }), curves = element("div", { class: "curves", id: "curves" });
  const incidents = element("div", { id: "incidents" }), scores = element("div", { id: "scores" });
  const name = element("p", { class: "hint", id: "grid-name" });
  const choose = element("select", { id: "run", "aria-label": texts.run, onchange: () => {
    app.watched = choose.value;
    app.build();
  } }, runs.map(({ id, title }) => element("option", { value: id, selected: id === chosen }, title)));
  const follow = element("input", { type: "checkbox", id: "follow", checked: true, onchange: () => {
    following = follow.checked;
    if (following && known) showGrid(known.grids.length - 1);
  } });

  function showGrid(at) {
    picture.src = `/api/runs/${chosen}/grids/${at}`;
    name.textContent = gridName(known.grids[at]);
    picture.dataset.shown = String(at);
  }

  /** epoch3-120 in words. */
  function gridName(stem) {
    const [epoch, step] = stem.replace("epoch", "").split("-");
    return `${texts.epoch} ${epoch}, ${texts.step} ${step}`;
  }

  function gridSlider(last) {
    const show = (at) => `${Math.min(at, last) + 1} / ${last + 1}`;
    place.replaceChildren(slider({ label: texts.through, name: "time", value: last, min: 0, max: Math.max(1, last), step: 1, show, onmove: (at) => {
      following = follow.checked = false;
      showGrid(Math.min(at, last));
    } }));
  }

  const showSnapshot = newest(async (nimg) => {
    const side = known.resolution, path = `/api/models/${chosen}@${nimg}`;
    const photographs = ask(`${path}/photographs`).catch((error) => error);
    const made = await ask(`${path}/fixed`), real = await photographs;
    const all = (found) => each(found, found.scores.length);
    const rows = [scoredRow(texts.madeFaces, all(await facesOf(made)), side)];
    if (real instanceof Error) rows.push(element("p", { class: "hint" }, real.message));
    else if (real.headers.get("content-type").includes("json")) rows.push(element("p", { class: "hint" }, texts.noPhotographs));
    else rows.unshift(scoredRow(texts.realFaces, all(await facesOf(real)), side));
    shownSnapshot = nimg;
    if (says.dataset.snapshots !== known.snapshots.join()) { // else the slider that is there keeps the focus
      says.replaceChildren(snapshotSlider(nimg));
      says.dataset.snapshots = known.snapshots.join();
    }
    while (says.children.length > 1) says.lastChild.remove();
    says.append(...rows);
    says.dataset.nimg = String(nimg);
  });

  function snapshotSlider(nimg) {
    const { snapshots } = known, at = Math.max(0, snapshots.indexOf(nimg));
    const show = (to) => short(snapshots[Math.min(to, snapshots.length - 1)]);
    return slider({ label: texts.snapshot, name: "snapshot", value: at, show, min: 0, max: Math.max(1, snapshots.length - 1), step: 1, onmove: (to) => {
      showSnapshot(known.snapshots[Math.min(to, known.snapshots.length - 1)]).catch(() => {});
    } });
  }

  function showCurves({ curves: found }) {
    const drawings = [
      [texts.losses, { [texts.discriminatorLine]: found.D_loss, [texts.generatorLine]: found.G_loss }],
      [texts.accuracy, { [texts.realLine]: found.D_accuracy_real, [texts.madeLine]: found.D_accuracy_fake }],
      [texts.quick, { "": found.quick_score }, { logarithmic: true, marks: true }],
      [texts.variety, { "": found.variety }], [texts.speed, { "": found.images_per_s }],
    ].filter(([, lines]) => Object.values(lines).some((line) => line.length > 1));
    curves.replaceChildren(...drawings.map(([title, lines, options]) => figure(title, lines, options)));
  }

  function showTables({ incidents: found, scores: measured }) {
    incidents.replaceChildren(found.length ? table(found.map((each) => [short(each.nimg), each.kind, each.message, each.action])) : texts.noIncidents);
    const kept = measured.filter((each) => each.name === "frechet").slice(-20);
    scores.replaceChildren(kept.length ? table(kept.map((each) => [short(each.nimg), each.space, `${short(each.value)} (${short(each.low)} – ${short(each.high)})`])) : texts.noScores);
  }

  const look = newest(async () => {
    const now = await askJson(`/api/runs/${chosen}`), before = known;
    known = now;
    const speed = now.images_per_s ? ` · ${short(now.images_per_s)} ${texts.aSecond}` : "";
    const target = now.target > now.nimg ? ` ${texts.of} ${now.target.toLocaleString("en")}` : "";
    state.textContent = `${now.recipe} · ${now.nimg.toLocaleString("en")}${target} ${texts.imagesSeen}${speed} · ${now.training ? texts.training : texts.notTraining} · ${texts.health}: ${now.health === "well" ? texts.well : now.health}`;
    state.classList.remove("problem");
    if (before?.grids.length !== now.grids.length && now.grids.length) {
      gridSlider(now.grids.length - 1);
      if (following) showGrid(now.grids.length - 1);
    }
    if (!now.grids.length) name.textContent = texts.noGrid;
    const latest = now.snapshots.at(-1);
    if (latest === undefined) says.textContent = texts.noSnapshot;
    else if (shownSnapshot === null || (before && shownSnapshot === before.snapshots.at(-1) && latest !== shownSnapshot)) {
      await showSnapshot(latest);
    }
    showCurves(now);
    showTables(now);
  });

  const refresh = async () => {
    if (!view.isConnected) return;
    try {
      await look();
    } catch (error) {
      state.textContent = texts[error.message] ?? error.message;
      state.classList.add("problem");
    }
    setTimeout(refresh, EVERY);
  };
  const part = (title, help, ...content) => element("section", { class: "part" }, element("h2", {}, title), help ? element("p", { class: "hint" }, help) : null, content);
  view.append(element("div", { class: "bar" }, choose, state),
    part(texts.through, texts.throughHelp, picture, name, place, element("label", { class: "check" }, follow, texts.follow)),
    part(texts.says, texts.saysHelp, says), part(texts.curves, "", curves), part(texts.incidents, "", incidents), part(texts.scores, "", scores));
  return { view, refresh };
}
