"""Controllers scored in the dream of a run: what a worker does with a part that is dreamed."""

import numpy as np

from models.dream import Dream, DreamRollout
from utils.agent.agent import Agent
from utils.agent.rollouts import Job, Outcome
from utils.dreams.batch import DreamNoise, InitialLatents
from utils.run.folder import RunFolder


class Dreams:
    """Dreams of an agent's M at the run's temperature, whole batches of them in one compiled graph."""

    def __init__(self, agent: Agent, run: RunFolder):
        config, spec = agent.config, agent.spec
        self._z_size = config.z_size
        self.temperature = config.controller_temperature
        self._starts = InitialLatents(run, config.z_size)
        self._rollout = DreamRollout(
            Dream(agent.rnn, spec.predicts), spec.activations, config.controller_inputs,
            config.controller_bias,
        )  # fmt: skip

    def play(self, candidates: np.ndarray, jobs: list[Job], max_steps: int) -> list[Outcome]:
        """Outcomes of jobs, which are the same number of episodes for each candidate, one candidate after another.

        A job's env_seed is all its luck: where it starts, and what M's mixture gives at each step.
        """
        of_a_candidate = jobs[: len(jobs) // len(candidates)]
        lucks = [DreamNoise(job.env_seed) for job in of_a_candidate]
        start = np.stack([self._starts.draw(luck.start) for luck in lucks])
        noise = zip(*(luck.draw(max_steps, self._z_size) for luck in lucks))
        uniform, normal = (np.stack(of_episodes, axis=1) for of_episodes in noise)
        scores, steps = self._rollout(candidates, start, uniform, normal, self.temperature)
        return [Outcome(float(score), int(count)) for score, count in zip(scores.ravel(), steps.ravel())]
