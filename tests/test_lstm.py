import keras
import numpy as np
import pytest
import tensorflow as tf

from models.lstm import lstm


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_values_and_gradients_are_those_of_keras(precision):
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(0, 1, (3, 7, 5)), tf.float32)
    towards = tf.constant(rng.normal(0, 1, (3, 7, 6)), tf.float32)
    layer = keras.layers.LSTM(6, return_sequences=True)
    layer.build(inputs.shape)
    layer.cell.bias.assign(rng.normal(0, 1, 24))
    weights = [tf.Variable(weight) for weight in layer.get_weights()]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        expected = layer(inputs)
        loss = tf.reduce_sum(expected * towards)
    expected_gradients = tape.gradient(loss, [inputs, *[v.value for v in layer.trainable_variables]])

    @tf.function
    def ours():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            hidden = lstm(inputs, tf.ones((3, 7)), *weights, tf.as_dtype(precision))
            loss = tf.reduce_sum(hidden * towards)
        return hidden, tape.gradient(loss, [inputs, *weights])

    hidden, gradients = ours()
    assert hidden.dtype == tf.float32
    tolerance = 1e-5 if precision == "float32" else 0.05
    np.testing.assert_allclose(hidden, expected, atol=tolerance)
    for gradient, of_keras in zip(gradients, expected_gradients, strict=True):
        assert np.abs(of_keras).max() > 0.1
        np.testing.assert_allclose(gradient, of_keras, atol=tolerance * np.abs(of_keras).max())


def test_a_row_of_two_episodes_is_the_two_apart():
    rng = np.random.default_rng(0)
    inputs, towards = (tf.constant(rng.normal(0, 1, (2, 7, n)), tf.float32) for n in (5, 6))
    weights = [tf.Variable(rng.normal(0, 0.5, shape), dtype=tf.float32) for shape in ((5, 24), (6, 24), (24,))]
    goes_on = np.ones((2, 7), np.float32)
    goes_on[0, 3] = goes_on[1, 0] = goes_on[1, 5] = 0

    def apart(row, begin, end):
        piece = inputs[row : row + 1, begin:end]
        return lstm(piece, tf.ones((1, end - begin)), *weights)[0]

    results = []
    for whole in (True, False):
        with tf.GradientTape() as tape:
            if whole:
                hidden = lstm(inputs, goes_on, *weights)
            else:
                rows = [(0, 0, 3), (0, 3, 7)], [(1, 0, 5), (1, 5, 7)]
                hidden = tf.stack([tf.concat([apart(*piece) for piece in row], axis=0) for row in rows])
            loss = tf.reduce_sum(hidden * towards)
        results.append([hidden, *tape.gradient(loss, weights)])
    for together, alone in zip(*results, strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_mask_is_on_h_and_its_gradient():
    rng = np.random.default_rng(0)
    inputs, towards = (tf.constant(rng.normal(0, 1, (2, 7, n)), tf.float32) for n in (5, 6))
    mask = tf.constant(rng.choice([0, 1.5], (2, 6)), tf.float32)
    weights = [tf.Variable(rng.normal(0, 0.5, shape), dtype=tf.float32) for shape in ((5, 24), (6, 24), (24,))]

    def step_by_step():
        h = c = tf.zeros((2, 6))
        hidden = []
        for t in range(7):
            i, f, g, o = tf.split(inputs[:, t] @ weights[0] + h @ weights[1] + weights[2], 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c) * mask
            hidden.append(h)
        return tf.stack(hidden, axis=1)

    results = []
    for run in (step_by_step, lambda: lstm(inputs, tf.ones((2, 7)), *weights, mask=mask)):
        with tf.GradientTape() as tape:
            hidden = run()
            loss = tf.reduce_sum(hidden * towards)
        results.append([hidden, *tape.gradient(loss, weights)])
    for expected, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
