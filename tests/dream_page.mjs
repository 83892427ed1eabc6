// Dreams as a page does: `node tests/dream_page.mjs FOLDER` reads FOLDER/dream.json and FOLDER/weights.bin, in half
// precision, and prints what it dreamed as JSON.

import { readFileSync } from "node:fs";
import { fromHalf } from "../utils/figures/page/tensors.mjs";
import { Controller, Decoder, Dream, Memory, named } from "../utils/figures/page/world_model.mjs";

const folder = process.argv[2];
const given = JSON.parse(readFileSync(`${folder}/dream.json`, "utf8"));
const bytes = readFileSync(`${folder}/weights.bin`);
const weights = named(given.arrays, fromHalf(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)));
const decoder = new Decoder(weights);
const dream = new Dream(new Memory(weights, given.z.length, given.num_mixture), given.predicts, given.end, given.rewards);
const controller = new Controller(weights, given.inputs, given.activations);

dream.begin(given.z);
const steps = [];
for (let t = 0; t < given.uniform.length; t++) {
  const action = controller.act(dream);
  const told = dream.step(action, given.temperature, { uniform: given.uniform[t], normal: given.normal[t] });
  const picture = decoder.decode(dream.z);
  const { z, h, c } = dream;
  steps.push({ action: [...action], z: [...z], h: [...h], c: [...c], told, picture: [...picture] });
}
console.log(JSON.stringify({ steps }));
