import { Stream, drawLatent } from "../../src/facegan/web/engine/random.js";

const stream = new Stream("123456789012345678", "labels/withheld"), far = 2 ** 52 + 1;
const uniform = Array.from(drawLatent(5, "latents", 3, 9, "uniform"));
console.log(JSON.stringify([Array.from(stream.words(far, 9)), Array.from(stream.normal(7, 2000)), uniform]));
