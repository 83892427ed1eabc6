// Arithmetic on flat Float32Arrays, as much as V, M and C need. Matrices are stored row by row.

/** IEEE half-precision numbers, as a Uint16Array of their bits, to a Float32Array. */
export function fromHalf(bits) {
  const numbers = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const exponent = (bits[i] >> 10) & 31;
    const fraction = bits[i] & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    numbers[i] = bits[i] & 0x8000 ? -size : size;
  }
  return numbers;
}

/** out = bias + x times kernel, (inputs, outputs). */
export function dense(x, kernel, bias, out) {
  out.set(bias);
  addProduct(x, kernel, out);
}

/** out += x times kernel, (inputs, outputs). */
export function addProduct(x, kernel, out) {
  const count = nonZero(x, 0, x.length);
  addRows(count, x, 0, kernel, 0, out.length, out.length, out, 0);
}

/**
 * A transposed convolution of stride 2 without padding.
 *
 * x: (size, size, channels). kernel: (channels, kernelSize, kernelSize, filters), so that what one input number adds to
 * a row of the output lies in one piece. out: (outputSize, outputSize, filters).
 */
export function transposedConvolution(x, size, kernel, kernelSize, bias, out) {
  const filters = bias.length;
  const channels = x.length / (size * size);
  const width = (2 * (size - 1) + kernelSize) * filters;
  const piece = kernelSize * filters;
  for (let i = 0; i < out.length; i += filters) out.set(bias, i);
  for (let row = 0, first = 0; row < size; row++) {
    for (let column = 0; column < size; column++, first += channels) {
      const count = nonZero(x, first, channels);
      for (let k = 0; k < kernelSize; k++) {
        const at = (2 * row + k) * width + 2 * column * filters;
        addRows(count, x, first, kernel, k * piece, kernelSize * piece, piece, out, at);
      }
    }
  }
}

let active = new Int32Array(1024); // places of the numbers that are not 0: one in three, after a ReLU

/** Writes down where x is not 0, from `first` on. Returns how many there are. */
function nonZero(x, first, length) {
  if (active.length < length) active = new Int32Array(length);
  let count = 0;
  for (let i = 0; i < length; i++) if (x[first + i] !== 0) active[count++] = i;
  return count;
}

/**
 * out[at + j] += the sum over active i of x[first + i] * kernel[offset + i * stride + j], for j below `length`.
 *
 * Four at a time, so that `out` is read and written once for four products: this takes half the time.
 */
function addRows(count, x, first, kernel, offset, stride, length, out, at) {
  let n = 0;
  for (; n + 4 <= count; n += 4) {
    const a = x[first + active[n]];
    const b = x[first + active[n + 1]];
    const c = x[first + active[n + 2]];
    const d = x[first + active[n + 3]];
    const p = offset + active[n] * stride;
    const q = offset + active[n + 1] * stride;
    const r = offset + active[n + 2] * stride;
    const s = offset + active[n + 3] * stride;
    for (let j = 0; j < length; j++) {
      out[at + j] += a * kernel[p + j] + b * kernel[q + j] + c * kernel[r + j] + d * kernel[s + j];
    }
  }
  for (; n < count; n++) {
    const value = x[first + active[n]];
    const p = offset + active[n] * stride;
    for (let j = 0; j < length; j++) out[at + j] += value * kernel[p + j];
  }
}

export function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
}

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}
