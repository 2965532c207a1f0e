#!/bin/sh
# Exits 0 when the command in the container did: the current folder at /myROS2, the GPUs, and no more rights than that.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/runcontainer.sh [options] IMAGE [COMMAND...]

Starts IMAGE with the GPUs, the current folder at /myROS2, the X11 socket when there is a display, and the cameras,
serial lines and render nodes that are plugged in. Run again from the same folder, it enters the container that runs.

  --dry-run        print the command and do not run it
  --name NAME      container name (default: made of image and folder)
  --folder FOLDER  mounted at /myROS2 (default: the current folder)
  --gpus LIST      all, none, or GPU numbers or UUIDs with commas (default: all)
  --host-network   share the host's network: ROS 2 then finds nodes on other machines
  --no-devices     no device files
  --any-driver     do not compare the host's NVIDIA driver with what the image needs
  --help           this text
TEXT
}

# fail WHAT FIX
fail() {
    printf 'ERROR %s; fix: %s\n' "$1" "$2" >&2
    exit 1
}

wrong_usage() {
    printf 'ERROR %s; see scripts/runcontainer.sh --help\n' "$1" >&2
    exit 2
}

dry_run='' name='' folder=$PWD gpus=all host_network='' devices=yes any_driver=''
while [ $# -gt 0 ]; do
    case $1 in
    --name | --folder | --gpus)
        if [ $# -lt 2 ] || [ -z "$2" ]; then wrong_usage "$1 needs a value"; fi
        case $1 in
        --name) name=$2 ;;
        --folder) folder=$2 ;;
        --gpus) gpus=$2 ;;
        esac
        shift
        ;;
    --dry-run) dry_run=yes ;;
    --host-network) host_network=yes ;;
    --no-devices) devices='' ;;
    --any-driver) any_driver=yes ;;
    --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    -*) wrong_usage "unknown option $1" ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || wrong_usage "no image is named"
image=$1
shift
[ -d "$folder" ] || fail "--folder $folder is no folder" "name one that exists"
folder=$(cd "$folder" && pwd)
case $folder in
*,* | *\"*) fail "the folder $folder has a comma or quote in its name, which docker's --mount does not take" "rename it" ;;
esac

# --- the engine and the image
command -v docker >/dev/null || fail "there is no docker command" "install Docker Engine: https://docs.docker.com/engine/install"
if ! seen=$(docker version --format '{{.Server.Version}}' 2>&1); then
    case $seen in
    *"permission denied"*) fail "you may not use the Docker engine" "sudo usermod -aG docker $(id -un), then log in again" ;;
    *) fail "the Docker engine does not answer (${DOCKER_HOST:-local})" "sudo systemctl start docker, or set DOCKER_HOST" ;;
    esac
fi
if ! docker image inspect "$image" >/dev/null 2>&1; then
    case $image in
    myros2* | triton-* | edge-gpu-check*)
        fail "there is no image $image here" "cdktf deploy edge-images (its fleet file must list the image), or docs/images.md for docker build"
        ;;
    *) fail "there is no image $image here" "docker pull $image, or build it: docs/images.md" ;;
    esac
fi

# run_or_print COMMAND...: the end of this script.
run_or_print() {
    [ -n "$dry_run" ] || exec "$@"
    for word in "$@"; do
        case $word in
        '' | *[!A-Za-z0-9_./:=,@%+-]*) printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")" ;;
        *) printf '%s ' "$word" ;;
        esac
    done
    printf '\n'
    exit 0
}

terminal=''
if [ -t 0 ] && [ -t 1 ]; then terminal=yes; fi

# --- a container that runs already is entered
if [ -z "$name" ]; then
    slug=$(printf '%s' "${image##*/}" | tr -c 'A-Za-z0-9_.-' '-')
    name=edge-$slug-$(printf '%s' "$folder" | cksum | cut -d' ' -f1)
fi
# A GpuContainer carries its name in the label alone; where it is just being replaced, the newest counts.
running=$(docker ps --filter "label=edge-gpu.container=$name" --format '{{.Names}}' | head -n 1)
name=${running:-$name}
if state=$(docker container inspect --format '{{.State.Status}}' "$name" 2>/dev/null); then
    [ "$state" = running ] || fail "a container $name exists and is $state" "docker start $name and run this again, or docker rm $name"
    # An exec does not pass the entrypoint, which is what sources ROS 2.
    entry=$(docker container inspect --format '{{range .Config.Entrypoint}}{{.}} {{end}}' "$name")
    [ $# -gt 0 ] || set -- /bin/bash
    # shellcheck disable=SC2086 # the entrypoint's words
    set -- $entry "$@"
    run_or_print docker exec --interactive ${terminal:+--tty} "$name" "$@"
fi

# --- what it gets; each option is put in front of the image and its command
set -- "$image" "$@"
local_engine=yes
case ${DOCKER_HOST:-} in
'' | unix://*) ;;
*)
    local_engine=''
    echo "WARNING $DOCKER_HOST is another machine: its folder $folder is mounted, and no display or device of this one" >&2
    ;;
esac

if [ "$gpus" != none ]; then
    runtimes=$(docker info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}')
    # Engines before 25 know no CDI, and a docker command before 25 not the field.
    cdi_folders=$(docker info --format '{{range .CDISpecDirs}}{{.}} {{end}}' 2>/dev/null || true)
    case " $runtimes" in
    *" nvidia "*)
        set -- --runtime nvidia --env "NVIDIA_VISIBLE_DEVICES=$gpus" --env NVIDIA_DRIVER_CAPABILITIES=all "$@"
        ;;
    *)
        # shellcheck disable=SC2086 # one word a folder
        if [ -z "$cdi_folders" ] || ! grep -rqs 'nvidia.com/gpu' $cdi_folders; then
            fail "the Docker engine has neither the nvidia runtime nor a CDI specification of nvidia.com/gpu" \
                "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker (or --gpus none)"
        fi
        for gpu in $(printf '%s' "$gpus" | tr , ' '); do set -- --device "nvidia.com/gpu=$gpu" "$@"; done
        ;;
    esac
    needed=$(docker image inspect --format '{{index .Config.Labels "edge-gpu.driver.minimum"}}' "$image" 2>/dev/null || true)
    if [ -n "$needed" ] && [ -n "$local_engine" ] && [ -z "$any_driver" ] && command -v nvidia-smi >/dev/null; then
        driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
        branch=${driver%%.*}
        case $branch in
        '' | *[!0-9]*) ;;
        *)
            [ "$branch" -ge "$needed" ] || fail "$image needs NVIDIA driver $needed or newer, this host has $driver" \
                "install a newer driver, take an image for an older CUDA, or --any-driver on a data-centre GPU (docs/images.md)"
            ;;
        esac
    fi
fi

if [ -n "$local_engine" ]; then
    display=${DISPLAY:-}
    number=${display#:}
    number=${number%%.*}
    socket=${X11_FOLDER:-/tmp/.X11-unix}/X$number
    # A display of another host (ssh -X) has no socket here.
    if [ "$display" != "${display#:}" ] && [ -e "$socket" ]; then
        set -- --env "DISPLAY=$display" --mount "type=bind,source=$socket,target=/tmp/.X11-unix/X$number,readonly" "$@"
        if [ -f "${XAUTHORITY:-}" ]; then
            # The cookie is for this host's name.
            set -- --hostname "$(uname -n)" --env XAUTHORITY=/run/x-authority \
                --mount "type=bind,source=$XAUTHORITY,target=/run/x-authority,readonly" "$@"
        fi
    fi
    if [ -n "$devices" ]; then
        root=${DEVICE_FOLDER:-/dev}
        groups=' '
        for device in "$root"/video[0-9]* "$root"/ttyUSB[0-9]* "$root"/ttyACM[0-9]* "$root"/dri/renderD[0-9]*; do
            [ -c "$device" ] || continue
            set -- --device "$device" "$@"
            group=$(stat -L -c %g "$device")
            case $groups in
            *" $group "*) ;;
            *)
                groups="$groups$group "
                [ "$group" -eq 0 ] || set -- --group-add "$group" "$@"
                ;;
            esac
        done
    fi
    # The images' user is 1000: whoever has another number could not write into the folder.
    if [ "$(id -u)" -ne 0 ] && [ "$(id -u)" -ne 1000 ]; then
        set -- --user "$(id -u):$(id -g)" --env HOME=/tmp "$@"
    fi
fi
[ -z "$host_network" ] || set -- --network host "$@"

run_or_print docker run --rm --interactive ${terminal:+--tty} --init --name "$name" --label "edge-gpu.container=$name" \
    --security-opt no-new-privileges --shm-size 1g \
    --mount "type=bind,source=$folder,target=/myROS2" --workdir /myROS2 "$@"
