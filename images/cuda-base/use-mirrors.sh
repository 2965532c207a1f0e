#!/bin/sh
# Exits 0 when apt's sources name the mirrors in UBUNTU_MIRROR and CUDA_APT_REPOSITORY, without a mirror Ubuntu's archive
# as it was at UBUNTU_SNAPSHOT; empty ones leave them as they are.
set -eu

UBUNTU_ADDRESSES='https?://(archive|security|ports)\.ubuntu\.com/ubuntu(-ports)?/?'
CUDA_ADDRESSES='https?://developer\.download\.nvidia\.com/compute/cuda/repos'

# rewrite EXTENDED_REGEXP ADDRESS: in every apt source, an address that matches becomes ADDRESS.
rewrite() {
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -e "$list" ] || continue
        # The separator is a control character: no address holds it.
        separator=$(printf '\001')
        sed -i --follow-symlinks -E "s$separator$1$separator$2$separator" "$list"
    done
}

if [ -n "${UBUNTU_MIRROR:-}" ]; then
    rewrite "$UBUNTU_ADDRESSES" "${UBUNTU_MIRROR%/}/"
elif [ -n "${UBUNTU_SNAPSHOT:-}" ]; then
    rewrite "$UBUNTU_ADDRESSES" "${UBUNTU_SNAPSHOT_URL%/}/$UBUNTU_SNAPSHOT/"
fi
if [ -n "${CUDA_APT_REPOSITORY:-}" ]; then rewrite "$CUDA_ADDRESSES" "${CUDA_APT_REPOSITORY%/}"; fi
