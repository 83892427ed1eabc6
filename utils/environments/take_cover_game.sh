#!/bin/sh
# Runs the game ($WORLD_MODELS_DOOM) where it may leave its files, and so that it ends with the process that plays it,
# even one that was killed. What it was started with is left there for that process.
cd "$WORLD_MODELS_SCRATCH" && mkdir -p _vizdoom && echo "$*" > arguments || exit 1
if setpriv --pdeathsig KILL true 2>/dev/null; then
  exec setpriv --pdeathsig KILL "$WORLD_MODELS_DOOM" "$@"
fi
exec "$WORLD_MODELS_DOOM" "$@"
