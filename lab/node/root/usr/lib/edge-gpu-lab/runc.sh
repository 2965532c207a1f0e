#!/bin/sh
# Becomes K3s's own runc, for containers that ask for no lower oom_score_adj than this node may set (it may not lower it).
set -eu

bundle='' process=''
previous=''
for word in "$@"; do
    case $previous in
    --bundle | -b) bundle=$word ;;
    --process | -p) process=$word ;;
    esac
    previous=$word
done
for file in ${bundle:+"$bundle/config.json"} ${process:+"$process"}; do
    [ ! -f "$file" ] || sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$file"
done
exec /var/lib/rancher/k3s/data/current/bin/runc "$@"
