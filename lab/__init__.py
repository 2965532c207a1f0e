"""The embedded lab: a site mirror and node containers to bootstrap a real K3s GPU cluster on one machine."""
