#!/bin/sh
# Exits 0 when the folder given holds nvml-list and vectoradd; the latter needs no CUDA library at run time.
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
nvcc -O2 -cudart static "$@" -gencode "arch=compute_$last,code=compute_$last" -o "$output" vectoradd.cu
