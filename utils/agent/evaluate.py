"""Watching an agent: scoring it over episodes, and keeping one of them moment by moment."""

from collections.abc import Callable

import gymnasium
import numpy as np

from utils.agent.agent import Agent
from utils.agent.rollouts import ExplorationPolicy, Job, Outcome, run
from utils.environments.spec import EnvironmentSpec
from utils.figures.film import STEPS_PER_FRAME, Moment
from utils.system.progress import Progress
from utils.system.seeding import integer

FIRST_EVALUATION_SEED = 1000  # seeds from here on are watched; training draws its own from all of 32 bits


class _Watched(gymnasium.Wrapper):
    """While the track `seed` is driven, keeps the picture for people from before every `every`th step: what the
    agent decided on."""

    def __init__(self, env: gymnasium.Env, seed: int, every: int):
        super().__init__(env)
        self._seed, self._every, self._steps = seed, every, None

    def reset(self, *, seed=None, options=None):
        result = self.env.reset(seed=seed, options=options)
        self._steps = 0 if seed == self._seed else None
        self._look()
        return result

    def step(self, action):
        self.before = self._after
        result = self.env.step(action)
        if self._steps is not None:
            self._steps += 1
        self._look()
        return result

    def _look(self) -> None:
        wanted = self._steps is not None and self._steps % self._every == 0
        self._after = self.env.render() if wanted else None


def evaluation_jobs(seed: int, episodes: int) -> list[Job]:
    """Episodes on the tracks of seeds `seed`, `seed` + 1, ...: the same ones for everybody."""
    return [Job(seed + i, integer(seed + i, "watching")) for i in range(episodes)]


def score(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress
) -> list[Outcome]:
    """Drives every job, in as many num_envs as the run was trained with at most."""
    return _drive(agent, parameters, jobs, _maker(agent.spec, stock), max_steps, progress)


def score_exploration(
    spec: EnvironmentSpec, explore: Callable, jobs: list[Job], stock: bool, max_steps: int, progress: Progress
) -> list[Outcome]:
    """Outcomes of a policy without V, M and C, such as one of the spec's explorations, on the same tracks."""
    return _run([_maker(spec, stock)()], ExplorationPolicy(explore, 1), jobs, max_steps, progress)


def film(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress, which: int
) -> list[Moment]:
    """Every STEPS_PER_FRAME'th moment of job `which`. Drives all jobs again: an episode's last digits depend on
    its batch."""
    moments: list[Moment] = []
    make, total, step = _maker(agent.spec, stock), 0.0, 0

    def on_begin(job):
        nonlocal total, step
        if job == which:
            total, step = 0.0, 0
            moments.clear()

    def on_step(env_index, job, env, policy, obs, action, reward, terminated):
        nonlocal total, step
        if job != which:
            return
        total, step = total + reward, step + 1
        if env.before is not None:
            made = agent.decode(policy.z[env_index : env_index + 1])[0]
            moments.append(Moment(env.before, obs.copy(), made, action.copy(), reward, total, step))

    def watched():
        return _Watched(make(render_mode="rgb_array"), jobs[which].env_seed, STEPS_PER_FRAME)

    _drive(agent, parameters, jobs, watched, max_steps, progress, on_begin, on_step)
    return moments


def ways(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], max_steps: int, progress: Progress
) -> tuple[list[Outcome], list[np.ndarray], list[np.ndarray]]:
    """Drives every job. Outcomes, where each was after every step, (steps, 2), and what it drove on, (points, 2)."""
    spec, places, lines = agent.spec, [[] for _ in jobs], [None] * len(jobs)

    def on_begin(job):
        places[job].clear()

    def on_step(env_index, job, env, policy, obs, action, reward, terminated):
        if not places[job]:
            lines[job] = spec.track_line(env)
        places[job].append(spec.position(env))

    outcomes = _drive(agent, parameters, jobs, spec.make, max_steps, progress, on_begin, on_step)
    return outcomes, [np.array(of_job) for of_job in places], lines


def _maker(spec: EnvironmentSpec, stock: bool) -> Callable[..., gymnasium.Env]:
    return spec.make_stock if stock else spec.make


def _drive(agent, parameters, jobs, make, max_steps, progress, on_begin=None, on_step=None) -> list[Outcome]:
    """Drives every job in environments of `make`. Hooks as those of `run`, with more for on_step: (env_index, job, its
    environment, the policy, obs, action, reward, terminated)."""
    num_envs = min(agent.config.controller_num_lane, len(jobs))
    envs = [make() for _ in range(num_envs)]
    policy = agent.policy(num_envs)
    policy.candidates = parameters[None]
    return _run(
        envs, policy, jobs, max_steps, progress,
        on_begin=on_begin,
        on_step=on_step and (lambda env_index, job, *step: on_step(env_index, job, envs[env_index], policy, *step)),
    )  # fmt: skip


def _run(envs, policy, jobs, max_steps, progress, **hooks) -> list[Outcome]:
    """Plays every job, shows how many are done, and closes the environments."""
    progress.start(len(jobs))
    try:
        return run(envs, policy, jobs, max_steps, on_end=lambda *_: progress.advance(), **hooks)
    finally:
        progress.close()
        for env in envs:
            env.close()
