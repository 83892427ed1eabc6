"""CarRacing as the agent sees it: Gymnasium's physics, track, reward and end, a 64x64 observation drawn directly."""

import cv2
import gymnasium

from utils.environments.car_racing.environment import SPEC, CarRacing, StockObservation

__all__ = ["SPEC", "CarRacing", "StockObservation"]

cv2.setNumThreads(1)  # pictures this small are drawn sooner than a second thread wakes, and workers share cores
gymnasium.register("WorldModels/CarRacing-v3", CarRacing, max_episode_steps=1000, reward_threshold=900)
