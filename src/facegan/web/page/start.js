// The page by itself: the model is in it.

import { App } from "./app.js";
import { PageEngine, decoded } from "./engine.js";
import { readSettings } from "./settings.js";
import { textsOf } from "./texts.js";

const text = (id) => document.getElementById(`data-${id}`)?.textContent.trim() ?? "";

async function start() {
  const root = document.getElementById("app"), about = JSON.parse(text("about"));
  const { language } = readSettings(location.hash, []), words = textsOf(language || (navigator.language?.startsWith("zh") ? "zh" : "en"));
  root.textContent = words.loading;
  const engine = new PageEngine({
    about, weights: text("weights"), prior: text("prior"), kernel: text("kernel"), plainKernel: text("plain-kernel"), code: text("engine"),
  });
  try {
    await engine.open();
    const directions = text("directions");
    const app = new App(root, engine);
    window.facegan = app; // for people who open the console
    await app.start(directions ? decoded(directions) : null);
    engine.grow().catch(() => {}); // those that are there do
  } catch (error) {
    root.textContent = words.failed + error.message;
    throw error;
  }
}

start();
