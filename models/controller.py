"""C: the controller, one dense layer from what V and M say to the action. Chapter, "The Controller Architecture"."""

import tensorflow as tf

from models.action_ranges import LOWEST

# How a raw output becomes an action; which one an output takes, the environment's description says.
ACTIVATIONS = {
    "tanh": tf.tanh,  # -1 to 1
    "half_tanh": lambda x: 0.5 * (tf.tanh(x) + 1),  # 0 to 1, half at rest
    "positive_tanh": lambda x: tf.clip_by_value(tf.tanh(x), 0.0, 1.0),  # 0 to 1, none at rest
}


def clipped(actions, activations: tuple[str, ...]) -> tf.Tensor:
    """Actions (..., len(activations)) that something was added to, back in their ranges."""
    return tf.clip_by_value(actions, [LOWEST[name] for name in activations], 1.0)


def num_parameters(num_features: int, num_actions: int, bias: bool) -> int:
    """288 features and 3 actions with bias: 867."""
    return num_features * num_actions + (num_actions if bias else 0)


def controller_actions(parameters, features, activations: tuple[str, ...], bias: bool) -> tf.Tensor:
    """Actions, float32 (candidates, episodes, len(activations)): each candidate's, in episodes of its own.

    parameters: float32 (candidates, num_parameters), weights row by row of the features, then biases.
    features: float32 (candidates, episodes, num_features).
    """
    num_features, num_actions = features.shape[-1], len(activations)
    weights = tf.reshape(parameters[:, : num_features * num_actions], (-1, num_features, num_actions))
    raw = tf.matmul(features, weights)
    if bias:
        raw += parameters[:, None, num_features * num_actions :]
    return tf.stack([ACTIVATIONS[name](raw[..., i]) for i, name in enumerate(activations)], axis=-1)
