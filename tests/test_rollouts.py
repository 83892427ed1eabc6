import gymnasium
import numpy as np
import pytest

from utils.agent.rollouts import Job, Observer, Patience, rollout_episodes
from utils.environments.spec import EpisodeLost


class Counting(gymnasium.Env):
    """An episode of seed + 3 steps, each worth its number; the picture's first pixel tells the step."""

    observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, seed=None, options=None):
        self.length, self.t = seed + 3, 0
        return self._picture(), {}

    def step(self, action):
        self.t += 1
        return self._picture(), float(self.t), self.t == self.length, False, {}

    def _picture(self):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[0, 0] = (self.t, self.length, 0)
        return picture


class Watching:
    """Notes what it is shown, and acts by the candidate of the job."""

    def __init__(self, num_envs):
        self.jobs, self.shown = [None] * num_envs, []

    def begin(self, env_index, job):
        self.jobs[env_index] = job

    def rest(self, env_index):
        self.jobs[env_index] = None

    def act(self, obs, reward_or_done):
        self.shown.append((obs[:, 0, 0].copy(), reward_or_done.copy()))
        return np.float32([[job.candidate if job else -1] for job in self.jobs])


class Notes(Observer):
    def __init__(self):
        self.begun, self.ended = [], []

    def begin(self, job):
        self.begun.append(job)

    def end(self, job, outcome):
        self.ended.append(job)


JOBS = [Job(env_seed=seed, draw_seed=0, candidate=index) for index, seed in enumerate((5, 0, 2, 7, 1, 0, 3))]


@pytest.mark.parametrize("num_envs", [1, 3, 7, 9])
def test_every_job_is_played_to_its_end_however_many_environments(num_envs):
    notes, policy = Notes(), Watching(num_envs)
    outcomes = rollout_episodes([Counting() for _ in range(num_envs)], policy, JOBS, 100, [notes])
    lengths = [job.env_seed + 3 for job in JOBS]
    assert [outcome.steps for outcome in outcomes] == lengths
    assert [outcome.score for outcome in outcomes] == [n * (n + 1) / 2 for n in lengths]
    assert sorted(notes.ended) == list(range(len(JOBS)))
    assert policy.jobs == [None] * num_envs  # all rest


def test_environments_are_refilled_at_once():
    policy = Watching(3)
    rollout_episodes([Counting() for _ in range(3)], policy, JOBS, 100)
    total = sum(job.env_seed + 3 for job in JOBS)
    assert len(policy.shown) <= total / 3 + 10


def test_the_policy_sees_each_frame_with_the_reward_that_came_with_it():
    policy = Watching(1)
    rollout_episodes([Counting()], policy, JOBS[:2], 100)
    frames = [(int(obs[0, 0]), float(reward_or_done[0])) for obs, reward_or_done in policy.shown]
    assert frames == [(t, float(t)) for t in range(8)] + [(t, float(t)) for t in range(3)]


def test_an_observer_gets_what_was_seen_done_and_received():
    steps = []

    class Keeper(Observer):
        def step(self, transition):
            _, job, obs, action, reward, terminated = transition
            steps.append((job, obs[0, 0, 0], action[0], reward, terminated))

    rollout_episodes([Counting(), Counting()], Watching(2), JOBS[:3], 4, [Keeper()])
    assert [step[1:] for step in steps if step[0] == 0] == [(t, 0.0, t + 1.0, False) for t in range(4)]
    assert [step[1:] for step in steps if step[0] == 1] == [(t, 1.0, t + 1.0, t == 2) for t in range(3)]
    assert {step[0] for step in steps} == {0, 1, 2}


class Stalling(Counting):
    """Gains something at each of its first four steps, and every tenth from the tenth on; -0.1 at all others."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, 1.0 if self.t <= 4 or self.t % 10 == 0 else -0.1, *rest


def test_what_comes_to_nothing_may_end_early_at_the_price_of_the_whole():
    jobs = [Job(env_seed=57, draw_seed=0), Job(env_seed=3, draw_seed=0)]  # 60 steps, 6 steps
    whole = rollout_episodes([Stalling()], Watching(1), jobs, 50)
    for patience in (10, 11, 50):  # 10 gains arrive just in time
        assert rollout_episodes([Stalling()], Watching(1), jobs, 50, patience=Patience(patience, -0.1)) == whole
    early = rollout_episodes([Stalling()], Watching(1), jobs, 50, patience=Patience(5, -0.1))
    assert [outcome.steps for outcome in early] == [9, 6]
    assert early[0].score == pytest.approx(4 - 0.1 * 46)  # as if nothing had come of the steps 10 to 50
    assert early[1] == whole[1]  # ended by itself before


def test_episodes_stop_at_the_step_limit():
    assert [outcome.steps for outcome in rollout_episodes([Counting()], Watching(1), JOBS, 4)] == [4, 3, 4, 4, 4, 3, 4]


class Breaking(Counting):
    """Is lost after its second step, the first `times` times."""

    def __init__(self, times):
        self.times = times

    def step(self, action):
        if self.t == 2 and self.times:
            self.times -= 1
            raise EpisodeLost("gone")
        return super().step(action)


def test_a_lost_episode_is_played_again_but_not_for_ever():
    notes = Notes()
    outcomes = rollout_episodes([Breaking(2), Counting()], Watching(2), JOBS, 100, [notes])
    assert outcomes == rollout_episodes([Counting(), Counting()], Watching(2), JOBS, 100)
    assert sorted(notes.begun) == [0, 0, 0, 1, 2, 3, 4, 5, 6]
    with pytest.raises(EpisodeLost, match="gone"):
        rollout_episodes([Breaking(3)], Watching(1), JOBS, 100)
