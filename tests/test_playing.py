"""Playing in the window, under SDL's dummy driver, with synthetic keys."""

import os
import subprocess
import sys

import numpy as np
import pygame
import pytest

from tests.helpers import ROOT
from utils.agent.agent import Agent
from utils.agent.evaluate import Frame
from utils.environments import get_spec
from utils.play.game import DreamPlay, Game, RealPlay
from utils.play.window import Window
from utils.run.folder import RunFolder

STILL = np.zeros(3, np.float32)
HARD_LEFT = np.float32([-1, 0, 0])


@pytest.fixture(scope="module")
def make(trained):
    run = RunFolder(trained / "tiny")
    agent = Agent(run.read_config(), run)
    parameters = np.random.default_rng(0).normal(0, 0.3, agent.controller.num_parameters).astype(np.float32)

    def make(dreaming: bool, max_steps: int = 1000) -> Game:
        return Game(
            lambda: RealPlay(agent, parameters, stock=False),
            lambda: DreamPlay(agent, run, parameters, 1.0),
            dreaming, 7, max_steps,
        )  # fmt: skip

    return make


@pytest.mark.parametrize("dreaming", [False, True])
def test_hands_change_and_episodes_follow_each_other(make, dreaming):
    game = make(dreaming, max_steps=6)
    frames = [game.step(HARD_LEFT)[0] for _ in range(3)]
    assert not any(np.array_equal(frame.action, HARD_LEFT) for frame in frames)
    game.switch_controller()
    frames += [game.step(HARD_LEFT)[0] for _ in range(3)]
    assert all(np.array_equal(frame.action, HARD_LEFT) for frame in frames[3:])
    assert [frame.step for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert frames[-1].score == pytest.approx(sum(frame.reward for frame in frames))
    assert [(seed, dreamed) for seed, dreamed, _ in game.scores] == [(7, dreaming)]
    assert (game.step(STILL)[0].step, game.seed) == (1, 8)
    assert all((frame.obs is None) == dreaming for frame in frames)


def test_what_a_person_does_is_what_m_remembers(make):
    """The same dream, driven by hand and by an agent that does the same, goes the same way."""
    watched, driven = make(dreaming=True), make(dreaming=True)
    driven.switch_controller()
    for _ in range(8):
        frame, _ = watched.step(STILL)
        same, _ = driven.step(frame.action)
        np.testing.assert_array_equal(frame.view, same.view)
        assert frame.reward == same.reward


def test_real_driving_by_hand_goes_through_m_as_well(make):
    watched, driven = make(dreaming=False), make(dreaming=False)
    actions = [watched.step(STILL)[0].action for _ in range(5)]
    driven.switch_controller()
    for action in actions:
        driven.step(action)
    driven.switch_controller()
    np.testing.assert_allclose(watched.step(STILL)[0].action, driven.step(STILL)[0].action, atol=1e-5)


def press(key, mod=0, kind=pygame.KEYDOWN):
    pygame.event.post(pygame.event.Event(kind, key=key, mod=mod))


def test_keys(make):
    game, spec = make(dreaming=True), get_spec("WorldModels/CarRacing-v3")
    window = Window("test", spec)
    shown: list[tuple[str, Frame]] = []
    keys = {
        2: lambda: press(pygame.K_m),
        3: lambda: press(pygame.K_LEFT),
        5: lambda: press(pygame.K_LEFT, kind=pygame.KEYUP),
        6: lambda: press(pygame.K_UP, mod=pygame.KMOD_LSHIFT),
        8: lambda: press(pygame.K_d),
        10: lambda: press(pygame.K_r),
        12: lambda: press(pygame.K_m),
        14: lambda: press(pygame.K_ESCAPE),
    }
    step = game.step

    def step_and_press(action):
        frame, over = step(action)
        shown.append((game.mode, frame))
        keys.get(len(shown), lambda: None)()
        return frame, over

    game.step = step_and_press
    window.run(game, episodes=1000)
    assert len(shown) == 14  # Escape closed it
    modes = [mode for mode, _ in shown]
    assert modes[0] == "dream, temperature 1.00, the agent acts"
    assert modes[2] == "dream, temperature 1.00, you act"
    assert [frame.action[0] for _, frame in shown[2:6]] == [0, -1, -1, 0]
    assert modes[6] == "dream, temperature 1.10, you act"
    assert modes[8] == "real, you act"
    assert [frame.step for _, frame in shown[8:12]] == [1, 2, 1, 2]  # begun again
    assert modes[12] == "real, the agent acts"


def test_without_a_display_a_line_says_so():
    """In a process of its own, which SDL would crash."""
    program = (
        "import os\n"
        "from utils.environments import get_spec\n"
        "from utils.system.errors import UsageError\n"
        "from utils.play.window import Window\n"
        "for driver in (None, 'offscreen', 'nonsense'):\n"
        "    if driver:\n"
        "        os.environ['SDL_VIDEODRIVER'] = driver\n"
        "    try:\n"
        "        Window('test', get_spec('WorldModels/CarRacing-v3'))\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
    )
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    env = {name: value for name, value in os.environ.items() if name not in displays}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("pygame-ce")]
    assert len(lines) == 3
    assert all(line.startswith("--window: no display (") for line in lines)
