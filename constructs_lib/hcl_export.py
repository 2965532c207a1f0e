"""What `cdktf synth --hcl` cannot write by itself."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.cdk import (
    IConstruct,
    LocalExecProvisioner,
    RemoteExecProvisioner,
    TerraformDataSource,
    TerraformResource,
)
from constructs_lib.hcl_text import encoded
from constructs_lib.held_element import HeldElement
from constructs_lib.providers import HelmProvider, Release
from constructs_lib.struct_values import struct_values
from constructs_lib.terraform_data import TerraformData


def prepare_for_hcl(tree: IConstruct) -> None:
    """Rewrite the texts of provisioners below `tree` so that the HCL export holds them unchanged.

    CDKTF's HCL writer escapes no quote in a text that holds `${`, not even in an escaped one, and breaks lines inside
    of quoted texts: shell scripts come out as no HCL at all. Here they become `base64decode("...")`, which means the
    same. What `set_in_provisioner` added is repeated where the writer finds it: without that, what is meant for destroy
    would run at create. For an app that finds `SYNTH_HCL_OUTPUT=true` in its environment, as `cdktf synth --hcl` sets
    it; call it when the tree is complete, before `app.synth()`.

    Args:
        tree: The app, or a stack.
    """
    for node in tree.node.find_all():
        if isinstance(node, HeldElement):
            node = node.for_hcl()
        if isinstance(node, TerraformData):
            _prepare(node)
        elif isinstance(node, HelmProvider):
            _rewrite_helm_provider(node)
        elif isinstance(node, Release):
            # A text of several lines would get one more line break at its end.
            node.values = [encoded(text) for text in node.values]
        if isinstance(node, TerraformResource | TerraformDataSource):
            _rewrite_lifecycle(node)


def _prepare(resource: TerraformData) -> None:
    for index, provisioner in enumerate(resource.provisioner_structs):
        if isinstance(provisioner, RemoteExecProvisioner):
            if provisioner.inline is not None:
                for line, text in enumerate(provisioner.inline):
                    _set(resource, index, f"inline.{line}", encoded(text))
        elif isinstance(provisioner, LocalExecProvisioner):
            _set(resource, index, "command", encoded(provisioner.command))
        elif provisioner.content is not None:
            _set(resource, index, "content", encoded(provisioner.content))
    for name, argument in resource.arguments.items():
        resource.override_for_hcl(name, _texts_stay_texts(argument))
    for index, argument, value in resource.provisioner_settings:
        _set(resource, index, argument, value)


def _texts_stay_texts(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _texts_stay_texts(item) for key, item in value.items()}
    if isinstance(value, str) and value.isdecimal():
        # Written without quotes otherwise: another type in the state, for which the resource would be replaced.
        return f'${{"{value}"}}'
    return encoded(value) if isinstance(value, str) else value


def _rewrite_helm_provider(provider: HelmProvider) -> None:
    # The bindings write a block; the provider has an argument of that name since version 3.
    settings = provider.kubernetes_input
    given = struct_values(settings)
    provider.reset_kubernetes()
    provider.add_override("kubernetes", {name: _texts_stay_texts(value) for name, value in given.items()})


def _rewrite_lifecycle(element: TerraformResource | TerraformDataSource) -> None:
    lifecycle = element.lifecycle
    if not lifecycle:
        return
    arguments: dict[str, object] = {}
    if lifecycle.replace_triggered_by:
        # Terraform takes no quoted addresses here; a reference is written as it is.
        arguments["replace_triggered_by"] = {
            "type": "reference",
            "value": f"[{', '.join(str(address) for address in lifecycle.replace_triggered_by)}]",
        }
    if lifecycle.postcondition:
        # The writer makes an argument of the list, which Terraform does not know; in this form it makes blocks.
        blocks = [
            {"condition": condition.condition, "error_message": encoded(condition.error_message)}
            for condition in lifecycle.postcondition
        ]
        arguments["postcondition"] = {
            "isBlock": True,
            "type": "list",
            "storageClassType": "objectList",
            "value": blocks,
        }
    if arguments:
        element.lifecycle = None
        element.add_override("lifecycle", {"isBlock": True, "value": arguments})


def _set(resource: TerraformData, index: int, argument: str, value: object) -> None:
    # In the HCL writer's own form of a provisioner, the arguments are one level deeper than in JSON.
    resource.override_for_hcl(f"provisioner.{index}.{resource.provisioner_structs[index].type}.value.{argument}", value)
