#!/bin/sh
# Runs the game ($WORLD_MODELS_DOOM) so that it ends with the process that plays it, even one that was killed. It is
# started in a folder where the game may leave its files. What it was started with is left there for that process.
mkdir -p _vizdoom && echo "$*" > arguments || exit 1
exec < /dev/null
if setpriv --pdeathsig KILL true 2>/dev/null; then
  exec setpriv --pdeathsig KILL "$WORLD_MODELS_DOOM" "$@"
fi
exec "$WORLD_MODELS_DOOM" "$@"
