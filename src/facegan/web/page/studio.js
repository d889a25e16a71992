// The page in a studio: models of a server, and what only a server can do.

import { App } from "./app.js";
import { filmView } from "./film.js";
import { gameView } from "./game.js";
import { lessonView } from "./lesson.js";
import { liveView } from "./live.js";
import { photoView } from "./photo.js";
import { ServerEngine, ask, askJson } from "./server_engine.js";
import { readSettings } from "./settings.js";
import { textsOf } from "./texts.js";

const EVERY = 5000;

/** Take over newer snapshots of a run, as they are written. */
function follow(app) {
  setInterval(async () => {
    try {
      const about = await askJson(`/api/models/${app.about.id}`);
      if (about.sha256 === app.about.sha256) return;
      app.about = about;
      app.engine = new ServerEngine(about);
      app.say(app.texts.newer);
      if (app.settings.tab === "wall") app.part.refresh();
    } catch {
      // the studio has ended, or is busy: ask again later
    }
  }, EVERY);
}

async function begin() {
  const root = document.getElementById("app"), { language, model } = readSettings(location.hash, []);
  const words = textsOf(language || (navigator.language?.startsWith("zh") ? "zh" : "en"));
  root.textContent = words.loading;
  try {
    const { sources } = await askJson("/api/sources"), ready = sources.filter((each) => each.ready);
    const chosen = ready.find((each) => each.id === model) ?? ready[0];
    const about = await askJson(`/api/models/${chosen.id}`), engine = new ServerEngine(about);
    const directions = await (await ask(`/api/models/${chosen.id}/directions`)).arrayBuffer();
    const tabs = { live: liveView, game: gameView, lesson: lessonView, photo: photoView, film: filmView };
    const app = new App(root, engine, { tabs, models: sources });
    window.facegan = app; // for people who open the console
    await app.start(directions.byteLength ? directions : null);
    if (chosen.run) follow(app);
  } catch (error) {
    root.textContent = words.failed + error.message;
    throw error;
  }
}

begin();
