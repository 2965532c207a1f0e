#!/bin/sh
# Exits 0 when this container sees EXPECTED_GPUS GPUs (default: at least one) and, where the image has it, a CUDA kernel
# gave right results on each. The last line, or the reason, is also in the pod's termination message.
set -eu

MESSAGE=${TERMINATION_MESSAGE_PATH:-/dev/termination-log}
PROGRAMS=${PROGRAMS_FOLDER:-/opt/gpu-check}

# Outside a pod there is no such file, and no right to make one.
message() { if [ -w "$MESSAGE" ]; then printf '%s\n' "$1" >"$MESSAGE"; fi; }

fail() {
    printf 'ERROR %s\n' "$1" >&2
    message "$1"
    exit 1
}

if [ -x "$PROGRAMS/nvml-list" ]; then
    gpus=$("$PROGRAMS/nvml-list") || fail "NVML does not answer; is the container started with the nvidia runtime?"
    printf '%s\n' "$gpus"
    uuids=$(printf '%s\n' "$gpus" | cut -d' ' -f2)
else
    command -v nvidia-smi >/dev/null || fail "no nvidia-smi; is the container started with the nvidia runtime?"
    uuids=$(nvidia-smi --query-gpu=uuid --format=csv,noheader) || fail "nvidia-smi failed: $uuids"
fi
# shellcheck disable=SC2086 # one word a UUID
set -- $uuids
expected=${EXPECTED_GPUS:-}
[ "$#" -gt 0 ] || fail "expected ${expected:-at least 1} GPUs, seen none"
[ -z "$expected" ] || [ "$#" -eq "$expected" ] || fail "expected $expected GPUs, seen $#: $*"

if [ -x "$PROGRAMS/vectoradd" ]; then
    results=$("$PROGRAMS/vectoradd") || fail "the CUDA kernel failed: ${results:-no result}"
    printf '%s\n' "$results"
    passed=$(printf '%s\n' "$results" | grep -c '^PASS ' || true)
    [ "$passed" -eq "$#" ] || fail "NVML sees $# GPUs, the CUDA kernel passed on $passed"
else
    echo "plain mode: no CUDA kernel was run"
fi
echo "$*"
message "$*"
# Pods that share a GPU keep it until all of them run.
[ -z "${HOLD_SECONDS:-}" ] || sleep "$HOLD_SECONDS"
