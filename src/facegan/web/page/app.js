// The page: which part is shown, in which language, and what the parts share.

import { controls, anotherSeed } from "./controls.js";
import { button, download, element, pngOf } from "./dom.js";
import { numberedFaces } from "./face.js";
import { faceWindow, readDirections } from "./face_view.js";
import { mixView } from "./mix.js";
import { morphView } from "./morph.js";
import { knownFacts, pictureTexts, withTexts } from "./png.js";
import { readSettings, writeSettings } from "./settings.js";
import { Shelf } from "./shelf.js";
import { LANGUAGES, textsOf } from "./texts.js";
import { wall } from "./wall.js";

const SHORTEST_NOTE = 4000;
/** Parts that show photographs too. */
const MIXED_TABS = ["live", "game", "lesson", "photo"];

export class App {
  /** `tabs`: more parts of the page, {name: (app) => {view, refresh, keys}}; `models`: others to choose from. */
  constructor(root, engine, { tabs = {}, models = [] } = {}) {
    this.root = root;
    this.engine = engine;
    this.about = engine.about;
    this.models = models;
    this.settings = readSettings(location.hash, this.askable);
    this.tabs = { wall, morph: morphView, mix: mixView, ...tabs };
    this.pairs = { morph: { share: 0.5 }, mix: {} };
    this.openGroups = new Set();
    this.open = (face) => this.window.show(face);
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("popstate", () => this.readAddress());
  }

  /** Attributes that the model can be asked for. */
  get askable() {
    return this.about.recipe.attributes ? this.about.attributes : [];
  }

  get language() {
    return this.settings.language || (navigator.language?.startsWith("zh") ? "zh" : "en");
  }

  get texts() {
    return textsOf(this.language);
  }

  /** Take over settings. `rebuilt`: build the page anew, where its words or choices change. */
  change(settings, rebuilt = false) {
    Object.assign(this.settings, settings);
    const address = writeSettings(this.settings);
    if ("tab" in settings && address !== (location.hash || "#")) history.pushState(null, "", address); // so that Back goes to the part before
    else history.replaceState(null, "", address);
    if (rebuilt) this.build();
    else this.part.refresh();
  }

  readAddress() {
    if (writeSettings(this.settings) === (location.hash || "#")) return;
    const { model } = this.settings;
    this.settings = readSettings(location.hash, this.askable);
    if (this.settings.model !== model) location.reload(); // another engine
    else this.build();
  }

  build() {
    const { texts, settings } = this, kept = this.shelf?.faces ?? [];
    document.documentElement.lang = this.language;
    document.documentElement.dataset.theme = settings.theme;
    if (!Object.hasOwn(this.tabs, settings.tab)) settings.tab = "wall";
    this.shelf = new Shelf(this);
    this.shelf.faces = kept;
    this.shelf.show();
    this.window = faceWindow(this);
    this.note = element("p", { class: "note", role: "status", hidden: true });
    this.commandWindow = this.buildCommandWindow();
    this.part = this.tabs[settings.tab](this);
    const main = element("main", {}, settings.tab === "wall" ? controls(this) : null, this.part.view);
    main.classList.toggle("with-panel", settings.tab === "wall");
    this.root.replaceChildren(this.header(), main, this.shelf.element, this.footer(texts), this.window.dialog, this.commandWindow, this.note);
    this.part.refresh();
  }

  header() {
    const { texts, settings } = this;
    const tabs = Object.keys(this.tabs).map((name) => button(texts[name], () => this.change({ tab: name }, true), {
      "aria-current": name === settings.tab ? "page" : null, "data-tab": name,
    }));
    const choose = (id, label, options, chosen, take) => element("select", { id, "aria-label": label, title: label, onchange: (event) => take(event.target.value) },
      Object.entries(options).map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
    const themes = { auto: `◐ ${texts.auto}`, light: `☀ ${texts.light}`, dark: `☾ ${texts.dark}` };
    return element("header", {}, element("h1", {}, "facegan"), this.modelChoice(), element("nav", {}, tabs),
      element("div", { class: "looks" },
        choose("language", texts.language, LANGUAGES, this.language, (language) => this.change({ language }, true)),
        choose("theme", texts.theme, themes, settings.theme, (theme) => this.change({ theme }, true))));
  }

  modelChoice() {
    const { texts, about } = this, seen = `${about.nimg.toLocaleString("en")} ${texts.about}`;
    if (this.models.length < 2) return element("span", { class: "model", title: seen }, about.title);
    const ready = this.models.filter((each) => each.ready);
    return element("select", {
      id: "model", class: "model", "aria-label": texts.model, title: seen, onchange: (event) => {
        this.change({ model: event.target.value });
        location.reload();
      },
    }, ready.map(({ id, title }) => element("option", { value: id, selected: id === about.id }, title)));
  }

  footer(texts) {
    const said = MIXED_TABS.includes(this.settings.tab) ? texts.madeBeside : texts.made;
    return element("p", { class: "made" }, said, " ", element("span", { class: "hint" }, texts.keysHelp));
  }

  buildCommandWindow() {
    const { texts } = this, text = element("pre", { class: "command" });
    const copy = button(texts.command, async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        this.say(texts.copied);
      } catch {
        this.say(texts.notCopied);
      }
    }, { id: "copy" });
    const dialog = element("dialog", { class: "window", id: "commands" }, element("h2", {}, texts.commandTitle), text, copy,
      button("×", () => dialog.close(), { class: "close", title: texts.close, "aria-label": texts.close }));
    dialog.text = text;
    return dialog;
  }

  showCommand(command) {
    this.commandWindow.text.textContent = command;
    this.commandWindow.showModal();
  }

  /** Say something, or a word of the texts, for some seconds; `lasting`: until something else is said. */
  say(text, lasting = false) {
    const said = this.texts[text] ?? text;
    this.note.textContent = said;
    this.note.hidden = false;
    clearTimeout(this.noteTimer);
    if (!lasting) this.noteTimer = setTimeout(() => { this.note.hidden = true; }, SHORTEST_NOTE + 40 * said.length);
  }

  /** What a face is called. */
  nameOf({ origin, opened }) {
    const { texts } = this;
    const name = origin.seed === null ? opened ?? texts.changedFace : `${texts.face} ${origin.number} ${texts.ofSeed} ${origin.seed}`;
    return origin.edited && origin.seed !== null ? `${name}, ${texts.changedFace}` : name;
  }

  /** Buttons that put a face into other parts of the page. */
  uses(face, done) {
    const { texts } = this;
    const places = [["morph", "a", texts.first], ["morph", "b", texts.second]];
    if (this.engine.styleLayers) places.push(["mix", "a", texts.coarse], ["mix", "b", texts.fine]);
    return [element("span", { class: "hint" }, `${texts.useAs}:`), ...places.map(([tab, place, text]) => button(`${texts[tab]}: ${text}`, () => {
      this.pairs[tab][place] = face();
      done();
      this.change({ tab }, true);
    }, { "data-use": `${tab}-${place}` }))];
  }

  /** Two faces for a part that needs two: those chosen, those kept, or the first ones of the wall. */
  async somePair(chosen) {
    const kept = this.shelf.faces.filter((face) => face !== chosen.a && face !== chosen.b);
    const wanted = ["a", "b"].filter((place) => !chosen[place]);
    const missing = Math.max(0, wanted.length - kept.length);
    const { first, seed } = this.settings, taken = [chosen.a, chosen.b].filter((face) => face?.origin.seed === seed);
    const numbers = Array.from({ length: missing + taken.length }, (_, place) => first + place)
      .filter((number) => !taken.some(({ origin }) => origin.number === number)).slice(0, missing);
    const more = numbers.length ? await numberedFaces(this.engine, numbers, this.settings) : [];
    const found = [...kept, ...more];
    return ["a", "b"].map((place) => chosen[place] ?? found[wanted.indexOf(place)]);
  }

  /** Save a canvas as a PNG that says what made it. */
  async savePng(canvas, name, origin, asked, drawn, isSheet) {
    const facts = [...knownFacts(origin, asked, drawn), ...(origin.edited ? [`changed: ${origin.edited}`] : [])];
    const png = withTexts(await pngOf(canvas), pictureTexts(this.about.provenance, facts, isSheet));
    download(name, png, "image/png");
    this.say(this.texts.saved + name);
  }

  key(event) {
    if (event.target.matches?.("input[type=text], select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.matches?.("input[type=range]") && /^(Page|Arrow|Home|End)/.test(event.key)) return;
    if ((event.key === "n" || event.key === "N") && this.settings.tab === "wall") {
      this.change({ seed: anotherSeed(), first: 0 }, true);
      return;
    }
    this.part.keys?.(event);
  }

  async start(directions) {
    this.directions = directions ? readDirections(directions) : null;
    this.build();
    history.replaceState(null, "", writeSettings(this.settings)); // what an address said and is none is not kept in it
    await this.shelf.restore();
  }
}
