"""What came of a step, in words: at the end of its script, and in the report."""


def of_vae(row: dict[str, float]) -> str:
    """row: the last of V's log."""
    return f"held-out squared error of a frame {row['held_out_reconstruction']:.1f}, KL {row['held_out_kl']:.1f} nats"


def of_rnn(row: dict[str, float], predicts: str) -> str:
    """row: the last of M's log."""
    return (
        f"held-out NLL of the next z {row['held_out_nll']:.3f} nats a dimension, loss of the {predicts} "
        f"{row[f'held_out_{predicts}']:.3f}"
    )


def of_controller(best: dict, episodes: int) -> str:
    """best: a row of C's log, or what is kept of it."""
    return (
        f"mean of the population {best['evaluation_mean']:.1f} +- {best['evaluation_std']:.1f} in {episodes} fresh "
        f"episodes, after generation {best['generation']:.0f}"
    )
