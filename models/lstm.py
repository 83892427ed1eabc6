"""The textbook's LSTM over whole sequences, for training, with its gradient written out.

Automatic differentiation adds up the gradient of the recurrent weights after each step. Here a step back carries the
gradient of the state only. The gradients of the weights follow for all steps in one matrix product.
"""

from collections.abc import Callable

import tensorflow as tf

# Columns of zeros beside the gates. Without, a row of the gates of 256 units is 4096 bytes long: all rows then fall on
# the same place in a processor's first cache, and oneDNN multiplies half as fast.
SPARE = 16


def lstm(
    inputs: tf.Tensor, goes_on: tf.Tensor, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor,
    dtype: tf.DType = tf.float32, mask: tf.Tensor | None = None,
) -> tf.Tensor:  # fmt: skip
    """h after each step, float32 (batch, time, units). h and c begin at 0.

    inputs: float32 (batch, time, features).
    goes_on: float32 (batch, time), 0 for steps before which h and c are 0 again, otherwise 1.
    kernel: float32 (features, 4 units), gates in Keras's order: input, forget, new, output.
    recurrent_kernel: float32 (units, 4 units).
    bias: float32 (4 units,).
    dtype: of the matrix products, and of what is kept for the way back. The state c stays in float32.
    mask: float32 (batch, units), what h is multiplied by at each step, for dropout.
    """
    units = recurrent_kernel.shape[0]

    def product(a: tf.Tensor, b: tf.Tensor, **kwargs: bool) -> tf.Tensor:
        return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **kwargs), tf.float32)

    def dropped(h: tf.Tensor) -> tf.Tensor:
        return h if mask is None else h * mask

    @tf.custom_gradient
    def run(
        x: tf.Tensor, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        time, batch = tf.shape(x)[0], tf.shape(x)[1]
        recurrent = tf.cast(recurrent_kernel, dtype)
        begin = tf.zeros((batch, units))
        keep = tf.cast(kept_on, dtype)
        from_inputs = tf.cast(product(x, kernel) + bias, dtype)

        def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *history: tf.TensorArray) -> tuple:
            h, c = h * keep[t], c * kept_on[t]
            gates = tf.cast(from_inputs[t] + tf.matmul(h, recurrent), tf.float32)
            i, f, g, o, _ = tf.split(gates, [*4 * [units], SPARE], axis=1)
            i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
            c = f * c + i * g
            h = tf.cast(dropped(o * tf.tanh(c)), dtype)
            kept = tf.cast(tf.concat([i, f, g, o], axis=1), dtype), c, h
            return t + 1, h, c, *(array.write(t, value) for array, value in zip(history, kept))

        arrays = (tf.TensorArray(kept, time) for kept in (dtype, tf.float32, dtype))
        start = 0, tf.cast(begin, dtype), begin, *arrays
        result = tf.while_loop(lambda t, *_: t < time, step, start, parallel_iterations=1)
        gates, cs, hs = (array.stack() for array in result[3:])

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            before = tf.concat([begin[None], cs[:-1]], axis=0) * kept_on
            spare = tf.zeros((batch, SPARE))

            def back(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, d_gates: tf.TensorArray) -> tuple:
                i, f, g, o = tf.split(tf.cast(gates[t], tf.float32), 4, axis=1)
                dh = dropped(tf.cast(dh, tf.float32) + upstream[t])
                tanh_c = tf.tanh(cs[t])
                dc = dc + dh * o * (1 - tanh_c * tanh_c)
                d_i, d_f, d_g, d_o = dc * g, dc * before[t], dc * i, dh * tanh_c
                d_raw = d_i * i * (1 - i), d_f * f * (1 - f), d_g * (1 - g * g), d_o * o * (1 - o), spare
                d_raw = tf.cast(tf.concat(d_raw, axis=1), dtype)
                dh = tf.matmul(d_raw, recurrent, transpose_b=True) * keep[t]
                return t - 1, dh, dc * f * kept_on[t], d_gates.write(t, d_raw)

            end = time - 1, tf.cast(begin, dtype), begin, tf.TensorArray(dtype, time)
            *_, d_gates = tf.while_loop(lambda t, *_: t >= 0, back, end, parallel_iterations=1)
            d_gates = tf.reshape(d_gates.stack(), (-1, 4 * units + SPARE))
            h_before = tf.concat([tf.cast(begin, dtype)[None], hs[:-1]], axis=0) * keep
            h_before = tf.reshape(h_before, (-1, units))
            flat = tf.reshape(x, (-1, x.shape[-1]))
            d_inputs = tf.reshape(product(d_gates, kernel, transpose_b=True), tf.shape(x))
            return (
                d_inputs,
                product(flat, d_gates, transpose_a=True),
                product(h_before, d_gates, transpose_a=True),
                tf.reduce_sum(tf.cast(d_gates, tf.float32), axis=0),
            )

        return tf.cast(hs, tf.float32), gradient

    kept_on = tf.transpose(goes_on)[..., None]
    kernel, recurrent_kernel = (tf.pad(weights, [[0, 0], [0, SPARE]]) for weights in (kernel, recurrent_kernel))
    hs = run(tf.transpose(inputs, (1, 0, 2)), kernel, recurrent_kernel, tf.pad(bias, [[0, SPARE]]))
    return tf.transpose(hs, (1, 0, 2))
