// Elements, canvases and files.

/** Make an element. Properties that begin with "on" are listeners, "class" and "data-..." are attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list" && name !== "form") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(text, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, text);
}

/** Draw pixels, Uint8ClampedArray [side * side * 4], on a canvas of that side. */
export function draw(canvas, pixels, side) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), side, side), 0, 0);
  canvas.dataset.drawn = "yes";
  return canvas;
}

/** A canvas of many faces in rows, on white. */
export function sheetOf(faces, side, columns, gap = 2) {
  const pitch = side + gap, sheet = document.createElement("canvas"), context = sheet.getContext("2d");
  sheet.width = gap + columns * pitch;
  sheet.height = gap + Math.ceil(faces.length / columns) * pitch;
  context.fillStyle = "white";
  context.fillRect(0, 0, sheet.width, sheet.height);
  faces.forEach(({ pixels }, place) => {
    const image = new ImageData(new Uint8ClampedArray(pixels), side, side);
    context.putImageData(image, gap + (place % columns) * pitch, gap + Math.floor(place / columns) * pitch);
  });
  return sheet;
}

/** A canvas as a PNG, Uint8Array. */
export async function pngOf(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new Uint8Array(await blob.arrayBuffer());
}

/** Hand a file to the user. */
export function download(name, content, type = "application/octet-stream") {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A slider with its value beside it, as `show(value)` says it; `onmove(value)` while it moves. */
export function slider({ label, value, min, max, step, onmove, name, title, show = format }) {
  const shown = element("output", {}, show(value));
  const input = element("input", {
    type: "range", min, max, step, value, name, title, "aria-label": label,
    oninput: () => {
      shown.textContent = show(Number(input.value));
      onmove(Number(input.value));
    },
  });
  const made = element("label", { class: "slider" }, element("span", {}, label), input, shown);
  made.setValue = (next) => {
    input.value = next;
    shown.textContent = show(Number(next));
  };
  return made;
}

const format = (value) => String(Number(value.toFixed(2)));

/** Call `work` for the newest value only: while one is under way, others replace each other. */
export function newest(work) {
  let busy = false, waiting = null;
  return async function run(...values) {
    if (busy) {
      waiting = values;
      return;
    }
    busy = true;
    try {
      await work(...values);
    } catch (error) {
      if (error.name !== "Dropped") throw error;
    } finally {
      busy = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        run(...next);
      }
    }
  };
}
