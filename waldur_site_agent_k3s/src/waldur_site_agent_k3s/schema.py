"""The settings in the form that the agent asks plugins for."""

from __future__ import annotations

from waldur_site_agent.common.plugin_schemas import PluginBackendSettingsSchema

from waldur_site_agent_k3s.settings import K3sSettings


class K3sSettingsSchema(K3sSettings, PluginBackendSettingsSchema):  # type: ignore[misc]  # The agent has no types here.
    """Checked by the agent when it reads its configuration, and by the backend again: the agent only warns."""
