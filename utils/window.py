"""A live window, by pygame. With SDL_VIDEODRIVER=dummy it runs without a display."""

import pygame

from utils.errors import UsageError
from utils.figures.film import SIZE, Moment, compose

STEPS_A_SECOND = 50


class Closed(Exception):
    """The window was closed, by its button, Escape or q."""


class Window:
    """Shows moments as they come, in real time. Raises `Closed` from `show` when it is closed."""

    def __init__(self, title: str, action_names: tuple[str, ...]):
        try:
            pygame.display.init()
            self._screen = pygame.display.set_mode(SIZE)
        except pygame.error as error:
            raise UsageError(f"--window: no display ({error}); use --film FILE on a machine without one") from None
        pygame.display.set_caption(title)
        self._clock, self._action_names = pygame.time.Clock(), action_names

    def show(self, moment: Moment) -> None:
        for event in pygame.event.get():
            key = event.key if event.type == pygame.KEYDOWN else None
            if event.type == pygame.QUIT or key in (pygame.K_ESCAPE, pygame.K_q):
                pygame.display.quit()
                raise Closed
        frame = compose(moment, self._action_names)
        self._screen.blit(pygame.image.frombuffer(frame.tobytes(), frame.size, "RGB"), (0, 0))
        pygame.display.flip()
        self._clock.tick(STEPS_A_SECOND)
