#!/bin/sh
# Exits 0 when this node has SSH host keys of its own, of the kinds that sshd uses by default.
set -eu

# The smallest RSA that clients take: ssh-keygen's own choice costs many seconds when all nodes start at once.
for kind in 'ecdsa' 'ed25519' 'rsa -b 2048'; do
    file=/etc/ssh/ssh_host_${kind%% *}_key
    # shellcheck disable=SC2086 # a list of words
    [ -s "$file" ] || ssh-keygen -q -N '' -C "$(hostname)" -f "$file" -t $kind
done
