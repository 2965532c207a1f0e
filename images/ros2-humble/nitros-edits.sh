#!/bin/sh
# Exits 0 when both edits of isaac_ros_nitros pull request 8 ("build on humble") are in the checkout given; idempotent.
# They belong to v0.20.0-dp: later releases moved the first file and have the second edit.
set -eu
: "${1:?usage: nitros-edits.sh FOLDER_OF_ISAAC_ROS_NITROS}"
cd "$1"

HEADER=isaac_ros_nitros/gxf/include/gxf/std/parameter_storage.hpp
SOURCE=isaac_ros_nitros_type/isaac_ros_nitros_image_type/src/nitros_image.cpp

# fail FILE CAUSE
fail() {
    printf 'ERROR %s: %s\n  fix: check out v0.20.0-dp, or drop this step where upstream has the fix\n' "$1" "$2" >&2
    exit 1
}

for file in "$HEADER" "$SOURCE"; do
    [ -f "$file" ] || fail "$file" "there is no such file under $(pwd); another release?"
done

# std::unique_lock is used there, and newer compilers no longer bring <mutex> along with <shared_mutex>.
if grep -q '^#include <mutex>' "$HEADER"; then
    echo "$HEADER: has <mutex> already"
else
    grep -q '^#include <memory>' "$HEADER" || fail "$HEADER" "has no line '#include <memory>' to put <mutex> after"
    sed -i '/^#include <memory>/a #include <mutex>' "$HEADER"
    echo "$HEADER: added <mutex>"
fi

if grep -q '^#include "sensor_msgs/image_encodings.hpp"' "$SOURCE"; then
    echo "$SOURCE: includes image_encodings.hpp by its Humble path already"
else
    grep -q '^#include "sensor_msgs/sensor_msgs/image_encodings.hpp"' "$SOURCE" ||
        fail "$SOURCE" "includes image_encodings.hpp by neither of its two paths"
    sed -i 's|^#include "sensor_msgs/sensor_msgs/image_encodings.hpp"|#include "sensor_msgs/image_encodings.hpp"|' "$SOURCE"
    echo "$SOURCE: includes image_encodings.hpp by its Humble path"
fi
