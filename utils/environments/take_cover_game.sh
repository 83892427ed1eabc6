#!/bin/sh
# Runs the game ($WORLD_MODELS_DOOM) so that it ends with the process that plays it, even one that was killed.
if command -v setpriv >/dev/null; then
  exec setpriv --pdeathsig KILL "$WORLD_MODELS_DOOM" "$@"
fi
exec "$WORLD_MODELS_DOOM" "$@"
