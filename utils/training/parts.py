"""Batches in parts, each on a core of its own: most operations are too small to share one among cores."""

from collections.abc import Sequence

import tensorflow as tf


def part_sizes(rows: int, parts: int) -> list[int]:
    """Rows of each of at most `parts` parts of a batch, all above 0."""
    parts = min(parts, rows)
    return [rows * (part + 1) // parts - rows * part // parts for part in range(parts)]


def added(gradients: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """The sum over the parts. gradients: of each part, a list with one for each variable."""
    return [tf.add_n(of_parts) for of_parts in zip(*gradients)]
