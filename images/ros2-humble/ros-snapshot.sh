#!/bin/sh
# Exits 0 when apt takes ROS 2 from the snapshot ROS_SNAPSHOT, whose key has the fingerprint expected. Changes nothing when
# that is empty, or the packages come from a mirror. The source of ros2-apt-source stays there, switched off.
set -eu
: "${ROS_SNAPSHOT_URL:?}" "${ROS_SNAPSHOT_KEY_URL:?}" "${ROS_SNAPSHOT_KEY_FINGERPRINT:?}" "${ROS_APT_REPOSITORY:?}"
PUBLIC_REPOSITORY=http://packages.ros.org/ros2/ubuntu
SOURCE=/etc/apt/sources.list.d/ros2.sources
KEYRING=/usr/share/keyrings/ros-snapshots-archive-keyring.asc

if [ -z "${ROS_SNAPSHOT:-}" ] || [ "$ROS_APT_REPOSITORY" != "$PUBLIC_REPOSITORY" ]; then exit 0; fi

curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 120 --output "$KEYRING" \
    "$ROS_SNAPSHOT_KEY_URL"
seen=$(gpg --batch --show-keys --with-colons "$KEYRING" | awk -F: '$1 == "pub" { key = 1 } key && $1 == "fpr" { print $10; key = 0 }')
# One key and no other: apt would trust a second one too.
if [ "$seen" != "$ROS_SNAPSHOT_KEY_FINGERPRINT" ]; then
    rm -f "$KEYRING"
    echo "ERROR $ROS_SNAPSHOT_KEY_URL: expected the key $ROS_SNAPSHOT_KEY_FINGERPRINT, seen $(echo "${seen:-none}" | tr '\n' ' ')" >&2
    echo "  fix: compare with ROS 2's documentation, \"Snapshot repository\"; then set ROS_SNAPSHOT_KEY_FINGERPRINT" >&2
    exit 1
fi
chmod 0644 "$KEYRING"
grep -q '^Enabled: no$' "$SOURCE" || sed -i --follow-symlinks 's/^Types:/Enabled: no\nTypes:/' "$SOURCE"
echo "deb [signed-by=$KEYRING] ${ROS_SNAPSHOT_URL%/}/$ROS_SNAPSHOT/ubuntu jammy main" >/etc/apt/sources.list.d/ros2-snapshot.list
