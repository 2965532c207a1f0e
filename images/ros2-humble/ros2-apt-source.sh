#!/bin/sh
# Exits 0 when apt knows the ROS 2 repository: key and source come with ros2-apt-source, whose sha256 was checked.
set -eu
: "${ROS2_APT_SOURCE_URL:?}" "${ROS2_APT_SOURCE_VERSION:?}" "${ROS2_APT_SOURCE_SHA256:?}" "${ROS_APT_REPOSITORY:?}"
PUBLIC_REPOSITORY=http://packages.ros.org/ros2/ubuntu
SOURCE=/etc/apt/sources.list.d/ros2.sources

# Hand-made sources and key copies of older images clash with the package's (Signed-By), and their key may have expired.
rm -f /etc/apt/sources.list.d/ros2*.list /etc/apt/sources.list.d/ros-*.list /usr/share/keyrings/ros-archive-keyring.gpg

deb=$(mktemp --suffix=.deb)
trap 'rm -f "$deb"' EXIT
address=$ROS2_APT_SOURCE_URL/$ROS2_APT_SOURCE_VERSION/ros2-apt-source_$ROS2_APT_SOURCE_VERSION.jammy_all.deb
curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 300 --output "$deb" "$address"
seen=$(sha256sum "$deb" | cut -d' ' -f1)
if [ "$seen" != "$ROS2_APT_SOURCE_SHA256" ]; then
    echo "ERROR $address: expected sha256 $ROS2_APT_SOURCE_SHA256, seen $seen" >&2
    echo "  fix: set ROS2_APT_SOURCE_SHA256 to the published checksum of version $ROS2_APT_SOURCE_VERSION for jammy" >&2
    exit 1
fi
chmod 0644 "$deb"
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$deb"

if [ "$ROS_APT_REPOSITORY" != "$PUBLIC_REPOSITORY" ]; then
    if ! grep -q "$PUBLIC_REPOSITORY" "$SOURCE"; then
        echo "ERROR $SOURCE does not name $PUBLIC_REPOSITORY: cannot point it at $ROS_APT_REPOSITORY" >&2
        exit 1
    fi
    sed -i --follow-symlinks "s|$PUBLIC_REPOSITORY|$ROS_APT_REPOSITORY|" "$SOURCE"
fi
