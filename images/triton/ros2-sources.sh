#!/bin/sh
# Exits 0 when the folder given holds ROS 2's sources at ROS2_RELEASE, `negotiated` and what extra.repos lists.
set -eu
: "${GITHUB_URL:?}" "${ROS2_REPOS_URL:?}" "${ROS2_RELEASE:?}" "${NEGOTIATED_COMMIT:?}" "${1:?usage: ros2-sources.sh FOLDER}"

mkdir -p "$1"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 120 --output "$list" \
    "$ROS2_REPOS_URL/$ROS2_RELEASE/ros2.repos"
for repos in "$list" /opt/ros2-tools/extra.repos; do
    sed -i "s|https://github.com|$GITHUB_URL|" "$repos"
    vcs import --shallow --retry 3 "$1" <"$repos"
done
git init -q "$1/negotiated"
git -C "$1/negotiated" fetch --depth 1 "$GITHUB_URL/osrf/negotiated.git" "$NEGOTIATED_COMMIT"
git -C "$1/negotiated" -c advice.detachedHead=false checkout -q FETCH_HEAD
