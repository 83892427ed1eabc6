"""A window in which one watches and plays, with pygame. SDL_VIDEODRIVER=dummy runs it without a display."""

import pygame

from utils.environments.spec import EnvironmentSpec
from utils.figures.film import SIZE, compose
from utils.play.game import Game
from utils.system.errors import UsageError

FACTOR = 1.1  # of the temperature, for each key press


class Closed(Exception):
    """The window was closed, by its button, Escape or q."""


class Window:
    """Shows a game in real time and passes the keys on to it. Raises `UsageError` if there is no display."""

    def __init__(self, title: str, spec: EnvironmentSpec):
        try:
            pygame.display.init()
            if pygame.display.get_driver() == "offscreen":  # SDL's last resort; the first picture would crash it
                raise pygame.error("SDL finds neither X11 nor Wayland")
            self._screen = pygame.display.set_mode(SIZE)
        except pygame.error as error:
            raise UsageError(f"--window: no display ({error}); use --film FILE on a machine without one") from None
        self._title, self._spec = title, spec
        self._clock = pygame.time.Clock()
        self._held: set[int] = set()

    def run(self, game: Game, episodes: int) -> None:
        """Plays until so many episodes are over or the window is closed."""
        try:
            while len(game.scores) < episodes:
                self._handle_keys(game)
                held = (key in self._held for key in (pygame.K_LEFT, pygame.K_RIGHT, pygame.K_UP, pygame.K_DOWN))
                frame, _ = game.step(self._spec.keyboard_action(*held))
                image = compose(frame, self._spec.action_names)
                self._screen.blit(pygame.image.frombuffer(image.tobytes(), image.size, "RGB"), (0, 0))
                pygame.display.set_caption(f"{self._title}: {game.mode}")
                pygame.display.flip()
                self._clock.tick(self._spec.steps_per_second)
        except Closed:
            pass
        finally:
            game.close()
            pygame.display.quit()

    def _handle_keys(self, game: Game) -> None:
        actions = {pygame.K_m: game.switch_controller, pygame.K_r: game.restart, pygame.K_d: game.switch_environment}
        for event in pygame.event.get():
            key = event.key if event.type in (pygame.KEYDOWN, pygame.KEYUP) else -1
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and key in (pygame.K_ESCAPE, pygame.K_q)):
                raise Closed
            if event.type == pygame.KEYUP:
                self._held.discard(key)
            elif event.type == pygame.KEYDOWN:
                if event.mod & pygame.KMOD_SHIFT and key in (pygame.K_UP, pygame.K_DOWN):
                    game.scale_temperature(FACTOR if key == pygame.K_UP else 1 / FACTOR)
                elif key in actions:
                    actions[key]()
                else:
                    self._held.add(key)
