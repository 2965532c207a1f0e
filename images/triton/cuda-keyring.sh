#!/bin/sh
# Exits 0 when apt trusts NVIDIA's current CUDA signing key; changes nothing where the base image has no CUDA repository.
set -eu
: "${CUDA_APT_REPOSITORY:?}" "${CUDA_KEYRING_VERSION:?}" "${UBUNTU_RELEASE:?}"

lists=$(grep -lE 'compute/cuda/repos|compute/machine-learning/repos' /etc/apt/sources.list /etc/apt/sources.list.d/* \
    2>/dev/null || true)
lists="$lists $(grep -lF "$CUDA_APT_REPOSITORY" /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true)"
[ -n "$(echo "$lists" | tr -d ' ')" ] || exit 0
case $UBUNTU_RELEASE in
focal) release=ubuntu2004 ;;
jammy) release=ubuntu2204 ;;
*)
    echo "ERROR UBUNTU_RELEASE is '$UBUNTU_RELEASE'; allowed are focal and jammy" >&2
    exit 1
    ;;
esac
case $(dpkg --print-architecture) in
amd64) architecture=x86_64 ;;
arm64) architecture=sbsa ;;
*)
    echo "ERROR NVIDIA has no CUDA repository for $(dpkg --print-architecture); allowed are amd64 and arm64" >&2
    exit 1
    ;;
esac

# The old key by its file as newer images have it, and from the common keyring as apt-key put it there.
rm -f /etc/apt/trusted.gpg.d/cuda*.gpg
if command -v apt-key >/dev/null; then apt-key del 7fa2af80 >/dev/null 2>&1 || true; fi
# The package brings a source of its own: with the old one beside it apt refuses both (conflicting Signed-By).
for list in $lists; do
    sed -i -E '\#compute/(cuda|machine-learning)/repos#d' "$list"
    grep -vF "$CUDA_APT_REPOSITORY" "$list" >"$list.new" || true
    cat "$list.new" >"$list"
    rm -f "$list.new"
done

deb=$(mktemp --suffix=.deb)
trap 'rm -f "$deb"' EXIT
address=$CUDA_APT_REPOSITORY/$release/$architecture/cuda-keyring_${CUDA_KEYRING_VERSION}_all.deb
if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 120 --output "$deb" "$address"
else
    wget --quiet --tries=3 --timeout=60 --output-document="$deb" "$address"
fi
if [ -n "${CUDA_KEYRING_SHA256:-}" ]; then
    seen=$(sha256sum "$deb" | cut -d' ' -f1)
    if [ "$seen" != "$CUDA_KEYRING_SHA256" ]; then
        echo "ERROR $address: expected sha256 $CUDA_KEYRING_SHA256, seen $seen" >&2
        echo "  fix: set CUDA_KEYRING_SHA256 to the checksum of version $CUDA_KEYRING_VERSION" >&2
        exit 1
    fi
fi
dpkg --install "$deb"
case $CUDA_APT_REPOSITORY in
https://developer.download.nvidia.com/compute/cuda/repos) ;;
*)
    sed -i --follow-symlinks "s|https://developer.download.nvidia.com/compute/cuda/repos|$CUDA_APT_REPOSITORY|" \
        /etc/apt/sources.list.d/cuda*.list
    ;;
esac
