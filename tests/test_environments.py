import gc
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.box2d import car_racing as stock
from gymnasium.utils.env_checker import check_env

from tests.helpers import ROOT
from utils.environments import get_spec
from utils.environments.car_racing.exploration import EXPLORATIONS
from utils.environments.car_racing.reference import StockSometimesDrawn, drive, steer_towards
from utils.system.errors import UsageError

CAR = "WorldModels/CarRacing-v3"


def race(env, rng):
    return drive(env, rng, noise=0.0)


def skid(env, rng):
    """Full gas, wheels thrown about every few seconds, now and then locked: spins, grass, the road again."""
    steer, gas, _ = drive(env, rng)
    if env.unwrapped.t % 5 > 4:
        return np.float32([rng.choice([-1, 1]), 1, rng.random() < 0.1])
    return np.float32([steer, gas, 0.95 * (rng.random() < 0.02)])


def leave(env, rng):
    return np.float32([steer_towards(env, 1, 0), 0.5, 0])


def act_at_random(env, rng):
    return np.float32([rng.uniform(-1, 1), rng.uniform(), rng.uniform()])


def state(env) -> list:
    car = env.unwrapped.car
    bodies = [(*b.position, b.angle, *b.linearVelocity, b.angularVelocity) for b in (car.hull, *car.wheels)]
    wheels = [(w.gas, w.brake, w.steer, w.omega, w.phase, len(w.tiles)) for w in car.wheels]
    return [bodies, wheels, env.unwrapped.tile_visited_count, env.unwrapped.reward]


@pytest.mark.parametrize("driver", [race, drive, skid, leave, act_at_random])
def test_the_world_is_stocks_to_the_last_bit_and_the_picture_nearly(driver):
    """Whole episodes, up to the end of the lap or of the playfield, with pictures of every stage."""
    ours, theirs = gymnasium.make(CAR).unwrapped, StockSometimesDrawn()
    pictures = []  # (step, mean error, share of pixels that are far off, the same where the car is)
    returns, marks, fastest, ends = 0, 0, 0.0, set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        obs, _ = ours.reset(seed=seed)
        theirs.reset(seed=seed)
        assert state(ours) == state(theirs)
        on_road = True
        for step in range(1000):
            if step % 40 == 3 * seed or step in (1, 10, 20, 30):
                difference = np.abs(obs.astype(int) - theirs.picture())
                far = difference.max(axis=-1) > 32
                pictures.append((step, difference.mean(), far.mean(), far[50:60, 29:35].mean()))
            action = driver(theirs, rng)
            obs, *outcome = ours.step(action)
            _, *expected = theirs.step(action)
            assert outcome == expected
            assert state(ours) == state(theirs)
            was_on, on_road = on_road, any(wheel.tiles for wheel in ours.car.wheels)
            returns += on_road and not was_on
            marks += theirs.car.wheels[2].skid_particle is not None
            fastest = max(fastest, np.hypot(*ours.car.hull.linearVelocity))
            if outcome[1]:
                ends.add(outcome[3]["lap_finished"])
                break
    steps, error, far, far_at_car = np.array(pictures).T
    for stage in (steps >= 0, steps < 50):  # all of them, and the opening zoom
        assert error[stage].mean() < 1.5
        assert far[stage].mean() < 0.01
        assert far_at_car[stage].mean() < 0.05
    if driver is race:
        assert True in ends
        assert fastest > 55
    elif driver is leave:
        assert False in ends
    elif driver is skid:
        assert returns > 10
        assert marks > 1000


def test_an_episode_does_not_depend_on_what_was_driven_before():
    used, fresh = gymnasium.make(CAR), gymnasium.make(CAR)
    rng = np.random.default_rng(0)
    used.reset(seed=5)
    for _ in range(50):
        used.step(drive(used, rng))
    np.testing.assert_array_equal(used.reset(seed=9)[0], fresh.reset(seed=9)[0])
    for _ in range(150):
        action = drive(fresh, rng)
        (obs, *outcome), (expected, *expected_outcome) = used.step(action), fresh.step(action)
        np.testing.assert_array_equal(obs, expected)
        assert outcome[:3] == expected_outcome[:3]


def test_nothing_of_an_episode_outlives_it():
    """Box2D kept some 900 objects and 149 KB an episode."""
    env = gymnasium.make(CAR)

    def play(seeds) -> int:
        """Returns how many objects are alive then."""
        for seed in seeds:
            env.reset(seed=seed)
            env.step(np.float32([0, 1, 0]))
        gc.collect()
        return len(gc.get_objects())

    before = play(range(10))
    assert play(range(10, 70)) - before < 60 * 10
    for seed in range(20):
        env.close()
        env.close()  # twice does no harm
        env = gymnasium.make(CAR)
        env.reset(seed=seed)
    assert play([0]) - before < 80 * 10


def test_gymnasiums_checker_is_content():
    check_env(gymnasium.make(CAR).unwrapped, skip_render_check=True)


def test_people_still_get_the_full_picture():
    env = get_spec(CAR).make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (400, 600, 3)


def test_stock_is_unmodified_and_shown_as_ours():
    env = get_spec(CAR).make_stock()
    assert type(env.unwrapped) is stock.CarRacing
    obs, ours = env.reset(seed=0)[0], gymnasium.make(CAR).reset(seed=0)[0]
    assert obs.shape == ours.shape
    assert np.abs(obs.astype(int) - ours).mean() < 1.5


def test_description_fits_the_environment():
    spec = get_spec(CAR)
    env = spec.make()
    assert env.action_space.shape == (spec.action_size,) == (len(spec.action_names),)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.spec.max_episode_steps == spec.max_steps
    assert spec.baseline_policy in spec.explorations
    assert all(len(curve.points()) > 1 for curve in spec.published_curves)
    with pytest.raises(UsageError, match="did you mean"):
        get_spec("CarRacing-v3")


@pytest.mark.parametrize("name", EXPLORATIONS)
def test_exploration_is_valid_and_repeatable(name):
    space = gymnasium.make(CAR).action_space
    obs = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)

    def actions(seed):
        explorer = EXPLORATIONS[name](np.random.default_rng(seed))
        return np.stack([explorer(seen) for seen in obs])

    first = actions(1)
    assert first.dtype == np.float32
    assert all(space.contains(action) for action in first)
    np.testing.assert_array_equal(first, actions(1))
    assert not np.array_equal(first, actions(2))


def test_wandering_reaches_speed_leaves_the_road_and_comes_back():
    env = get_spec(CAR).make()
    speeds, on_road, returns = [], [], 0
    for seed in range(6):
        explorer = EXPLORATIONS["wander"](np.random.default_rng(seed))
        obs, was_on = env.reset(seed=seed)[0], True
        for _ in range(300):
            obs, *_ = env.step(explorer(obs))
            car = env.unwrapped.car
            on = any(wheel.tiles for wheel in car.wheels)
            returns += on and not was_on
            was_on = on
            on_road.append(on)
            speeds.append(np.hypot(*car.hull.linearVelocity))
    assert np.percentile(speeds, 90) > 40
    assert 0.3 < np.mean(on_road) < 0.95
    assert returns >= 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.env.reward += 1000.0 /", "self.env.reward += 1001.0 /"),
        ("tile.idx == 0", "tile.idx <= 1"),
        ("PLAYFIELD = 2000 / SCALE", "PLAYFIELD = 2001 / SCALE"),
        ("# inherit tile color from env", "# another comment, and the same rule"),
    ],
)
def test_another_gymnasium_that_scores_by_another_rule_is_refused(tmp_path, old, new):
    """All of the installed package, linked, but for one line of CarRacing."""
    package = Path(gymnasium.__file__).parent

    def link(source: Path, target: Path, inside: tuple[str, ...]) -> None:
        target.mkdir()
        for path in source.iterdir():
            if path.name == inside[0]:
                link(path, target / path.name, inside[1:]) if inside[1:] else copy(path, target / path.name)
            elif path.name != "__pycache__":
                (target / path.name).symlink_to(path)

    def copy(source: Path, target: Path) -> None:
        text = source.read_text()
        assert old in text
        target.write_text(text.replace(old, new))

    link(package, tmp_path / "gymnasium", ("envs", "box2d", "car_racing.py"))
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from utils.environments import get_spec\n"
        "from utils.system.errors import UsageError\n"
        f"spec = get_spec({CAR!r})\n"
        "for make in (spec.make, spec.make_stock):\n"
        "    try:\n"
        "        make()\n"
        "        print('made')\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(ROOT)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2
    for line in said:
        assert line == "made" if "comment" in new else "another CarRacing rule" in line, line
