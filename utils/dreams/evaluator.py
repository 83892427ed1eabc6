"""Scores controllers in dreams: what a worker does with a task in the dream."""

import functools

import numpy as np

from models.dream import DreamState
from models.imagination import Imagination
from models.mdn_rnn import MDNRNN
from utils.agent.agent import Agent
from utils.agent.checkpoints import dream_model, load_rnn
from utils.agent.rollouts import Job, Outcome
from utils.dreams.noise import DreamNoise, dream_masks
from utils.dreams.starts import Anywhere, FirstFrames, Places, Starts
from utils.run.folder import RunFolder
from utils.run.provenance import dreaming_runs


class DreamEvaluator:
    """Dreams, whole batches of them as one compiled graph.

    rnns: the Ms among which the episodes of each candidate are dealt in turn.
    temperature: the run's `controller_temperature`. It may be set.
    """

    def __init__(self, agent: Agent, run: RunFolder, rnns: list[MDNRNN]):
        self.temperature = agent.config.controller_temperature
        self._rnns, self._config, self._run = rnns, agent.config, run
        self._imaginations = [Imagination(dream_model(rnn, agent.config), agent.controller) for rnn in self._rnns]

    @classmethod
    def of_run(cls, agent: Agent, run: RunFolder) -> "DreamEvaluator":
        """The dreams that C of this run learns in: of `controller_num_rnn` Ms."""
        others = dreaming_runs(agent.config, run)[1:]
        return cls(agent, run, [agent.rnn, *(load_rnn(agent.config, other) for other in others)])

    @functools.cached_property
    def _first_frames(self) -> list[Starts]:
        return [FirstFrames(self._config, self._run)] * len(self._rnns)

    @functools.cached_property
    def _anywhere(self) -> list[Starts]:
        places = Places(self._config, self._run)
        return [Anywhere(rnn, places) for rnn in self._rnns]

    def score(self, candidates: np.ndarray, jobs: list[Job], max_steps: int, anywhere: bool = False) -> list[Outcome]:
        """The outcomes of jobs: the same number of episodes for each candidate, one candidate after another.

        The env_seed of a job decides where its dream starts and its noise at each step.

        anywhere: dreams start anywhere in recorded episodes, not at their first frames.
        """
        noises = [DreamNoise(job.env_seed) for job in jobs[: len(jobs) // len(candidates)]]
        config, starts = self._config, self._anywhere if anywhere else self._first_frames
        begin = [starts[i % len(starts)].sample(noise.start) for i, noise in enumerate(noises)]
        start = [np.stack(part) for part in zip(*begin)]
        drawn = zip(*(noise.draw(max_steps, config.z_size) for noise in noises))
        uniform, normal = (np.stack(episodes, axis=1) for episodes in drawn)
        masks = dream_masks(noises, config)
        scores, steps = (np.zeros((len(candidates), len(noises)), kind) for kind in (np.float32, np.int32))
        for first, imagination in enumerate(self._imaginations[: len(noises)]):
            dealt = slice(first, None, len(self._imaginations))
            scores[:, dealt], steps[:, dealt] = imagination.imagine(
                candidates, DreamState(*(part[dealt] for part in start)), uniform[:, dealt], normal[:, dealt],
                self.temperature, None if masks is None else masks[dealt],
            )  # fmt: skip
        return [Outcome(float(score), int(count)) for score, count in zip(scores.ravel(), steps.ravel())]
