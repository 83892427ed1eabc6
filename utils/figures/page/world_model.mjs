// V's decoder, M, C and the dream of a run, as in models/ of the project that made this page.

import { addProduct, dense, relu, sigmoid, transposedConvolution } from "./tensors.mjs";

const KERNEL_SIZES = [5, 5, 6, 6]; // of the decoder
const LOGVAR_LIMIT = 20;
const END_WEIGHT = 10; // of the ends in M's loss: a logit of 0 is a probability of 1 in 11

/** V's decoder: z to a picture of 64 x 64 x 3 numbers in [0, 1]. */
export class Decoder {
  constructor(weights) {
    this.weights = weights;
    this.dense = new Float32Array(weights.decoder_dense_bias.length);
    this.layers = [];
    let size = 1;
    KERNEL_SIZES.forEach((kernelSize, index) => {
      const bias = weights[`decoder_conv_${index}_bias`];
      const outputSize = 2 * (size - 1) + kernelSize;
      const out = new Float32Array(outputSize * outputSize * bias.length);
      this.layers.push({ kernel: weights[`decoder_conv_${index}_kernel`], bias, kernelSize, size, out });
      size = outputSize;
    });
  }

  decode(z) {
    dense(z, this.weights.decoder_dense_kernel, this.weights.decoder_dense_bias, this.dense);
    let x = this.dense;
    this.layers.forEach(({ kernel, bias, kernelSize, size, out }, index) => {
      transposedConvolution(x, size, kernel, kernelSize, bias, out);
      if (index + 1 < this.layers.length) relu(out);
      x = out;
    });
    for (let i = 0; i < x.length; i++) x[i] = sigmoid(x[i]);
    return x;
  }
}

/** M: an LSTM and what it predicts. */
export class Memory {
  constructor(weights, zSize, numMixture) {
    this.weights = weights;
    this.zSize = zSize;
    this.numMixture = numMixture;
    this.gates = new Float32Array(weights.lstm_bias.length);
    this.outputs = new Float32Array(weights.mdn_bias.length);
  }

  get units() {
    return this.gates.length / 4;
  }

  /** Reads a step and changes h and c. Returns the prediction: the reward, or the logit of the end. mask: of h. */
  step(inputs, h, c, mask) {
    const { gates, outputs, units, weights } = this;
    dense(inputs, weights.lstm_kernel, weights.lstm_bias, gates);
    addProduct(h, weights.lstm_recurrent_kernel, gates);
    for (let i = 0; i < units; i++) {
      const remembered = sigmoid(gates[units + i]) * c[i];
      c[i] = remembered + sigmoid(gates[i]) * Math.tanh(gates[2 * units + i]);
      h[i] = sigmoid(gates[3 * units + i]) * Math.tanh(c[i]) * (mask ? mask[i] : 1);
    }
    dense(h, weights.mdn_kernel, weights.mdn_bias, outputs);
    return outputs[outputs.length - 1];
  }

  /** The mixture of one dimension of the next z, at a temperature: an array of {weight, mu, sigma}. */
  mixture(dimension, temperature) {
    const { numMixture, outputs, zSize } = this;
    const at = (part, m) => outputs[(part * zSize + dimension) * numMixture + m];
    const components = [];
    let largest = -Infinity;
    for (let m = 0; m < numMixture; m++) largest = Math.max(largest, at(0, m));
    let total = 0;
    for (let m = 0; m < numMixture; m++) {
      const weight = Math.exp((at(0, m) - largest) / temperature);
      const logvar = Math.min(Math.max(at(2, m), -LOGVAR_LIMIT), LOGVAR_LIMIT);
      components.push({ weight, mu: at(1, m), sigma: Math.exp(0.5 * logvar) * Math.sqrt(temperature) });
      total += weight;
    }
    for (const component of components) component.weight /= total;
    return components;
  }

  /** Draws the next z into z. uniform and normal: noise, (zSize,) each. */
  sample(temperature, uniform, normal, z) {
    for (let dimension = 0; dimension < this.zSize; dimension++) {
      const components = this.mixture(dimension, temperature);
      let chosen = 0;
      for (let below = components[0].weight; chosen < components.length - 1 && below <= uniform[dimension]; ) {
        below += components[++chosen].weight;
      }
      z[dimension] = components[chosen].mu + components[chosen].sigma * normal[dimension];
    }
  }
}

const ACTIVATIONS = {
  tanh: Math.tanh,
  half_tanh: (x) => 0.5 * (Math.tanh(x) + 1),
  positive_tanh: (x) => Math.max(Math.tanh(x), 0),
};

/** C: one dense layer, or two with tanh between them. inputs: the names of what it reads. activations: of each action. */
export class Controller {
  constructor(weights, inputs, activations) {
    this.kernel = weights.controller_kernel;
    this.bias = weights.controller_bias;
    this.hiddenKernel = weights.controller_hidden_kernel; // undefined without hidden units
    this.hiddenBias = weights.controller_hidden_bias;
    this.inputs = inputs;
    this.activations = activations.map((name) => ACTIVATIONS[name]);
    this.raw = new Float32Array(activations.length);
    this.read = new Float32Array(this.kernel.length / activations.length); // by the layer of the actions
    this.features = this.hiddenKernel ? new Float32Array(this.hiddenKernel.length / this.read.length) : this.read;
  }

  act(state) {
    let at = 0;
    for (const name of this.inputs) {
      this.features.set(state[name], at);
      at += state[name].length;
    }
    if (this.hiddenKernel) {
      dense(this.features, this.hiddenKernel, this.hiddenBias, this.read);
      this.read.forEach((value, index) => (this.read[index] = Math.tanh(value)));
    }
    dense(this.read, this.kernel, this.bias, this.raw);
    return Float32Array.from(this.raw, (value, index) => this.activations[index](value));
  }
}

/** One uniform number of a step's noise. */
const chance = (noise) => noise.uniform.reduce((sum, value) => sum + value, 0) % 1;

/** The dream: M in place of the environment. */
export class Dream {
  /**
   * predicts: "reward" or "done". end: when it ends if M predicts that, "threshold" or "drawn". rewards: what M reads as
   * the last reward, null or [idle, gain]. All as in models/dream.py.
   */
  constructor(memory, predicts, end = "threshold", rewards = null) {
    this.memory = memory;
    this.predicts = predicts;
    this.end = end;
    this.rewards = rewards;
    this.inputs = new Float32Array(memory.weights.lstm_kernel.length / (4 * memory.units));
  }

  /** mask: what h is multiplied by at each step of this dream, if it has dropout. */
  begin(z, mask = null) {
    const { units } = this.memory;
    this.z = Float32Array.from(z);
    this.h = new Float32Array(units);
    this.c = new Float32Array(units);
    this.mask = mask;
    this.rewardOrDone = 0;
    this.steps = 0;
    this.score = 0;
    this.over = false;
  }

  /** Takes an action. Returns the reward, or P(done). noise: {uniform, normal}, (zSize,) each. */
  step(action, temperature, noise) {
    const { inputs, memory, z } = this;
    inputs.set(z);
    inputs.set(action, z.length);
    inputs[inputs.length - 1] = this.rewardOrDone;
    const prediction = memory.step(inputs, this.h, this.c, this.mask);
    memory.sample(temperature, noise.uniform, noise.normal, z);
    this.steps += 1;
    if (this.predicts === "reward") {
      this.rewardOrDone = prediction;
      if (this.rewards) {
        const [idle, gain] = this.rewards;
        this.rewardOrDone = idle + gain * Math.max(Math.floor((prediction - idle) / gain + chance(noise)), 0);
      }
      this.score += prediction;
      return prediction;
    }
    const probability = sigmoid(prediction - Math.log(END_WEIGHT));
    this.over = prediction > 0;
    if (this.end === "drawn") this.over = chance(noise) < probability;
    this.rewardOrDone = this.over ? 1 : 0;
    this.score += 1;
    return probability;
  }
}

/** The arrays of a page: `arrays` names their shapes in the order of `numbers`. */
export function named(arrays, numbers) {
  const weights = {};
  let at = 0;
  for (const [name, shape] of Object.entries(arrays)) {
    const length = shape.reduce((product, side) => product * side, 1);
    weights[name] = numbers.subarray(at, at + length);
    at += length;
  }
  return weights;
}
