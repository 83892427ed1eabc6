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
  const width = out.length;
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue;
    const row = i * width;
    for (let j = 0; j < width; j++) out[j] += value * kernel[row + j];
  }
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
  const outputSize = 2 * (size - 1) + kernelSize;
  const piece = kernelSize * filters;
  for (let i = 0; i < out.length; i += filters) out.set(bias, i);
  for (let row = 0, i = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const corner = (2 * row * outputSize + 2 * column) * filters;
      for (let channel = 0; channel < channels; channel++, i++) {
        const value = x[i];
        if (value === 0) continue; // every second number or so, after a ReLU
        let weight = channel * kernelSize * piece;
        for (let k = 0; k < kernelSize; k++) {
          const at = corner + k * outputSize * filters;
          for (let j = 0; j < piece; j++) out[at + j] += value * kernel[weight++];
        }
      }
    }
  }
}

export function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
}

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}
