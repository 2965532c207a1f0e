#!/bin/sh
# Exits 0 when the folder given holds nvml-list and vectoradd; the latter needs no library but glibc and the driver.
set -eu
: "${CUDA_ARCHITECTURES:?}" "${1:?usage: compile.sh FOLDER}"

# CUDA 13 no longer knows the oldest, CUDA 11 not yet the newest: what this compiler says it knows decides.
known=$(nvcc --list-gpu-arch) || {
    echo "ERROR nvcc does not say which GPUs it knows; is CUDA_IMAGE a devel image of CUDA 11.1 or newer?" >&2
    exit 1
}
known=" $(echo "$known" | tr '\n' ' ') "
wanted=$CUDA_ARCHITECTURES
CUDA_ARCHITECTURES=
for architecture in $wanted; do
    case "$known" in
    *" compute_$architecture "*) CUDA_ARCHITECTURES="$CUDA_ARCHITECTURES $architecture" ;;
    *) echo "left out: this nvcc does not know compute_$architecture" ;;
    esac
done
if [ -z "$CUDA_ARCHITECTURES" ]; then
    echo "ERROR this nvcc knows none of CUDA_ARCHITECTURES=\"$wanted\"; it knows:$known" >&2
    exit 1
fi
echo "machine code for:$CUDA_ARCHITECTURES"

mkdir -p "$1"
gcc -O2 -Wall -Wextra -Werror -o "$1/nvml-list" nvml_list.c -ldl
set -- "$1/vectoradd"
last=
for architecture in $CUDA_ARCHITECTURES; do
    set -- "$@" -gencode "arch=compute_$architecture,code=sm_$architecture"
    last=$architecture
done
output=$1
shift
# The GNU runtime goes in too: the final stage need not have the compiler's.
nvcc -O2 -cudart static -Xcompiler=-static-libstdc++,-static-libgcc "$@" \
    -gencode "arch=compute_$last,code=compute_$last" -o "$output" vectoradd.cu
