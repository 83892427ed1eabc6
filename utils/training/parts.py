"""Batches in parts, each on a core of its own: most operations are too small to share one among cores."""

from collections.abc import Sequence

import tensorflow as tf


def part_sizes(rows: int, parts: int) -> list[int]:
    """Rows of each of at most `parts` parts of a batch, all above 0."""
    parts = min(parts, rows)
    return [rows * (part + 1) // parts - rows * part // parts for part in range(parts)]


def added(of_parts: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """Sums over the parts. of_parts: of each part the same list of tensors, such as losses or gradients."""
    return [tf.add_n(tensors) for tensors in zip(*of_parts)]
