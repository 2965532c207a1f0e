#!/bin/sh
# Exits 0 when the folder given holds nvml-list and vectoradd; the latter needs no library but glibc and the driver.
set -eu
: "${CUDA_ARCHITECTURES:?}" "${1:?usage: compile.sh FOLDER}"

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
