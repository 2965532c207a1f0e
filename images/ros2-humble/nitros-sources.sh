#!/bin/sh
# Exits 0 when the folder given holds NITROS, its common package and `negotiated`, each at its pinned state and whole.
set -eu
: "${GITHUB_URL:?}" "${NITROS_TAG:?}" "${NEGOTIATED_COMMIT:?}" "${1:?usage: nitros-sources.sh FOLDER}"

mkdir -p "$1"
cd "$1"
git lfs install --skip-repo
for repository in isaac_ros_common isaac_ros_nitros; do
    git -c advice.detachedHead=false clone --depth 1 --branch "$NITROS_TAG" \
        "$GITHUB_URL/NVIDIA-ISAAC-ROS/$repository.git"
done
git init -q negotiated
git -C negotiated fetch --depth 1 "$GITHUB_URL/osrf/negotiated.git" "$NEGOTIATED_COMMIT"
git -C negotiated -c advice.detachedHead=false checkout -q FETCH_HEAD

# A clone without Git LFS leaves small text files in the libraries' place, and the linker's message names no cause.
pointers=$(grep -rlI '^version https://git-lfs.github.com/spec/' --include='*.so*' --include='*.a' . || true)
if [ -n "$pointers" ]; then
    echo "ERROR Git LFS files were not fetched, the first of them: $(echo "$pointers" | head -n 1)" >&2
    echo "  fix: make the LFS store of $GITHUB_URL reachable from the build" >&2
    exit 1
fi
