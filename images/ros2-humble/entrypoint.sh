#!/bin/bash
# Runs the command with ROS 2, the image's overlay and the mounted workspace in its environment; needs no network.
set -e

for setup in "/opt/ros/${ROS_DISTRO:-humble}/setup.bash" "${ROS_OVERLAY:+$ROS_OVERLAY/setup.bash}" \
    /myROS2/install/setup.bash; do
    # shellcheck source=/dev/null
    if [ -n "$setup" ] && [ -f "$setup" ]; then source "$setup"; fi
done
exec "$@"
