"""An LSTM over whole sequences, for training: the textbook's, with its gradient written out.

Keras and automatic differentiation add up the gradient of the recurrent weights, four times the size of a whole layer's
state, after each step. Here a step back only carries the state's gradient on; those of the weights follow for all steps
in one matrix product.
"""

import tensorflow as tf


def lstm(inputs, kernel, recurrent_kernel, bias, dtype=tf.float32) -> tf.Tensor:
    """h after each step, float32 (batch, time, units), from h and c of 0.

    inputs: float32 (batch, time, features). kernel: (features, 4 units), recurrent_kernel: (units, 4 units), bias:
    (4 units,), all float32, gates in Keras's order: input, forget, new, output. dtype: what matrix products are
    computed in; the state stays in float32.
    """
    units = recurrent_kernel.shape[0]

    def product(a, b, **kwargs):
        return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **kwargs), tf.float32)

    @tf.custom_gradient
    def run(x, kernel, recurrent_kernel, bias):
        time, batch = tf.shape(x)[0], tf.shape(x)[1]
        recurrent = tf.cast(recurrent_kernel, dtype)
        begin = tf.zeros((batch, units))
        from_inputs = tf.cast(product(x, kernel) + bias, dtype)

        def step(t, h, c, gates_of, c_of, h_of):
            gates = tf.cast(from_inputs[t] + tf.matmul(tf.cast(h, dtype), recurrent), tf.float32)
            i, f, g, o = tf.split(gates, 4, axis=1)
            i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
            c = f * c + i * g
            h = o * tf.tanh(c)
            return t + 1, h, c, gates_of.write(t, tf.concat([i, f, g, o], 1)), c_of.write(t, c), h_of.write(t, h)

        arrays = [tf.TensorArray(tf.float32, time) for _ in range(3)]
        outcome = tf.while_loop(lambda t, *_: t < time, step, (0, begin, begin, *arrays), parallel_iterations=1)
        gates, cs, hs = (array.stack() for array in outcome[3:])

        def gradient(upstream):
            before = tf.concat([begin[None], cs[:-1]], axis=0)

            def back(t, dh, dc, of_gates):
                i, f, g, o = tf.split(gates[t], 4, axis=1)
                dh = dh + upstream[t]
                tanh_c = tf.tanh(cs[t])
                dc = dc + dh * o * (1 - tanh_c * tanh_c)
                of_i, of_f, of_g, of_o = dc * g, dc * before[t], dc * i, dh * tanh_c
                of_all = tf.concat(
                    [of_i * i * (1 - i), of_f * f * (1 - f), of_g * (1 - g * g), of_o * o * (1 - o)], axis=1
                )
                dh = tf.cast(tf.matmul(tf.cast(of_all, dtype), recurrent, transpose_b=True), tf.float32)
                return t - 1, dh, dc * f, of_gates.write(t, of_all)

            *_, of_gates = tf.while_loop(
                lambda t, *_: t >= 0, back, (time - 1, begin, begin, tf.TensorArray(tf.float32, time)),
                parallel_iterations=1,
            )  # fmt: skip
            of_gates = tf.reshape(of_gates.stack(), (-1, 4 * units))
            h_before = tf.reshape(tf.concat([begin[None], hs[:-1]], axis=0), (-1, units))
            flat = tf.reshape(x, (-1, x.shape[-1]))
            of_inputs = tf.reshape(product(of_gates, kernel, transpose_b=True), tf.shape(x))
            return (
                of_inputs,
                product(flat, of_gates, transpose_a=True),
                product(h_before, of_gates, transpose_a=True),
                tf.reduce_sum(of_gates, axis=0),
            )

        return hs, gradient

    weights = map(tf.convert_to_tensor, (kernel, recurrent_kernel, bias))
    hs = run(tf.transpose(inputs, (1, 0, 2)), *weights)
    return tf.transpose(hs, (1, 0, 2))
