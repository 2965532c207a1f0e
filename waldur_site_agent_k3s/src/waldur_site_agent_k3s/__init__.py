"""Backend of waldur-site-agent for a K3s cluster: an order becomes a namespace with a GPU quota."""
