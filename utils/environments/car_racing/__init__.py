"""CarRacing with Gymnasium's physics, track, reward and end, and a 64x64 observation that is drawn directly."""

import cv2
import gymnasium

from utils.environments.car_racing.environment import SPEC, CarRacing, StockObservation

__all__ = ["SPEC", "CarRacing", "StockObservation"]

cv2.setNumThreads(1)  # a second thread would cost more than it gains, and workers share cores
gymnasium.register("WorldModels/CarRacing-v3", CarRacing, max_episode_steps=1000, reward_threshold=900)
