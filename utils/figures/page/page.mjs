// The page: a dream that C or a person acts in, and V's decoder under sliders.

import { fromHalf } from "./tensors.mjs";
import { Controller, Decoder, Dream, Memory, named } from "./world_model.mjs";

const SIZE = 64;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

const element = (id) => document.getElementById(id);
const header = JSON.parse(element("header").textContent);
const bytes = Uint8Array.from(atob(element("weights").textContent.trim()), (letter) => letter.charCodeAt(0));
element("weights").remove(); // 16 MB of text
const weights = named(header.arrays, fromHalf(new Uint16Array(bytes.buffer)));
const { zSize, actionNames, lowestAction } = header;

const decoder = new Decoder(weights);
const memory = new Memory(weights, zSize, header.numMixture);
const controller = new Controller(weights, header.inputs, header.activations);
const dream = new Dream(memory, header.predicts, header.end, header.rewards);

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

function array(length, draw) {
  return Float32Array.from({ length }, draw);
}

/** z of a recorded first frame. */
function startingZ() {
  const first = Math.floor((Math.random() * weights.starts_mu.length) / zSize) * zSize;
  return array(zSize, (_, i) => {
    const sigma = Math.exp(0.5 * weights.starts_logvar[first + i]);
    return weights.starts_mu[first + i] + sigma * normal();
  });
}

// ---- Drawing

const image = new ImageData(SIZE, SIZE);

function draw(canvas, z) {
  const numbers = decoder.decode(z);
  for (let i = 0, j = 0; i < numbers.length; i += 3, j += 4) {
    for (let color = 0; color < 3; color++) image.data[j + color] = 255 * numbers[i + color] + 0.5;
    image.data[j + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const bars = [...actionNames, header.predicts === "reward" ? "reward" : "P(done)"].map((name, index) => {
  const row = element("bars").insertRow();
  row.insertCell().textContent = name;
  const bar = document.createElement("i");
  const frame = document.createElement("div");
  frame.className = "bar";
  frame.append(bar);
  row.insertCell().append(frame);
  const value = row.insertCell();
  const isAction = index < actionNames.length;
  const lowest = isAction ? lowestAction[index] : header.predicts === "reward" ? -1 : 0;
  const highest = isAction || header.predicts !== "reward" ? 1 : 4;
  return (number) => {
    const place = (x) => (100 * (Math.min(Math.max(x, lowest), highest) - lowest)) / (highest - lowest);
    const [left, right] = [place(0), place(number)].sort((a, b) => a - b);
    bar.style.left = `${left}%`;
    bar.style.width = `${right - left}%`;
    frame.dataset.beyond = number > highest ? "right" : number < lowest ? "left" : "";
    value.textContent = number.toFixed(2);
  };
});

function drawMixture() {
  const dimension = Math.min(Math.max(Math.trunc(Number(element("dimension").value)), 0), zSize - 1);
  const canvas = element("mixture");
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const components = memory.mixture(dimension, temperature());
  const density = Array.from({ length: width }, (_, x) => {
    const z = (8 * x) / width - 4;
    const at = ({ weight, mu, sigma }) => (weight / sigma) * Math.exp(-0.5 * ((z - mu) / sigma) ** 2);
    return components.reduce((sum, component) => sum + at(component), 0);
  });
  const highest = Math.max(...density, 0.5);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = "#009e73";
  density.forEach((value, x) => pen.fillRect(x, height * (1 - (0.95 * value) / highest), 1, height));
  pen.fillStyle = "#d55e00";
  pen.fillRect(((dream.z[dimension] + 4) * width) / 8 - 1, 0, 2, height);
  for (let z = -4; z <= 4; z += 2) pen.fillText(z, ((z + 4) * width) / 8 + 2, height - 2);
}

// ---- The dream

const held = new Set(); // of left, right, up, down
let byHand = false;
let paused = false;
let told = 0;
let action = new Float32Array(actionNames.length);

const temperature = () => Number(element("temperature").value);

function restart() {
  const rate = header.dropout;
  const mask = rate ? array(memory.units, () => (Math.random() < rate ? 0 : 1 / (1 - rate))) : null;
  dream.begin(startingZ(), mask);
  memory.outputs.fill(0);
  told = 0;
  show();
}

function personsAction() {
  return array(actionNames.length, (_, i) => {
    const sum = [...held].reduce((total, key) => total + header.keyboard[key][i], 0);
    return Math.min(Math.max(sum, lowestAction[i]), 1);
  });
}

function step() {
  if (dream.over || dream.steps >= header.maxSteps) return;
  action = byHand ? personsAction() : controller.act(dream);
  const noise = { uniform: array(zSize, Math.random), normal: array(zSize, normal) };
  told = dream.step(action, temperature(), noise);
}

function show() {
  draw(element("picture"), dream.z);
  [...action, told].forEach((number, index) => bars[index](number));
  drawMixture();
  const ended = dream.over ? ", it has ended" : dream.steps >= header.maxSteps ? ", as long as an episode" : "";
  const who = byHand ? "you act" : "C acts";
  element("status").textContent = `step ${dream.steps}${ended}; score ${dream.score.toFixed(0)}; ${who}`;
  Object.assign(document.body.dataset, { steps: dream.steps, hands: byHand ? "person" : "controller" });
}

let due = 0; // when the next step is due, in milliseconds

/** At most one step a picture; on a slow machine the dream is slow, and not jerky. Never called while hidden. */
function loop(now) {
  requestAnimationFrame(loop);
  if (paused || now < due - 2) return;
  due = Math.max(due + 1000 / header.stepsPerSecond, now);
  step();
  show();
}

function setPaused(value) {
  paused = value;
  element("pause").textContent = paused ? "Go on (space)" : "Pause (space)";
}

function setByHand(value) {
  byHand = value;
  element("hands").textContent = byHand ? "Let C act (m)" : "Take over (m)";
  element("picture").focus({ preventScroll: true });
}

const commands = {
  hands: () => setByHand(!byHand),
  restart,
  pause: () => setPaused(!paused),
  single: () => {
    setPaused(true);
    step();
    show();
  },
};
const commandKeys = { m: "hands", r: "restart", " ": "pause", ".": "single" };

for (const [name, command] of Object.entries(commands)) element(name).addEventListener("click", command);
addEventListener("keydown", (event) => {
  if (event.target.matches("input, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (KEYS[event.key]) {
    held.add(KEYS[event.key]);
    if (!byHand) setByHand(true);
  } else if (commandKeys[event.key] && !event.repeat) {
    commands[commandKeys[event.key]]();
  } else return;
  event.preventDefault(); // no scrolling, and no click on a focused button
});
addEventListener("keyup", (event) => held.delete(KEYS[event.key]));
addEventListener("blur", () => held.clear());
for (const button of document.querySelectorAll("#touch button")) {
  const key = button.dataset.key;
  button.hidden = !header.keyboard[key].some((part) => part !== 0);
  button.addEventListener("pointerdown", () => {
    held.add(key);
    if (!byHand) setByHand(true);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(end, () => held.delete(key));
}

// ---- V under sliders

const chosenZ = new Float32Array(zSize);
const sliders = [];
header.telling.forEach((dimension, place) => {
  const line = document.createElement("label");
  line.className = "slider";
  line.innerHTML = `<span>z${dimension}</span><input type="range" min="-3" max="3" step="0.05"><output></output>`;
  const [, input, output] = line.children;
  input.addEventListener("input", () => {
    chosenZ[dimension] = input.value;
    output.textContent = chosenZ[dimension].toFixed(2);
    draw(element("decoded"), chosenZ);
  });
  sliders.push({ dimension, input, output });
  element(place < header.numTelling ? "sliders" : "more-sliders").append(line);
});

function choose(z) {
  chosenZ.set(z);
  for (const { dimension, input, output } of sliders) {
    input.value = z[dimension];
    output.textContent = z[dimension].toFixed(2);
  }
  draw(element("decoded"), chosenZ);
}

function frameZ() {
  const first = Math.floor((Math.random() * weights.frames_mu.length) / zSize) * zSize;
  return weights.frames_mu.subarray(first, first + zSize);
}

element("random-z").addEventListener("click", () => choose(array(zSize, normal)));
element("frame-z").addEventListener("click", () => choose(frameZ()));
element("dream-z").addEventListener("click", () => choose(dream.z));

// ---- Begin

element("title").textContent = header.title;
element("temperature").value = header.temperature;
element("dimension").max = zSize - 1;
element("dimension").value = header.telling[0];
const showTemperature = () => (element("temperature-value").textContent = temperature().toFixed(2));
element("temperature").addEventListener("input", showTemperature);
for (const name of ["temperature", "dimension"]) element(name).addEventListener("input", drawMixture); // even if paused
// After a mouse or a finger the arrow keys drive again; who came with the keyboard stays on the slider.
element("temperature").addEventListener("pointerup", () => element("picture").focus({ preventScroll: true }));
showTemperature();
choose(frameZ());
restart();
requestAnimationFrame(loop);
window.world = { controller, decoder, dream, memory }; // for the browser's console
