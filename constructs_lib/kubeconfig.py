"""The administrator's kubeconfig."""

from __future__ import annotations

import json

API_PORT = 6443


def kubeconfig(*, cluster_name: str, server_address: str) -> bytes:
    """A kubeconfig that names the credentials as files beside it, so that no key is there twice.

    Args:
        cluster_name: Name of the cluster and the context.
        server_address: Host name or IP address of a server.
    """
    host = f"[{server_address}]" if ":" in server_address else server_address
    cluster, user = json.dumps(cluster_name), json.dumps(f"{cluster_name}-admin")
    return f"""\
apiVersion: v1
kind: Config
current-context: {cluster}
clusters:
  - name: {cluster}
    cluster:
      server: {json.dumps(f"https://{host}:{API_PORT}")}
      certificate-authority: server-ca.crt
users:
  - name: {user}
    user:
      client-certificate: client.crt
      client-key: client.key
contexts:
  - name: {cluster}
    context:
      cluster: {cluster}
      user: {user}
""".encode()
