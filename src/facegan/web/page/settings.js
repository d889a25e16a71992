// What the user chose: it stands in the address, so that a bookmark keeps it.

export const COUNTS = [12, 24, 60, 120];
const LARGEST_SEED = 2n ** 63n - 1n, LARGEST_NUMBER = 2 ** 50;

export const DEFAULTS = {
  tab: "wall", seed: "0", first: 0, count: 24, truncation: 0.7, labels: "prior", attributes: {}, language: "", theme: "auto", model: "",
};

/** A seed as text, or null where it is none. */
export function checkedSeed(text) {
  const trimmed = String(text).trim();
  if (!/^\d{1,19}$/.test(trimmed) || BigInt(trimmed) > LARGEST_SEED) return null;
  return BigInt(trimmed).toString();
}

function number(text, least, most, whole = false) {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value)) ? value : null;
}

const READERS = {
  tab: (text) => (/^[a-z]+$/.test(text) ? text : null),
  seed: checkedSeed,
  first: (text) => number(text, 0, LARGEST_NUMBER, true),
  count: (text) => (COUNTS.includes(Number(text)) ? Number(text) : null),
  truncation: (text) => number(text, 0, 1),
  labels: (text) => (["prior", "none"].includes(text) ? text : null),
  language: (text) => (["en", "zh"].includes(text) ? text : null),
  theme: (text) => (["auto", "light", "dark"].includes(text) ? text : null),
  model: (text) => text.slice(0, 200),
};

/** The settings in an address, `location.hash`; what is not understood is left out. */
export function readSettings(hash, names) {
  const found = { ...DEFAULTS, attributes: {} };
  for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    const value = Object.hasOwn(READERS, key) ? READERS[key](text) : null;
    if (value !== null) found[key] = value;
    else if (names.includes(key) && ["-1", "1"].includes(text)) found.attributes[key] = Number(text);
  }
  return found;
}

/** The address of settings: only what differs from the defaults. */
export function writeSettings(settings) {
  const { attributes, ...plain } = settings;
  const differing = Object.entries(plain).filter(([key, value]) => key in READERS && value !== DEFAULTS[key]);
  const text = new URLSearchParams([...differing, ...Object.entries(attributes)]).toString();
  return text ? `#${text}` : "#";
}
