"""Scores controllers in dreams: what a worker does with a task in the dream."""

import numpy as np

from models.dream import DreamModel
from models.imagination import Imagination
from models.mdn_rnn import MDNRNN
from utils.agent.agent import Agent
from utils.agent.rollouts import Job, Outcome
from utils.dreams.noise import DreamNoise, InitialLatents
from utils.run.folder import RunFolder


class DreamEvaluator:
    """Dreams, whole batches of them as one compiled graph.

    rnns: the Ms among which the episodes of each candidate are dealt in turn. None: the agent's own alone.
    temperature: the run's `controller_temperature`. It may be set.
    """

    def __init__(self, agent: Agent, run: RunFolder, rnns: list[MDNRNN] | None = None):
        self.temperature = agent.config.controller_temperature
        self._z_size, self._rnn_size = agent.config.z_size, agent.config.rnn_size
        self._dropout = agent.config.controller_dream_dropout
        self._initial = InitialLatents(run, self._z_size)
        models = [DreamModel(rnn, agent.spec.predicts) for rnn in rnns or [agent.rnn]]
        self._imaginations = [Imagination(model, agent.controller) for model in models]

    def score(self, candidates: np.ndarray, jobs: list[Job], max_steps: int) -> list[Outcome]:
        """The outcomes of jobs: the same number of episodes for each candidate, one candidate after another.

        The env_seed of a job decides where its dream starts and its noise at each step.
        """
        noises = [DreamNoise(job.env_seed) for job in jobs[: len(jobs) // len(candidates)]]
        start = np.stack([self._initial.sample(noise.start) for noise in noises])
        drawn = zip(*(noise.draw(max_steps, self._z_size) for noise in noises))
        uniform, normal = (np.stack(episodes, axis=1) for episodes in drawn)
        masks = np.stack([noise.mask(self._rnn_size, self._dropout) for noise in noises]) if self._dropout else None
        scores, steps = (np.zeros((len(candidates), len(noises)), kind) for kind in (np.float32, np.int32))
        for first, imagination in enumerate(self._imaginations[: len(noises)]):
            dealt = slice(first, None, len(self._imaginations))
            scores[:, dealt], steps[:, dealt] = imagination.imagine(
                candidates,
                start[dealt],
                uniform[:, dealt],
                normal[:, dealt],
                self.temperature,
                None if masks is None else masks[dealt],
            )
        return [Outcome(float(score), int(count)) for score, count in zip(scores.ravel(), steps.ravel())]
