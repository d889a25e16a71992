// The settings beside the wall: seed, truncation, label prior, attributes.

import { GROUPS, attributeName } from "./attributes.js";
import { button, element, slider } from "./dom.js";
import { COUNTS, checkedSeed } from "./settings.js";

/** A random seed that is easy to say. */
export function anotherSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
}

function seedField(app) {
  const { texts, settings } = app;
  const problem = element("p", { class: "problem", role: "alert", hidden: true }, texts.badSeed);
  const input = element("input", {
    id: "seed", type: "text", inputMode: "numeric", value: settings.seed, title: texts.seedHelp, size: 12, autocomplete: "off",
    oninput: () => {
      const seed = checkedSeed(input.value);
      problem.hidden = seed !== null;
      if (seed !== null && seed !== settings.seed) app.change({ seed, first: 0 });
    },
  });
  const dice = button("⚄", () => {
    input.value = anotherSeed();
    problem.hidden = true;
    app.change({ seed: input.value, first: 0 });
  }, { title: `${texts.another} (N)`, "aria-label": texts.another, id: "another" });
  return element("div", { class: "field" }, element("label", { htmlFor: "seed" }, texts.seed), input, dice, problem);
}

function countField(app) {
  const { texts, settings } = app;
  const choices = COUNTS.map((count) => element("option", { value: count, selected: count === settings.count }, String(count)));
  const select = element("select", { id: "count", onchange: () => app.change({ count: Number(select.value) }) }, choices);
  return element("div", { class: "field" }, element("label", { htmlFor: "count" }, texts.count), select);
}

/** Three buttons: no, any, yes. */
function choice(app, name) {
  const { texts, settings, language } = app, chosen = settings.attributes[name] ?? 0, label = attributeName(name, language);
  const choices = [[-1, texts.no], [0, texts.any], [1, texts.yes]].map(([value, text]) =>
    element("label", {}, element("input", {
      type: "radio", name, value, checked: value === chosen,
      onchange: () => {
        const attributes = { ...settings.attributes };
        if (value) attributes[name] = value;
        else delete attributes[name];
        app.change({ attributes });
      },
    }), element("span", {}, text)));
  return element("fieldset", { class: "choice", "data-attribute": name }, element("legend", {}, label), choices);
}

function attributeGroups(app) {
  const { texts, settings } = app;
  if (!app.about.recipe.attributes) return [element("p", { class: "hint" }, texts.noAttributes)];
  const groups = Object.entries(GROUPS).map(([group, names], place) => {
    const asked = names.filter((name) => name in settings.attributes).length;
    const title = asked ? `${texts[group]} (${asked})` : texts[group];
    const open = asked > 0 || group === "expression" || app.openGroups.has(group);
    return element("details", { open, "data-group": group, ontoggle: (event) => {
      if (event.target.open) app.openGroups.add(group);
      else app.openGroups.delete(group);
    } }, element("summary", {}, title), names.map((name) => choice(app, name)));
  });
  const clear = button(texts.clear, () => app.change({ attributes: {} }, true), { id: "clear" });
  return [...groups, clear];
}

function priorField(app) {
  const { texts, settings } = app;
  if (!app.about.prior) return null;
  const box = element("input", {
    type: "checkbox", id: "prior", checked: settings.labels === "prior",
    onchange: () => app.change({ labels: box.checked ? "prior" : "none" }),
  });
  return element("label", { class: "check", title: texts.priorHelp }, box, texts.prior);
}

/** The panel with everything that decides which faces the wall shows. */
export function controls(app) {
  const { texts, settings } = app;
  const truncation = slider({
    label: texts.truncation, value: settings.truncation, min: 0, max: 1, step: 0.05, name: "truncation", title: texts.truncationHelp,
    onmove: (value) => app.change({ truncation: value }),
  });
  const panel = element("details", { class: "panel", open: window.innerWidth > 760 },
    element("summary", {}, texts.settings), seedField(app), countField(app), truncation,
    element("p", { class: "hint" }, texts.truncationHelp), priorField(app),
    element("h2", {}, texts.attributes), attributeGroups(app));
  return panel;
}
