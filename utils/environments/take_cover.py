"""The environment `WorldModels/TakeCover-v0`, ViZDoom's take_cover, and its spec.

Imps throw fireballs from the far wall of a room, more of them as time passes. The agent moves left and right and tries
to live long. Chapter, "Doom: Take Cover"; paper, section 4.
"""

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import gymnasium
import numpy as np

from utils.environments.spec import EnvironmentSpec, EpisodeLost, PublishedCurve, PublishedTemperature
from utils.environments.take_cover_exploration import EXPLORATIONS
from utils.system import shared_memory
from utils.system.errors import UsageError

SIZE = 64
SCREEN = "RES_160X120"  # the smallest one; at 64x64 its fireballs look like in larger ones
STOCK_SCREEN = "RES_320X240"  # that of take_cover.cfg
MAX_STEPS = 2100
STEPS_PER_SECOND = 35
SHARED_MEMORY = 300_000  # bytes, of which a game with STOCK_SCREEN uses 264 KB


class TakeCover(gymnasium.Env):
    """ViZDoom's own take_cover.cfg. A step is a tic.

    Observation: uint8 (64, 64, 3).
    Action: float32 (1,) in [-1, 1]. The lower third moves left, the upper third right.
    Reward: 1 for each step.
    End: death, which ViZDoom decides.
    `render()`: the game's own picture.

    Raises `UsageError` if ViZDoom is not installed or cannot run here, and `EpisodeLost` when the game's process died.
    The next reset then starts another game.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": STEPS_PER_SECOND}

    def __init__(self, render_mode: str | None = None, screen: str = SCREEN):
        _vizdoom()
        self.render_mode, self._screen = render_mode, screen
        self._game: Any = None
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        game_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        with self._losing():
            if self._game is None:
                self._game = _start(self._screen)
            self._game.set_seed(game_seed)
            self._game.new_episode()
        self._screen_buffer = self._game.get_state().screen_buffer
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        move = float(action[0])
        with self._losing():
            reward = self._game.make_action([move < -1 / 3, move > 1 / 3], 1)
            over = self._game.is_episode_finished()
            dead = over and self._game.is_player_dead()
        if not over:  # a finished episode has no state
            self._screen_buffer = self._game.get_state().screen_buffer
        return self._observation(), reward, dead, over and not dead, {}

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        """Turns ViZDoom's errors for a dead process into `EpisodeLost`."""
        vizdoom = _vizdoom()
        lost = (
            vizdoom.ViZDoomUnexpectedExitException, vizdoom.ViZDoomErrorException,
            vizdoom.ViZDoomIsNotRunningException, vizdoom.SharedMemoryException, vizdoom.MessageQueueException,
        )  # fmt: skip
        try:
            yield
        except lost as error:
            self.close()
            raise EpisodeLost(f"a game of Doom died: {error}") from None

    def _observation(self) -> np.ndarray:
        return cv2.resize(self._screen_buffer, (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def render(self) -> np.ndarray | None:
        return self._screen_buffer.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        if self._game is not None:
            self._game.close()
            self._game = None


def _vizdoom() -> ModuleType:
    try:
        import vizdoom
    except ImportError:
        raise UsageError(
            "WorldModels/TakeCover-v0 needs ViZDoom: pip install -c constraints.txt -e '.[doom]'"
        ) from None
    return vizdoom


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A folder of this process. Games write into their working directory, and would disturb each other in one."""
    return tempfile.TemporaryDirectory(prefix="doom_")


@functools.cache
def _launcher() -> str:
    """take_cover_game.sh, or an executable copy if it has no execute permission, or lies on a noexec mount."""
    script = Path(__file__).with_name("take_cover_game.sh")
    if os.access(script, os.X_OK):
        return str(script)
    copy = Path(_scratch().name) / script.name
    shutil.copyfile(script, copy)
    copy.chmod(0o700)
    if not os.access(copy, os.X_OK):
        raise UsageError(
            f"{script} is not executable, and no program can run from {copy.parent.parent} either: "
            "`chmod +x` the first, or set TMPDIR to a folder on a file system that is not mounted noexec"
        )
    return str(copy)


def _start(screen: str) -> Any:
    """A `vizdoom.DoomGame`, which is a process of its own."""
    vizdoom = _vizdoom()
    package = Path(str(vizdoom.__file__)).parent
    doom = package / "vizdoom"
    if not os.access(doom, os.X_OK):
        raise UsageError(f"{doom} is not executable: `chmod +x` it, or install ViZDoom on another file system")
    shared_memory.require(SHARED_MEMORY, "the frames of a game of Doom")
    game = vizdoom.DoomGame()
    game.load_config(str(Path(vizdoom.scenarios_path) / "take_cover.cfg"))
    game.set_doom_game_path(str(package / "freedoom2.wad"))  # otherwise ViZDoom prefers a doom2.wad
    game.set_screen_resolution(getattr(vizdoom.ScreenResolution, screen))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    os.environ["WORLD_MODELS_DOOM"] = str(doom)
    game.set_vizdoom_path(_launcher())
    game.set_doom_config_path(os.devnull)  # otherwise all games write the same file
    with contextlib.chdir(_scratch().name):  # init() reads a _vizdoom.cfg in the working directory
        game.init()
    _unlink_shared_memory((Path(_scratch().name) / "arguments").read_text())
    return game


def _unlink_shared_memory(arguments: str) -> None:
    """Deletes the names of the memory that the newest game shares with this process. Both have it open already.

    The memory is then freed when both have ended, in any way. ViZDoom would leave 8 MB behind.
    """
    instance = arguments.split("viz_instance_id ", 1)[1].split()[0]
    for name in "ViZDoomSM", "ViZDoomMQCtr", "ViZDoomMQDoom":
        Path("/dev/shm", name + instance).unlink(missing_ok=True)


gymnasium.register(
    "WorldModels/TakeCover-v0", f"{__name__}:TakeCover", max_episode_steps=MAX_STEPS, reward_threshold=750
)


def _make(render_mode: str | None = None) -> gymnasium.Env:
    return gymnasium.make("WorldModels/TakeCover-v0", render_mode=render_mode, disable_env_checker=True)


def _make_stock(render_mode: str | None = None) -> gymnasium.Env:
    """The same game, with the screen size of take_cover.cfg."""
    return gymnasium.make("WorldModels/TakeCover-v0", render_mode=render_mode, screen=STOCK_SCREEN)


def _position(env: gymnasium.Env) -> tuple[float, float]:
    variable, game = _vizdoom().GameVariable, env.get_wrapper_attr("_game")
    return game.get_game_variable(variable.POSITION_X), game.get_game_variable(variable.POSITION_Y)


SPEC = EnvironmentSpec(
    env_id="WorldModels/TakeCover-v0",
    episode_noun="game",
    make=_make,
    make_stock=_make_stock,
    activations=("tanh",),
    action_names=("move",),
    predicts="done",
    pip_extra="doom",
    keyboard_action=lambda left, right, up, down: np.array([right - left], np.float32),
    max_steps=MAX_STEPS,
    steps_per_second=STEPS_PER_SECOND,
    explorations=EXPLORATIONS,
    baseline_policy="uniform",
    position=_position,
    published_curves=(
        PublishedCurve(
            "the original (hardmaru): candidates in the dream, mean", "learning_curve_doom_hardmaru.csv", 64
        ),
    ),
    published_temperatures=(  # paper, table 2; chapter, figure 12-19
        PublishedTemperature(0.10, (2086, 140), (193, 58)),
        PublishedTemperature(0.50, (2060, 277), (196, 50)),
        PublishedTemperature(1.00, (1145, 690), (868, 511)),
        PublishedTemperature(1.15, (918, 546), (1092, 556)),
        PublishedTemperature(1.30, (732, 269), (753, 139)),
    ),
)
