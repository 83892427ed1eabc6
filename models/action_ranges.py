"""The ranges of actions, by the activation of `models.controller` that makes them. Needs no TensorFlow."""

LOWEST = {"tanh": -1.0, "half_tanh": 0.0, "positive_tanh": 0.0}  # the highest is always 1
