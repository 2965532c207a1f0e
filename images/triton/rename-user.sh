#!/bin/sh
# Exits 0 when LOGIN exists with USER_UID and USER_GID, a home and bash. Triton's images hold a user 1000 already.
set -eu
: "${LOGIN:?}" "${USER_UID:?}" "${USER_GID:?}"

group=$(getent group "$USER_GID" | cut -d: -f1)
if [ -z "$group" ]; then
    groupadd --gid "$USER_GID" "$LOGIN"
elif [ "$group" != "$LOGIN" ]; then
    groupmod --new-name "$LOGIN" "$group"
fi
user=$(getent passwd "$USER_UID" | cut -d: -f1)
if [ -z "$user" ]; then
    # -l: without it a large uid would make a lastlog of many gigabytes.
    useradd -l --uid "$USER_UID" --gid "$USER_GID" --create-home --shell /bin/bash "$LOGIN"
elif [ "$user" != "$LOGIN" ]; then
    usermod --login "$LOGIN" --gid "$USER_GID" --home "/home/$LOGIN" --move-home --shell /bin/bash "$user"
fi
install -d -o "$USER_UID" -g "$USER_GID" "/home/$LOGIN"
