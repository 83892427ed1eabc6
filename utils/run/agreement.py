"""Settings that do not go together, though each of them alone is right."""

from typing import TYPE_CHECKING

from utils.environments import get_spec
from utils.system.errors import UsageError

if TYPE_CHECKING:
    from utils.run.config import Config


def check(config: "Config") -> None:
    """Raises `UsageError` with what does not agree, and what would."""
    spec = get_spec(config.env_name)
    fewest = min(config.episode_stages.values())  # episodes of a candidate
    if config.exploration_policy not in spec.explorations:
        known = ", ".join(spec.explorations)
        raise UsageError(f"exploration_policy: {config.exploration_policy!r} is none of {known} of {config.env_name}")
    if not config.max_trials and not config.previous_run:
        raise UsageError("max_trials: 0 episodes, and no previous_run whose episodes this run takes over")
    if config.rollout_policy == "controller" and not config.previous_run:
        raise UsageError("rollout_policy: controller: whose? set previous_run to a run folder with a trained one")
    if config.population < 4:
        raise UsageError(
            f"controller_num_worker x controller_num_worker_trial is {config.population}: "
            "CMA-ES needs a population of at least 4"
        )
    if config.vae_batch_size > config.vae_shuffle_frames:
        raise UsageError(f"vae_batch_size {config.vae_batch_size} is more than vae_shuffle_frames holds")
    if config.controller_dream_reward == "drawn" and not spec.rewards:
        raise UsageError(f"controller_dream_reward: {config.env_name} has no idle_reward and gain; set it to mean")
    if config.controller_patience and spec.idle_reward is None:
        raise UsageError(f"controller_patience: an episode of {config.env_name} never comes to nothing; set it to 0")
    if config.controller_patience and config.controller_environment == "dream":
        raise UsageError("controller_patience: dreams have none; set it to 0 or controller_environment to real")
    if config.controller_hard_fraction and config.controller_environment == "dream":
        raise UsageError("controller_hard_fraction: dreams have no tracks; set it to 0")
    if config.controller_hard_fraction and not (config.previous_run and config.controller_start == "previous"):
        raise UsageError("controller_hard_fraction: hard for which C? set previous_run, or this to 0")
    if config.controller_hard_fraction and not config.hard_episodes(fewest):
        raise UsageError(
            f"controller_hard_fraction: {config.controller_hard_fraction:g} of controller_num_episode "
            f"{fewest} is less than one episode; raise it, or set it to 0"
        )
    if config.controller_num_rnn > 1 and config.controller_environment == "real":
        raise UsageError("controller_num_rnn: only dreams are dealt among several Ms; set it to 1")
    if config.controller_num_mean > 1 and config.controller_environment == "dream":
        raise UsageError("controller_num_mean: a C that learns in dreams is the last mean; set it to 1")
    if config.controller_judge_run and config.controller_environment == "real":
        raise UsageError("controller_judge_run: a dream judges a C that learns in dreams; set it to null")
    if config.controller_num_rnn > fewest:
        raise UsageError(
            f"controller_num_rnn: {config.controller_num_rnn} Ms, and controller_num_episode gives a candidate only "
            f"{fewest} dreams to deal among them"
        )
    if len(set(config.controller_inputs)) != len(config.controller_inputs):
        raise UsageError(f"controller_inputs: {config.controller_inputs} names an input twice")
