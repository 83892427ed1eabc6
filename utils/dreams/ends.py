"""Is M right about the end? What it expects of held-out episodes, and how long lives last in its dream and outside.

Of an environment whose M predicts the end. A dream that ends too late teaches C to cheat.
"""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.dream import DreamState
from models.mdn_rnn import DREAM_ENDS_ABOVE, end_probability
from models.vae import sample_z
from utils.agent import evaluate
from utils.agent.agent import Agent
from utils.agent.checkpoints import dream_model
from utils.agent.rollouts import Job, Outcome
from utils.dreams.noise import DreamNoise, InitialLatents, dream_masks
from utils.environments.spec import Explorer
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.system.files import write_csv
from utils.system.progress import Progress

STEPS_BEFORE = {"at death": 0, "1 step before": 1, "10 steps before": 10}
CALM = 50  # steps from death, at least
EPISODES_AT_ONCE = 64
# P(done) by which steps are sorted.
EDGES = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, DREAM_ENDS_ABOVE, 0.3, 1.0)

Act = Callable[[DreamState], tf.Tensor | np.ndarray]


class Reading(NamedTuple):
    """What M makes of a real episode, a row for each step."""

    mu: np.ndarray  # float32 (steps, z_size), V's
    z: np.ndarray  # float32 (steps, z_size), drawn as in training
    h: np.ndarray  # float32 (steps, rnn_size), after the step
    probability: np.ndarray  # float32 (steps,), P(done), that this step is the last one
    left: np.ndarray  # (steps,), steps to death, 0 where it came; infinite in an episode that was cut off


class Expected(NamedTuple):
    """What M expects at each step of real episodes, (steps,) each, as in `Reading`."""

    probability: np.ndarray
    left: np.ndarray


def read(agent: Agent, series: list[Series]) -> list[Reading]:
    """M reads whole episodes."""
    rng, rnn = np.random.default_rng(0), agent.rnn

    @tf.function(autograph=False, reduce_retracing=True)
    def hidden(z: tf.Tensor, action: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs = rnn.inputs(z, action, tf.zeros(tf.shape(z)[:2]))  # no end comes before the last step
        h = rnn.hidden(inputs)
        return h, end_probability(rnn.mdn(h)[..., -1])

    readings = []
    for first in range(0, len(series), EPISODES_AT_ONCE):
        group = series[first : first + EPISODES_AT_ONCE]
        longest = max(len(one.done) for one in group)
        z = np.zeros((len(group), longest, rnn.z_size), np.float32)
        action = np.zeros((len(group), longest, group[0].action.shape[1]), np.float32)
        for row, one in enumerate(group):
            z[row, : len(one.mu)] = sample_z(one.mu, one.logvar, rng.standard_normal(one.mu.shape, np.float32))
            action[row, : len(one.mu)] = one.action
        h, probability = (part.numpy() for part in hidden(z, action))
        for row, one in enumerate(group):
            steps = len(one.done)
            left = np.arange(steps)[::-1].astype(float) if one.done[-1] else np.full(steps, np.inf)
            # Copies, so that the padding is not kept.
            parts = z[row, :steps].copy(), h[row, :steps].copy()
            readings.append(Reading(one.mu, *parts, probability[row, :steps], left))
    return readings


def expected(readings: list[Reading]) -> Expected:
    return Expected(*(np.concatenate([getattr(one, name) for one in readings]) for name in Expected._fields))


def where_table(held_out: Expected, dreams: dict[str, np.ndarray]) -> list[dict]:
    """What M expects, a row for each place before death, and for the steps of dreams by the policy that acts in them.

    ends_dream: the share of these steps on which a dream would end.
    """
    probability, left = held_out
    steps = {name: probability[left == count] for name, count in STEPS_BEFORE.items()}
    steps[f"{CALM} or more before"] = probability[left >= CALM]
    steps |= {f"in dreams, {name}": of_dreams for name, of_dreams in dreams.items()}
    return [
        {
            "where": name, "steps": len(p), "mean": float(np.mean(p)), "median": float(np.median(p)),
            "ends_dream": float(np.mean(p > DREAM_ENDS_ABOVE)),
        }
        for name, p in steps.items() if len(p)
    ]  # fmt: skip


def calibration_table(held_out: Expected) -> list[dict[str, float]]:
    """How often death followed on the steps on which M expected it with about the same probability."""
    probability, left = held_out
    rows = []
    for low, high in itertools.pairwise(EDGES):
        chosen = (probability >= low) & (probability < high)
        if chosen.any():
            rows.append(
                {
                    "from": low, "to": high, "steps": int(chosen.sum()),
                    "expected": float(probability[chosen].mean()), "died": float((left[chosen] == 0).mean()),
                }
            )  # fmt: skip
    return rows


def lives(
    agent: Agent, run: RunFolder, parameters: np.ndarray | None, episodes: int, max_steps: int
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """How long simple policies and C live: a row for each policy. Also P(done) on the steps of the dreams of some.

    parameters: C's, if it is trained.
    """
    spec, temperatures = agent.spec, sorted({1.0, agent.config.controller_temperature})
    jobs = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, episodes)
    size = spec.action_size
    explorations = {
        "still": lambda rng: lambda obs: np.zeros(size, np.float32),
        "left": lambda rng: lambda obs: np.full(size, -1, np.float32),
        "right": lambda rng: lambda obs: np.ones(size, np.float32),
        "random": spec.explorations[spec.baseline_policy],
        "held out": spec.explorations[agent.config.exploration_policy],
    }
    rows, kept = [], {}

    def add(name: str, real: list[Outcome], begin: Callable[[], Act]) -> None:
        """A row for a policy. begin: makes what acts in a batch of dreams."""
        row = {"policy": name, **mean_std("real", [outcome.steps for outcome in real])}
        for temperature in temperatures:
            steps, kept[name] = dreamed_lives(agent, run, begin(), jobs, temperature, max_steps)
            row |= mean_std(f"dream_{temperature:g}", steps)
        rows.append(row)

    for name, explore in explorations.items():
        real = evaluate.score_exploration(spec, explore, jobs, False, max_steps, Progress(name, "episodes"))
        add(name, real, partial(exploring, explore, jobs))
    if parameters is not None:
        real = evaluate.score(agent, parameters, jobs, False, max_steps, Progress("C", "episodes"))
        add("C", real, partial(_acting, agent, parameters))
    return rows, {name: kept[name] for name in ("random", "C") if name in kept}


def exploring(explore: Callable[[np.random.Generator], Explorer], jobs: list[Job]) -> Act:
    """An exploration that does not look, in each dream."""
    policies = [explore(np.random.default_rng(job.draw_seed)) for job in jobs]
    return lambda state: np.stack([policy(np.empty(0)) for policy in policies])


def _acting(agent: Agent, parameters: np.ndarray) -> Act:
    def act(state: DreamState) -> tf.Tensor:
        features = agent.controller.features(z=state.z, h=state.h, c=state.c)
        return agent.controller.act(parameters[None], features[None])[0]

    return act


def dreamed_lives(
    agent: Agent, run: RunFolder, act: Act, jobs: list[Job], temperature: float, max_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Steps that a policy lives in each dream, (jobs,), and P(done) on all of these steps."""
    model = dream_model(agent.rnn, agent.config)
    initial = InitialLatents(run, agent.config.z_size)
    noises = [DreamNoise(job.env_seed) for job in jobs]
    state = model.begin(np.stack([initial.sample(noise.start) for noise in noises]))

    masks = dream_masks(noises, agent.config)

    @tf.function(autograph=False)
    def step(state: DreamState, actions: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tuple:
        prediction = model.predict(state, actions, masks)
        state, _, done = model.sample(prediction, tf.constant(temperature, tf.float32), uniform, normal)
        return state, end_probability(prediction.reward_or_logit), done

    steps, alive, probabilities = np.zeros(len(jobs), int), np.ones(len(jobs), bool), []
    for _ in range(max_steps):
        uniform, normal = map(np.stack, zip(*(noise.draw(agent.config.z_size) for noise in noises)))
        state, probability, done = step(state, tf.convert_to_tensor(act(state)), uniform, normal)
        probabilities.append(probability.numpy()[alive])
        steps += alive
        alive &= ~done.numpy()
        if not alive.any():
            break
    return steps, np.concatenate(probabilities)


def mean_std(where: str, steps: list[int] | np.ndarray) -> dict[str, float]:
    return {f"{where}_mean": round(float(np.mean(steps)), 1), f"{where}_std": round(float(np.std(steps)), 1)}


def save(tables: dict[str, list[dict]], folder: Path) -> None:
    """Writes each table as `ends_NAME.csv`."""
    for name, rows in tables.items():
        write_csv(folder / f"ends_{name}.csv", rows[0], (row.values() for row in rows))
