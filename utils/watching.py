"""Watching an agent: scoring it over episodes, and keeping one of them moment by moment."""

from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium
import numpy as np

from utils.agent import Agent, AgentPolicy
from utils.environments.description import Description
from utils.figures.film import Moment
from utils.figures.reconstructions import reconstruction_from
from utils.progress import Progress
from utils.rollouts import ExplorationPolicy, Job, Outcome, run
from utils.seeding import integer


class _Watched(gymnasium.Wrapper):
    """While the track `seed` is driven, keeps the picture for people from before each step: what was decided on."""

    def __init__(self, env: gymnasium.Env, seed: int):
        super().__init__(env)
        self._seed, self._filming = seed, False

    def reset(self, *, seed=None, options=None):
        result = self.env.reset(seed=seed, options=options)
        self._filming = seed == self._seed
        self._after = self.env.render() if self._filming else None
        return result

    def step(self, action):
        self.before = self._after
        result = self.env.step(action)
        self._after = self.env.render() if self._filming else None
        return result


@dataclass
class _Raw:
    """A moment whose reconstruction is still a latent vector."""

    road: np.ndarray
    obs: np.ndarray
    z: np.ndarray
    action: np.ndarray
    reward: float
    score: float
    step: int


def jobs_on(seed: int, episodes: int) -> list[Job]:
    """Episodes on the tracks seed, seed + 1, ...: anyone can reset the stock environment to the same."""
    return [Job(seed + i, integer(seed + i, "watching")) for i in range(episodes)]


def score(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress
) -> list[Outcome]:
    """Drives every job, in as many lanes as the run was trained with at most."""
    return _drive(agent, parameters, jobs, stock, max_steps, progress, None)[0]


def film(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress, which: int
) -> list[Moment]:
    """The moments of job `which`. Drives all jobs again, since an episode's last digits depend on its batch."""
    return list(_developed(_drive(agent, parameters, jobs, stock, max_steps, progress, which)[1], agent))


def _drive(agent, parameters, jobs, stock, max_steps, progress, filmed: int | None) -> tuple[list[Outcome], list[_Raw]]:
    lanes = min(agent.config.controller_num_lane, len(jobs))
    make = agent.description.make_stock if stock else agent.description.make
    if filmed is None:
        envs = [make() for _ in range(lanes)]
    else:
        envs = [_Watched(make(render_mode="rgb_array"), jobs[filmed].env_seed) for _ in range(lanes)]
    policy = agent.policy(lanes)
    policy.candidates = parameters[None]
    raw: list[_Raw] = []

    def keep(lane, job, obs, action, reward, terminated):
        if job == filmed:
            total = reward + (raw[-1].score if raw else 0.0)
            z = policy.z[lane].copy()
            raw.append(_Raw(envs[lane].before, obs.copy(), z, action.copy(), reward, total, len(raw) + 1))

    progress.start(len(jobs))
    outcomes = run(envs, policy, jobs, max_steps, on_step=keep, on_end=lambda *_: progress.advance())
    progress.close()
    for env in envs:
        env.close()
    return outcomes, raw


def _developed(raw: list[_Raw], agent: Agent) -> Iterator[Moment]:
    for begin in range(0, len(raw), 100):
        batch = raw[begin : begin + 100]
        for moment, made in zip(batch, reconstruction_from(agent.vae, np.stack([m.z for m in batch]))):
            yield Moment(moment.road, moment.obs, made, moment.action, moment.reward, moment.score, moment.step)


def score_baseline(description: Description, jobs: list[Job], stock: bool, max_steps: int, progress: Progress):
    """Outcomes of the random policy that agents are compared with, on the same tracks."""
    env = (description.make_stock if stock else description.make)()
    policy = ExplorationPolicy(description.explorations[description.baseline], 1)
    progress.start(len(jobs))
    outcomes = run([env], policy, jobs, max_steps, on_end=lambda *_: progress.advance())
    progress.close()
    return outcomes


def live(agent: Agent, parameters: np.ndarray, job: Job, stock: bool, max_steps: int) -> Iterator[Moment]:
    """One episode as it happens, a moment a step."""
    env = (agent.description.make_stock if stock else agent.description.make)(render_mode="rgb_array")
    policy: AgentPolicy = agent.policy(1)
    policy.candidates = parameters[None]
    policy.begin(0, job)
    obs, total, reward, ended, step = env.reset(seed=job.env_seed)[0], 0.0, 0.0, False, 0
    while not ended and step < max_steps:
        road = env.render()
        action = policy.act(obs[None], np.float32([reward]))[0]
        seen, reward, terminated, truncated, _ = env.step(action)
        step, total, ended = step + 1, total + float(reward), terminated or truncated
        yield Moment(road, obs, reconstruction_from(agent.vae, policy.z)[0], action, float(reward), total, step)
        obs = seen
    env.close()
