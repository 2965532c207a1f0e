#!/bin/sh
# Exits 0 when rosdep's sources are rosdistro's lists at ROSDISTRO_TAG. Replaces `rosdep init`, which fails when run twice.
set -eu
: "${ROSDISTRO_URL:?}" "${ROSDISTRO_TAG:?}"
list=/etc/ros/rosdep/sources.list.d/20-default.list
mkdir -p "$(dirname "$list")"
for name in base python ruby; do echo "yaml $ROSDISTRO_URL/$ROSDISTRO_TAG/rosdep/$name.yaml"; done >"$list"
