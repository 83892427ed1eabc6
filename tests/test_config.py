from pathlib import Path

import pytest

from utils.run import config
from utils.system.errors import UsageError
from utils.system.files import user_path

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
        (["controller_num_episode={3: 4}"], ["controller_num_episode", "what holds from 1 on"]),
        (["controller_num_episode={1: 4, 9: 0}"], ["controller_num_episode", "at least 1", "{1: 4, 50: 16}"]),
        (["z_size=0"], ["z_size", "greater than or equal to 1"]),
        (["seed=1.5"], ["seed", "1.5"]),
        (["vae_precision=half"], ["vae_precision", "'half'", "bfloat16"]),
        (["env_name=WorldModels/CarRacing-v2"], ["env_name", "did you mean WorldModels/CarRacing-v3?"]),
        (["exploration_policy=drunk"], ["exploration_policy", "'drunk'", "wander"]),
        (["exp_name=../elsewhere"], ["exp_name"]),
        (["controller_num_worker=1", "controller_num_worker_trial=2"], ["population of at least 4"]),
        (
            ["env_name=WorldModels/TakeCover-v0", "exploration_policy=held", "controller_dream_reward=drawn"],
            ["controller_dream_reward", "no idle_reward"],
        ),
        (["controller_hard_fraction=0.5"], ["controller_hard_fraction", "hard for which C?", "previous_run"]),
        (["previous_run=a", "controller_hard_fraction=0.02"], ["0.02 of controller_num_episode 16", "one episode"]),
        (["controller_environment=dream", "controller_hard_fraction=0.5"], ["dreams have no tracks"]),
        (["controller_environment=dream", "controller_num_mean=2"], ["controller_num_mean", "is the last mean"]),
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


WORDS = (
    "2e10", "1e5", "1_000", "0x10", "0b1", "0o7", "017", "12", "1.5", "1.", "12e03", "2024-06-01", "on", "off", "yes",
    "no", "y", "n", "null", "true", "False", "NaN", "1_2.5", "_", "x-y.z",
)  # fmt: skip


def test_dump_is_read_back_the_same_whatever_the_words(tmp_path):
    c = config.load(CHAPTER, ["vae_learning_rate=3e-5"])
    for word in WORDS:
        there = c.model_copy(update={"exp_name": word, "previous_run": f"runs/{word}", "runs_folder": word})
        (tmp_path / "config.yaml").write_text(config.dump(there))
        assert config.load(tmp_path / "config.yaml") == there


@pytest.mark.parametrize("word", WORDS)
def test_words_are_taken_as_they_stand(tmp_path, word):
    assert config.load(CHAPTER, [f"exp_name={word}"]).exp_name == word
    (tmp_path / "plain.yaml").write_text(
        f"extends: {Path(CHAPTER).absolute()}\nexp_name: {word}\nruns_folder: '{word}'\n"
    )
    c = config.load(tmp_path / "plain.yaml")
    assert (c.exp_name, c.runs_folder) == (word, word)
    assert config.load(CHAPTER, ["previous_run=null"]).previous_run is None


def test_the_home_folder_is_known_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "base.yaml").write_text(open(CHAPTER).read())
    (tmp_path / "mine.yaml").write_text("extends: ~/base.yaml\nruns_folder: ~/runs\n")
    c = config.load("~/mine.yaml", ["previous_run=~/runs/before"])
    assert (c.runs_folder, c.previous_run) == (f"{tmp_path}/runs", f"{tmp_path}/runs/before")
    assert user_path("~/film.webp") == tmp_path / "film.webp"


@pytest.mark.parametrize(
    "override", ["env_name=WorldModels/CarRacing-v2", "exploration_policy=drunk", "vae_shuffle_frames=1000"]
)
def test_what_does_not_agree_is_sought_where_it_was_said(tmp_path, override):
    (tmp_path / "mine.yaml").write_text(f"extends: {Path(CHAPTER).absolute()}\nvae_batch_size: 2000\n")
    assert fails(tmp_path / "mine.yaml", override).startswith("command line: ")
    if override.startswith("vae"):
        (tmp_path / "mine.yaml").write_text(
            f"extends: {Path(CHAPTER).absolute()}\nvae_batch_size: 2000\nvae_shuffle_frames: 1000"
        )
        assert fails(tmp_path / "mine.yaml").startswith(f"{tmp_path / 'mine.yaml'}: vae_batch_size")


@pytest.mark.parametrize("path", ["config/quickstart.yaml", "tests/tiny.yaml"])
def test_shipped_files_are_valid(path):
    config.load(path)
