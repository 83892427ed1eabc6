"""Evaluates agents: scores over the same episodes for everybody, one episode frame by frame, trajectories."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np

from utils.agent.agent import Agent, AgentPolicy
from utils.agent.rollouts import ExplorationPolicy, Job, Observer, Outcome, Policy, Transition, rollout_episodes
from utils.environments.spec import EnvironmentSpec, Explorer
from utils.system.progress import Progress
from utils.system.seeding import integer

FIRST_EVALUATION_SEED = 1000
STEPS_PER_FRAME = 2  # a recorded episode keeps every second step


@dataclass
class Frame:
    """One step of an episode, for people."""

    view: np.ndarray  # uint8 (height, width, 3), the environment as a person sees it
    obs: np.ndarray | None  # uint8 (64, 64, 3); None in a dream
    reconstruction: np.ndarray  # uint8 (64, 64, 3), decoded from z
    action: np.ndarray  # float32 (action_size,)
    reward: float  # of this step
    score: float  # with this step
    step: int  # from 1
    note: str = ""  # what the window says: real or dream, who acts


def median(scores: Sequence[float]) -> int:
    """The number of the episode with the median score: a real one, the upper of two."""
    return int(np.argsort(scores, kind="stable")[len(scores) // 2])


def evaluation_jobs(seed: int, episodes: int) -> list[Job]:
    """Episodes of seeds `seed`, `seed` + 1, ...: the same ones for everybody."""
    return [Job(seed + i, integer(seed + i, "watching")) for i in range(episodes)]


def score(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress
) -> list[Outcome]:
    """The outcomes of all jobs.

    parameters: float32 (num_parameters,), C's.
    stock: in the unmodified environment.
    """
    return drive(agent, parameters, jobs, max_steps, make=_maker(agent.spec, stock), progress=progress)


def score_exploration(
    spec: EnvironmentSpec, explore: Callable[[np.random.Generator], Explorer], jobs: list[Job], stock: bool,
    max_steps: int, progress: Progress,
) -> list[Outcome]:  # fmt: skip
    """As `score`, for a policy without V, M and C, such as an exploration of the spec."""
    return _play([_maker(spec, stock)()], ExplorationPolicy(explore, 1), jobs, max_steps, [], progress)


def record_episode(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], stock: bool, max_steps: int, progress: Progress, job: int
) -> list[Frame]:
    """Every STEPS_PER_FRAME'th step of job number `job`.

    Plays all jobs again, since the last digits of an episode depend on its batch.
    """
    make, seed = _maker(agent.spec, stock), jobs[job].env_seed
    frames = _FrameRecorder(agent, job)
    drive(
        agent, parameters, jobs, max_steps, frames,
        make=lambda: _Rendered(make(render_mode="rgb_array"), seed, STEPS_PER_FRAME), progress=progress,
    )  # fmt: skip
    return frames.frames


def trajectories(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], max_steps: int, progress: Progress
) -> tuple[list[Outcome], list[np.ndarray], list[np.ndarray]]:
    """Outcomes of all jobs, positions after each step, (steps, 2), and the lines of their tracks, (points, 2)."""
    recorder = _TrajectoryRecorder(agent.spec, len(jobs))
    outcomes = drive(agent, parameters, jobs, max_steps, recorder, progress=progress)
    return outcomes, [np.array(positions) for positions in recorder.positions], recorder.track_lines


def drive(
    agent: Agent, parameters: np.ndarray, jobs: list[Job], max_steps: int, observer: Observer | None = None, *,
    make: Callable[[], gymnasium.Env] | None = None, progress: Progress | None = None,
) -> list[Outcome]:  # fmt: skip
    """Plays all jobs in new environments, at most as many as the run was trained with.

    make: makes one. The environment of the spec if it is None.
    """
    num_envs = min(agent.config.controller_num_lane, len(jobs))
    envs = [(make or agent.spec.make)() for _ in range(num_envs)]
    policy = agent.policy(num_envs, parameters[None])
    if isinstance(observer, EnvObserver):
        observer.envs, observer.policy = envs, policy
    return _play(envs, policy, jobs, max_steps, [observer] if observer else [], progress)


class EnvObserver(Observer):
    """An observer that `drive` gives its environments and its policy."""

    envs: list[gymnasium.Env]
    policy: AgentPolicy


class _FrameRecorder(EnvObserver):
    def __init__(self, agent: Agent, job: int):
        self._agent, self._job = agent, job
        self.frames: list[Frame] = []

    def begin(self, job: int) -> None:
        if job == self._job:
            self._score, self._step = 0.0, 0
            self.frames.clear()

    def step(self, transition: Transition) -> None:
        env_index, job, obs, action, reward, _ = transition
        if job != self._job:
            return
        self._score, self._step = self._score + reward, self._step + 1
        view = self.envs[env_index].get_wrapper_attr("before")
        if view is not None:
            reconstruction = self._agent.codec.decode(self.policy.z[env_index : env_index + 1])[0]
            frame = Frame(view, obs.copy(), reconstruction, action.copy(), reward, self._score, self._step)
            self.frames.append(frame)


class _TrajectoryRecorder(EnvObserver):
    def __init__(self, spec: EnvironmentSpec, num_jobs: int):
        self._spec = spec
        self.positions: list[list[tuple[float, float]]] = [[] for _ in range(num_jobs)]
        self.track_lines = [np.zeros((0, 2))] * num_jobs

    def begin(self, job: int) -> None:
        self.positions[job].clear()

    def step(self, transition: Transition) -> None:
        env, job = self.envs[transition.env_index], transition.job
        if not self.positions[job]:
            self.track_lines[job] = self._spec.track_line(env)
        self.positions[job].append(self._spec.position(env))


class _Rendered(gymnasium.Wrapper):
    """Renders every `every`th step of the episode of one seed, before the step: what the action was decided on."""

    def __init__(self, env: gymnasium.Env, seed: int, every: int):
        super().__init__(env)
        self._seed, self._every = seed, every
        self._steps: int | None = None  # None in episodes of other seeds

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        result = self.env.reset(seed=seed, options=options)
        self._steps = 0 if seed == self._seed else None
        self._render()
        return result

    def step(self, action: np.ndarray) -> tuple:
        self.before = self._after
        result = self.env.step(action)
        if self._steps is not None:
            self._steps += 1
        self._render()
        return result

    def _render(self) -> None:
        wanted = self._steps is not None and self._steps % self._every == 0
        self._after = self.env.render() if wanted else None


class _Counter(Observer):
    """Shows how many jobs are done."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def end(self, job: int, outcome: Outcome) -> None:
        self._progress.advance()


def _maker(spec: EnvironmentSpec, stock: bool) -> Callable[..., gymnasium.Env]:
    return spec.make_stock if stock else spec.make


def _play(
    envs: list[gymnasium.Env], policy: Policy, jobs: list[Job], max_steps: int, observers: Sequence[Observer],
    progress: Progress | None,
) -> list[Outcome]:  # fmt: skip
    """Plays all jobs, then closes the environments."""
    if progress:
        progress.start(len(jobs), at_once=len(envs))
        observers = [*observers, _Counter(progress)]
    try:
        return rollout_episodes(envs, policy, jobs, max_steps, observers)
    finally:
        if progress:
            progress.close()
        for env in envs:
            env.close()
