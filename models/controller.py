"""C: the controller, one dense layer from z and h to the action. Chapter, "The Controller Architecture".

The paper's "V with a hidden layer" has a second one of 40 tanh units between them.

Only acting needs TensorFlow. Sizes and ranges are known without it.
"""

from __future__ import annotations

import itertools
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
    hidden: the number of tanh units between inputs and actions. 0: actions are linear in the inputs, as in the chapter.

    Parameters of a candidate, float32 (num_parameters,), layer by layer: weights, feature by feature, then biases.
    """

    inputs: Mapping[str, int]
    activations: tuple[str, ...]
    bias: bool
    hidden: int = 0

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
        return sum((rows + self.bias) * columns for rows, columns in self._shapes)

    @property
    def _shapes(self) -> list[tuple[int, int]]:
        """The inputs and outputs of each layer."""
        sizes = [self.num_features, *([self.hidden] if self.hidden else []), self.num_actions]
        return list(itertools.pairwise(sizes))

    @property
    def lowest_action(self) -> np.ndarray:
        """float32 (num_actions,)."""
        return np.array([ACTIVATIONS[name] for name in self.activations], np.float32)

    def layers(self, parameters: np.ndarray | tf.Tensor) -> list[tuple]:
        """The weights, (..., inputs, outputs), and the biases, (..., outputs) or (..., 0), of each layer.

        parameters: (..., num_parameters), of NumPy or TensorFlow.
        """
        found, at = [], 0
        for rows, columns in self._shapes:
            weights, at = parameters[..., at : at + rows * columns], at + rows * columns
            biases, at = parameters[..., at : at + self.bias * columns], at + self.bias * columns
            shape = (*parameters.shape[:-1], rows, columns)
            found.append((_reshape(weights, shape), biases))
        return found

    def linear_part(self, parameters: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The weights of each input, (size, num_actions), by its name, and the biases, (num_actions,) or (0,).

        Of a C with hidden units its linear part: what it is close to 0, where tanh(x) is x.
        """
        (weights, biases), *later = self.layers(parameters)
        for kernel, bias in later:
            weights, biases = weights @ kernel, biases @ kernel + bias if self.bias else biases[:0]
        ends = np.cumsum(list(self.inputs.values()))[:-1]
        return dict(zip(self.inputs, np.split(weights, ends))), biases

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

        raw = features
        for number, (weights, biases) in enumerate(self.layers(parameters)):
            raw = tf.matmul(tf.tanh(raw) if number else raw, weights)
            if self.bias:
                raw += biases[:, None]
        return tf.stack([_activate(name, raw[..., i]) for i, name in enumerate(self.activations)], axis=-1)

    def clip(self, actions: tf.Tensor) -> tf.Tensor:
        """Actions, (..., num_actions), moved into their ranges."""
        import tensorflow as tf

        return tf.clip_by_value(actions, self.lowest_action, 1.0)


def _reshape(array: np.ndarray | tf.Tensor, shape: tuple) -> np.ndarray | tf.Tensor:
    if isinstance(array, np.ndarray):
        return array.reshape(shape)
    import tensorflow as tf

    return tf.reshape(array, [-1 if size is None else size for size in shape])


def _activate(name: str, raw: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    tanh = tf.tanh(raw)
    if name == "half_tanh":
        return 0.5 * (tanh + 1)
    if name == "positive_tanh":
        return tf.clip_by_value(tanh, 0.0, 1.0)
    return tanh
