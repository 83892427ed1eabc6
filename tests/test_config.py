import pytest

from utils import config
from utils.errors import UsageError

CHAPTER = "config/carracing.yaml"


def fails(path, *overrides) -> str:
    with pytest.raises(UsageError) as error:
        config.load(path, overrides)
    return str(error.value)


def test_carracing_has_the_chapters_values():
    c = config.load(CHAPTER)
    assert (c.parallel_processes, c.max_trials, c.max_frames, c.num_episodes) == (8, 125, 300, 1000)
    assert (c.z_size, c.vae_batch_size, c.vae_num_epoch, c.vae_learning_rate) == (32, 100, 10, 1e-4)
    assert (c.rnn_batch_size, c.rnn_num_steps, c.rnn_size, c.rnn_num_mixture) == (100, 4000, 256, 5)
    assert (c.population, c.controller_num_episode, c.controller_num_generation) == (64, 16, 200)
    assert c.controller_sigma_init == 0.1


def test_overrides_and_extends(tmp_path):
    (tmp_path / "small.yaml").write_text("extends: base.yaml\nz_size: 8\n")
    (tmp_path / "base.yaml").write_text(open(CHAPTER).read())
    c = config.load(
        tmp_path / "small.yaml", ["rnn_num_steps=7", "vae_learning_rate=1e-3", "controller_inputs=[z, h, c]"]
    )
    assert (c.z_size, c.rnn_num_steps, c.vae_learning_rate, c.rnn_size) == (8, 7, 1e-3, 256)
    assert c.controller_inputs == ["z", "h", "c"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["rnn_num_step=5"], ["rnn_num_step", "unknown key", "did you mean rnn_num_steps?"]),
        (["z_size=many"], ["command line: z_size", "'many'", "integer"]),
        (["controller_num_episode={3: 4}"], ["controller_num_episode", "from generation 1 on"]),
        (["controller_num_episode={1: 4, 9: 0}"], ["controller_num_episode", "at least 1", "{1: 4, 50: 16}"]),
        (["z_size=0"], ["z_size", "greater than or equal to 1"]),
        (["seed=1.5"], ["seed", "1.5"]),
        (["vae_precision=half"], ["vae_precision", "'half'", "bfloat16"]),
        (["env_name=WorldModels/CarRacing-v2"], ["env_name", "did you mean WorldModels/CarRacing-v3?"]),
        (["exploration_policy=drunk"], ["exploration_policy", "'drunk'", "wander"]),
        (["exp_name=../elsewhere"], ["exp_name"]),
        (["controller_num_worker=1", "controller_num_worker_trial=2"], ["population of at least 4"]),
        (["nonsense"], ["'nonsense'", "key=value"]),
        (["z_size=[1"], ["z_size=[1", "not valid YAML"]),
    ],
)
def test_bad_settings_say_what_is_wrong(overrides, expected):
    message = fails(CHAPTER, *overrides)
    assert len(message.splitlines()) == 1
    for part in expected:
        assert part in message


def test_each_error_has_a_line():
    assert len(fails(CHAPTER, "z_size=0", "rnn_size=x", "sede=1").splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nseed: 2\n", "seed is given twice"),
        ("extends: me.yaml\n", "extends itself"),
        ("- a list\n", "key: value"),
        ("seed: [1\n", "not valid YAML"),
        ("extends: gone.yaml\n", "gone.yaml: No such file"),
        ("seed: 1\n", "missing"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, text, expected):
    (tmp_path / "me.yaml").write_text(text)
    assert expected in fails(tmp_path / "me.yaml")


def test_dump_is_read_back_the_same(tmp_path):
    c = config.load(CHAPTER, ["vae_learning_rate=3e-5"])
    (tmp_path / "config.yaml").write_text(config.dump(c))
    assert config.load(tmp_path / "config.yaml") == c


@pytest.mark.parametrize("path", ["config/quickstart.yaml", "tests/tiny.yaml"])
def test_shipped_files_are_valid(path):
    config.load(path)
