"""C: the controller, one dense layer from z and h to the action. Chapter, "The Controller Architecture".

Only acting needs TensorFlow. Sizes and ranges are known without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# How a raw output becomes an action, and the lowest action that it can be; the highest is always 1.
# tanh: -1 to 1. half_tanh: 0 to 1, 0.5 for a raw output of 0. positive_tanh: 0 to 1, 0 for a raw output of 0.
ACTIVATIONS = {"tanh": -1.0, "half_tanh": 0.0, "positive_tanh": 0.0}


@dataclass(frozen=True)
class Controller:
    """C without its parameters: what it reads, how large it is, how it acts.

    inputs: the size of each input, by name ("z", "h", "c"), in the order in which C reads them.
    activations: a key of ACTIVATIONS for each action.
    bias: whether C has one.

    Parameters of a candidate, float32 (num_parameters,): the weights, feature by feature, then the biases.
    """

    inputs: Mapping[str, int]
    activations: tuple[str, ...]
    bias: bool

    @property
    def num_features(self) -> int:
        """288 at the chapter's sizes."""
        return sum(self.inputs.values())

    @property
    def num_actions(self) -> int:
        return len(self.activations)

    @property
    def num_parameters(self) -> int:
        """867 at the chapter's sizes."""
        return (self.num_features + self.bias) * self.num_actions

    @property
    def lowest_action(self) -> np.ndarray:
        """float32 (num_actions,)."""
        return np.array([ACTIVATIONS[name] for name in self.activations], np.float32)

    def split(self, parameters: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The weights of each input, (size, num_actions), by its name, and the biases, (num_actions,) or (0,)."""
        weights, biases = np.split(parameters, [self.num_features * self.num_actions])
        ends = np.cumsum(list(self.inputs.values()))[:-1]
        parts = np.split(weights.reshape(self.num_features, self.num_actions), ends)
        return dict(zip(self.inputs, parts)), biases

    def features(self, **known: tf.Tensor) -> tf.Tensor:
        """What C reads, float32 (batch, num_features), of z, h and c, float32 (batch, size)."""
        import tensorflow as tf

        return tf.concat([known[name] for name in self.inputs], axis=1)

    def act(self, parameters: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """Actions, float32 (candidates, episodes, num_actions): each candidate acts in its own episodes.

        parameters: float32 (candidates, num_parameters).
        features: float32 (candidates, episodes, num_features).
        """
        import tensorflow as tf

        num_weights = self.num_features * self.num_actions
        weights = tf.reshape(parameters[:, :num_weights], (-1, self.num_features, self.num_actions))
        raw = tf.matmul(features, weights)
        if self.bias:
            raw += parameters[:, None, num_weights:]
        return tf.stack([_activate(name, raw[..., i]) for i, name in enumerate(self.activations)], axis=-1)

    def clip(self, actions: tf.Tensor) -> tf.Tensor:
        """Actions, (..., num_actions), moved into their ranges."""
        import tensorflow as tf

        return tf.clip_by_value(actions, self.lowest_action, 1.0)


def _activate(name: str, raw: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    tanh = tf.tanh(raw)
    if name == "half_tanh":
        return 0.5 * (tanh + 1)
    if name == "positive_tanh":
        return tf.clip_by_value(tanh, 0.0, 1.0)
    return tanh
