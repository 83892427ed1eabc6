import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from utils.environments import describe
from utils.environments.car_racing import StockObservation
from utils.environments.car_racing_exploration import EXPLORATIONS
from utils.errors import UsageError

CAR = "WorldModels/CarRacing-v3"


def drive(env, rng):
    """Follows the track from its geometry, roughly, so that episodes drive, skid and leave the road."""
    unwrapped = env.unwrapped
    centre = np.array(unwrapped.track)[:, 2:4]
    position = np.array(unwrapped.car.hull.position)
    nearest = np.argmin(((centre - position) ** 2).sum(1))
    dx, dy = centre[(nearest + 5) % len(centre)] - position
    error = (np.arctan2(-dx, dy) - unwrapped.car.hull.angle + np.pi) % (2 * np.pi) - np.pi
    speed = np.hypot(*unwrapped.car.hull.linearVelocity)
    steer = np.clip(-1.5 * error + rng.normal(0, 0.3), -1, 1)
    return np.float32([steer, 0.6 * (speed < 55), 0.3 * (speed > 70)])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_car_racing_is_stock_with_the_same_picture(seed):
    ours, stock = gymnasium.make(CAR), StockObservation(gymnasium.make("CarRacing-v3"))
    rng = np.random.default_rng(seed)
    obs, expected = ours.reset(seed=seed)[0], stock.reset(seed=seed)[0]
    errors, far = [], []
    for _ in range(220):
        difference = np.abs(obs.astype(int) - expected)
        errors.append(difference.mean())
        far.append((difference.max(-1) > 32).mean())
        action = drive(stock, rng)
        obs, *ours_says = ours.step(action)
        expected, *stock_says = stock.step(action)
        assert ours_says[:3] == stock_says[:3]  # reward, terminated, truncated: to the last bit
        np.testing.assert_array_equal(ours.unwrapped.car.hull.position, stock.unwrapped.car.hull.position)
    assert np.mean(errors) < 1.5
    assert np.mean(far) < 0.01
    assert np.mean(errors[:50]) < 1.5  # the opening zoom


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


def test_gymnasiums_checker_is_content():
    check_env(gymnasium.make(CAR).unwrapped, skip_render_check=True)


def test_people_still_get_the_full_picture():
    env = describe(CAR).make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (400, 600, 3)


def test_stock_is_unmodified():
    assert describe(CAR).make_stock().unwrapped.__class__ is gymnasium.make("CarRacing-v3").unwrapped.__class__


def test_description_fits_the_environment():
    description = describe(CAR)
    env = description.make()
    assert env.action_space.shape == (description.action_size,) == (len(description.action_names),)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.spec.max_episode_steps == description.max_steps
    assert description.baseline in description.explorations
    assert all(path.is_file() for path in description.published_curves.values())
    with pytest.raises(UsageError, match="did you mean"):
        describe("CarRacing-v3")


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
    env = describe(CAR).make()
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
