"""The five steps of the pipeline."""

from enum import IntEnum


class Step(IntEnum):
    ROLLOUTS = 1
    VAE = 2
    SERIES = 3
    RNN = 4
    CONTROLLER = 5

    @property
    def folder(self) -> str:
        """In the run folder."""
        return self.name.lower()

    @property
    def script(self) -> str:
        return _SCRIPTS[self]


_SCRIPTS = {
    Step.ROLLOUTS: "01_generate_data.py",
    Step.VAE: "02_train_vae.py",
    Step.SERIES: "03_generate_rnn_data.py",
    Step.RNN: "04_train_rnn.py",
    Step.CONTROLLER: "05_train_controller.py",
}
