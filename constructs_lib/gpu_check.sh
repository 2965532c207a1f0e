# Exits 0 when this container sees exactly the GPUs it was given; says which in the termination message.
# Shell builtins and nvidia-smi only: the toolkit brings nvidia-smi into any image. Where GPUs are shared, sleep too.
if ! uuids=$(nvidia-smi --query-gpu=uuid --format=csv,noheader 2>&1); then
    echo "nvidia-smi failed: $uuids" >/dev/termination-log
    exit 1
fi
count=0
seen=
for uuid in $uuids; do
    count=$((count + 1))
    seen="$seen${seen:+ }$uuid"
    # With the plugin's default device list the allocation is in this variable; with CDI it is "void" or unset.
    case ${NVIDIA_VISIBLE_DEVICES:-} in
    GPU-*)
        case ,$NVIDIA_VISIBLE_DEVICES, in
        *,"$uuid",*) ;;
        *)
            echo "sees $uuid, which is not in its allocation $NVIDIA_VISIBLE_DEVICES" >/dev/termination-log
            exit 1
            ;;
        esac
        ;;
    esac
done
if [ "$count" -ne "$EXPECTED_GPUS" ]; then
    echo "expected $EXPECTED_GPUS GPUs, seen $count: $seen" >/dev/termination-log
    exit 1
fi
echo "$seen" >/dev/termination-log
# Pods that share a GPU keep it until all of them run.
[ -z "${HOLD_SECONDS:-}" ] || sleep "$HOLD_SECONDS"
