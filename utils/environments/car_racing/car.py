"""CarRacing's car with the same forces to the last bit, but faster to step.

Stock computes each wheel with NumPy scalars, asks Box2D twice for one rotation and records skid marks that the
observation never shows. The arithmetic here is stock's, operation by operation, in Python floats.
"""

from math import copysign, sqrt

from gymnasium.envs.box2d import car_dynamics as stock

GRASS_FRICTION = stock.FRICTION_LIMIT * 0.6
STIFFNESS = 205000 * stock.SIZE * stock.SIZE  # turns a difference of speeds into a force
BRAKE = 15  # radians per second a step, at full brake


class Car(stock.Car):
    """Stock's car, with state under the same names, but no skid marks and no count of fuel."""

    def steer(self, s: float) -> None:
        super().steer(float(s))

    def gas(self, gas: float) -> None:
        gas = min(max(float(gas), 0.0), 1.0)
        for wheel in self.wheels[2:4]:
            wheel.gas += min(gas - wheel.gas, 0.1)

    def brake(self, b: float) -> None:
        super().brake(float(b))

    def step(self, dt: float) -> None:
        for wheel in self.wheels:
            joint = wheel.joint
            turn = wheel.steer - joint.angle
            joint.motorSpeed = copysign(min(50.0 * abs(turn), 3.0), turn)

            limit = stock.FRICTION_LIMIT if wheel.tiles else GRASS_FRICTION
            forward_x, forward_y = wheel.GetWorldVector((0, 1))
            velocity_x, velocity_y = wheel.linearVelocity
            omega = wheel.omega
            if wheel.gas:
                omega += dt * stock.ENGINE_POWER * wheel.gas / stock.WHEEL_MOMENT_OF_INERTIA / (abs(omega) + 5.0)
            brake = wheel.brake
            if brake >= 0.9:
                omega = 0.0
            elif brake > 0:
                omega -= copysign(min(BRAKE * brake, abs(omega)), omega)
            wheel.phase += omega * dt

            # The side's unit vector is (forward_y, -forward_x), as Box2D's own rotation has it.
            force = -(forward_x * velocity_x + forward_y * velocity_y) + omega * wheel.wheel_rad
            slip = -(forward_y * velocity_x + -forward_x * velocity_y)
            force *= STIFFNESS
            slip *= STIFFNESS
            total = sqrt(force * force + slip * slip)
            if total > limit:
                force = force / total * limit
                slip = slip / total * limit
            wheel.omega = omega - dt * force * wheel.wheel_rad / stock.WHEEL_MOMENT_OF_INERTIA
            wheel.ApplyForceToCenter(
                (slip * forward_y + force * forward_x, slip * -forward_x + force * forward_y), True
            )
