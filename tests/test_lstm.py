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
            hidden = lstm(inputs, *weights, tf.as_dtype(precision))
            loss = tf.reduce_sum(hidden * towards)
        return hidden, tape.gradient(loss, [inputs, *weights])

    hidden, gradients = ours()
    assert hidden.dtype == tf.float32
    tolerance = 1e-5 if precision == "float32" else 0.05
    np.testing.assert_allclose(hidden, expected, atol=tolerance)
    for gradient, of_keras in zip(gradients, expected_gradients, strict=True):
        assert np.abs(of_keras).max() > 0.1
        np.testing.assert_allclose(gradient, of_keras, atol=tolerance * np.abs(of_keras).max())
