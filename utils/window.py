"""A live window, by pygame. With SDL_VIDEODRIVER=dummy it runs without a display."""

from collections.abc import Callable, Iterator

import pygame

from utils.errors import UsageError
from utils.figures.film import Moment, compose

STEPS_A_SECOND = 50


def show(episodes: Iterator[Iterator[Moment]], action_names: tuple[str, ...], title: str) -> list[float]:
    """Shows episodes one after the other until they end or the window is closed (Escape or q).

    Returns the scores of the episodes that were shown to their end.
    """
    try:
        pygame.display.init()
        screen = pygame.display.set_mode((816, 480))
    except pygame.error as error:
        raise UsageError(f"--window: no display ({error}); use --film FILE on a machine without one") from None
    pygame.display.set_caption(title)
    clock = pygame.time.Clock()
    scores: list[float] = []
    try:
        for episode in episodes:
            moment = None
            for moment in episode:
                if _closed(pygame.event.get):
                    return scores
                frame = compose(moment, action_names)
                screen.blit(pygame.image.frombuffer(frame.tobytes(), frame.size, "RGB"), (0, 0))
                pygame.display.flip()
                clock.tick(STEPS_A_SECOND)
            scores.append(moment.score)
        return scores
    finally:
        pygame.display.quit()


def _closed(events: Callable) -> bool:
    return any(
        event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key in (pygame.K_ESCAPE, pygame.K_q))
        for event in events()
    )
