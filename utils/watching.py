"""Watching an agent: scoring it over episodes, and keeping one of them moment by moment."""

import gymnasium
import numpy as np

from utils.agent import Agent
from utils.environments.description import Description
from utils.figures.film import STEPS_A_FRAME, Moment
from utils.progress import Progress
from utils.rollouts import ExplorationPolicy, Job, Outcome, run
from utils.seeding import integer

FIRST_TRACK = 1000  # seeds from here on are watched; training draws its own from all of 32 bits


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


def jobs_on(seed: int, episodes: int) -> list[Job]:
    """Episodes on the tracks seed, seed + 1, ...: anyone can reset the stock environment to the same."""
    return [Job(seed + i, integer(seed + i, "watching")) for i in range(episodes)]


def score(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress
) -> list[Outcome]:
    """Drives every job, in as many lanes as the run was trained with at most."""
    return _drive(agent, parameters, jobs, stock, max_steps, progress)


def film(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress, which: int
) -> list[Moment]:
    """Every STEPS_A_FRAME'th moment of job `which`. Drives all jobs again: an episode's last digits depend on
    its batch."""
    moments: list[Moment] = []
    _drive(agent, parameters, jobs, stock, max_steps, progress, which, STEPS_A_FRAME, moments)
    return moments


def _drive(agent, parameters, jobs, stock, max_steps, progress, watched=None, every=1, show=None) -> list[Outcome]:
    """Drives every job; puts every `every`th moment of job `watched` into the list `show`."""
    lanes = min(agent.config.controller_num_lane, len(jobs))
    make = agent.description.make_stock if stock else agent.description.make
    if watched is None:
        envs = [make() for _ in range(lanes)]
    else:
        envs = [_Watched(make(render_mode="rgb_array"), jobs[watched].env_seed, every) for _ in range(lanes)]
    policy = agent.policy(lanes)
    policy.candidates = parameters[None]
    total, step = 0.0, 0

    def on_begin(job):
        nonlocal total, step
        if job == watched:
            total, step = 0.0, 0
            show.clear()

    def on_step(lane, job, obs, action, reward, terminated):
        nonlocal total, step
        if job != watched:
            return
        total, step = total + reward, step + 1
        if envs[lane].before is not None:
            made = agent.decode(policy.z[lane : lane + 1])[0]
            show.append(Moment(envs[lane].before, obs.copy(), made, action.copy(), reward, total, step))

    if progress:
        progress.start(len(jobs))
    try:
        return run(
            envs, policy, jobs, max_steps, on_step, lambda *_: progress and progress.advance(), on_begin=on_begin
        )
    finally:
        if progress:
            progress.close()
        for env in envs:
            env.close()


def ways(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], max_steps: int, progress: Progress
) -> tuple[list[Outcome], list[np.ndarray], list[np.ndarray]]:
    """Drives every job. Outcomes, where each was after every step, (steps, 2), and what it drove on, (points, 2)."""
    description = agent.description
    lanes = min(agent.config.controller_num_lane, len(jobs))
    envs = [description.make() for _ in range(lanes)]
    policy = agent.policy(lanes)
    policy.candidates = parameters[None]
    places, lines = [[] for _ in jobs], [None] * len(jobs)

    def on_step(lane, job, obs, action, reward, terminated):
        if lines[job] is None:
            lines[job] = description.line(envs[lane])
        places[job].append(description.place(envs[lane]))

    progress.start(len(jobs))
    outcomes = run(
        envs, policy, jobs, max_steps, on_step, lambda *_: progress.advance(), on_begin=lambda job: places[job].clear()
    )
    progress.close()
    for env in envs:
        env.close()
    return outcomes, [np.array(of_job) for of_job in places], lines


def score_baseline(description: Description, jobs: list[Job], stock: bool, max_steps: int, progress: Progress):
    """Outcomes of the random policy that agents are compared with, on the same tracks."""
    env = (description.make_stock if stock else description.make)()
    policy = ExplorationPolicy(description.explorations[description.baseline], 1)
    progress.start(len(jobs))
    outcomes = run([env], policy, jobs, max_steps, on_end=lambda *_: progress.advance())
    progress.close()
    return outcomes
