#!/bin/sh
# In the place of systemctl and journalctl during a proof: starts, restarts and stops the one service that a step
# installs, from its unit file's ExecStart. Knows what the node's steps ask of it and refuses the rest.
set -eu

STATE=/run/prove-gpu-supervisor
UNITS=/etc/systemd/system
RESTART_SECONDS=5

if [ "$(basename "$0")" = journalctl ]; then
    lines=50 unit=''
    while [ $# -gt 0 ]; do
        case $1 in
        -n) lines=$2 && shift ;;
        -u) unit=$2 && shift ;;
        esac
        shift
    done
    tail -n "$lines" "/run/prove-gpu/$unit.log" 2>/dev/null || echo "$unit has not run"
    exit 0
fi

command='' unit='' now='' value=''
for word in "$@"; do
    case $word in
    --now) now=1 ;;
    --value) value=1 ;;
    -*) ;;
    *,*) ;;
    *) if [ -z "$command" ]; then command=$word; else unit=${word%.service}; fi ;;
    esac
done
supervisor() { cat "$STATE/$unit.pid" 2>/dev/null || true; }
is_active() { pid=$(cat "$STATE/$unit.main" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
stop() {
    for pid in $(supervisor) $(cat "$STATE/$unit.main" 2>/dev/null || true); do kill -KILL "$pid" 2>/dev/null || true; done
    rm -f "$STATE/$unit.pid" "$STATE/$unit.main"
}

case $command in
daemon-reload | enable | reset-failed) ;;
is-active)
    if is_active; then echo active; else
        echo inactive
        exit 3
    fi
    ;;
restart)
    program=$(sed -n 's/^ExecStart=//p' "$UNITS/$unit.service")
    [ -n "$program" ] || {
        echo "$UNITS/$unit.service has no ExecStart" >&2
        exit 1
    }
    stop
    mkdir -p "$STATE"
    # As Restart=always and RestartSec=5s of the unit file say.
    # shellcheck disable=SC2016 # for the shell that is started
    setsid sh -c 'while :; do $1 & echo $! >"$2.main"; wait $! || true; echo "ended, starts again in $3 s"; sleep "$3"; done' \
        supervise "$program" "$STATE/$unit" "$RESTART_SECONDS" >>"/run/prove-gpu/$unit.log" 2>&1 </dev/null &
    echo $! >"$STATE/$unit.pid"
    ;;
show)
    # What is asked for by its value is the number of restarts, which nobody counts here.
    if [ -n "$value" ]; then echo 0; elif is_active; then echo "ActiveState=active"; else echo "ActiveState=inactive"; fi ;;
disable) [ -z "$now" ] || stop ;;
stop | kill) stop ;;
*)
    echo "prove-gpu's supervisor does not know: systemctl $*" >&2
    exit 1
    ;;
esac
