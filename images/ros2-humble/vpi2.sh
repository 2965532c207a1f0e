#!/bin/sh
# Exits 0 when VPI 2 is installed (with headers; with the argument `runtime`, without) from NVIDIA's Jetson repository.
# Its suite for Ubuntu 22.04 holds VPI 3 alone: the packages of the Ubuntu 20.04 suite are taken.
set -eu
: "${JETSON_APT_REPOSITORY:?}" "${JETSON_KEY_URL:?}"

architecture=$(dpkg --print-architecture)
if [ "$architecture" != amd64 ]; then
    echo "ERROR NITROS v0.20.0-dp cannot be built for $architecture on Ubuntu 22.04" >&2
    echo "  cause: it links libraries for amd64 with CUDA 11.7, or for JetPack 5.0.2 on Ubuntu 20.04" >&2
    echo "  fix: build with platform linux/amd64, or take Isaac ROS 3.2 by apt (docs/images.md)" >&2
    exit 1
fi
keyring=/usr/share/keyrings/jetson-ota.gpg
curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 120 "$JETSON_KEY_URL" |
    gpg --batch --yes --dearmor --output "$keyring"
echo "deb [signed-by=$keyring] $JETSON_APT_REPOSITORY/focal r35.1 main" >/etc/apt/sources.list.d/jetson.list
apt-get update
case ${1:-} in
runtime) set -- libnvvpi2 ;;
*) set -- libnvvpi2 vpi2-dev ;;
esac
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
