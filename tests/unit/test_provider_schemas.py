"""The schemas of the Terraform plugin stand-ins: read from bindings, whole, and never of another plugin version."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts.binding_gaps import GAPS
from lab.artifacts.binding_source import BindingError, BindingSource
from lab.artifacts.provider_schemas import BINDINGS, ProviderBinding, provider_schema

# What the generator of bindings writes for a resource with one of everything, shortened to what counts.
THING = """
export interface ThingConfig extends cdktf.TerraformMetaArguments {
}
export function thingMetadataToHclTerraform(struct?: ThingMetadata): any {
  const attrs = {
    labels: {
      value: cdktf.hashMapperHcl(cdktf.stringToHclTerraform)(struct!.labels),
      isBlock: false,
      type: "map",
      storageClassType: "stringMap",
    },
  };
}
export class ThingMetadataOutputReference extends cdktf.ComplexObject {
  public constructor(terraformResource: cdktf.IInterpolatingParent, terraformAttribute: string) {
    super(terraformResource, terraformAttribute, false, 0);
  }
  // labels - computed: false, optional: true, required: false
  private _labels?: { [key: string]: string };
  // uid - computed: true, optional: false, required: false
  public get uid() {
    return this.getStringAttribute('uid');
  }
}
export class ThingTimeoutsOutputReference extends cdktf.ComplexObject {
  public constructor(terraformResource: cdktf.IInterpolatingParent, terraformAttribute: string) {
    super(terraformResource, terraformAttribute, false);
  }
}
export class ThingPortsOutputReference extends cdktf.ComplexObject {
  // numbers - computed: true, optional: false, required: false
  public get numbers() {
    return cdktf.Token.asNumberList(cdktf.Fn.tolist(this.getNumberListAttribute('numbers')));
  }
}
export class ThingPortsList extends cdktf.ComplexList {
}
export class Thing extends cdktf.TerraformResource {
  constructor(scope: Construct, id: string, config: ThingConfig) {
    super(scope, id, {
      terraformGeneratorMetadata: {
        providerName: 'sample',
        providerVersion: '1.2.3',
      },
    });
  }
  // names - computed: false, optional: false, required: true
  private _names?: string[];
  public get names() {
    return cdktf.Fn.tolist(this.getListAttribute('names'));
  }
  // size - computed: true, optional: true, required: false
  private _size?: number;
  // tags - computed: true, optional: false, required: false
  private _tags = new cdktf.StringMap(this, "tags");
  // metadata - computed: false, optional: false, required: true
  private _metadata = new ThingMetadataOutputReference(this, "metadata");
  // ports - computed: false, optional: true, required: false
  private _ports = new ThingPortsList(this, "ports", true);
  // seen - computed: true, optional: false, required: false
  private _seen = new ThingPortsList(this, "seen", false);
  // timeouts - computed: false, optional: true, required: false
  private _timeouts = new ThingTimeoutsOutputReference(this, "timeouts");
  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      names: {
        value: cdktf.listMapperHcl(cdktf.stringToHclTerraform, false)(this._names),
        isBlock: false,
        type: "set",
        storageClassType: "stringList",
      },
      size: {
        value: cdktf.numberToHclTerraform(this._size),
        isBlock: false,
        type: "simple",
        storageClassType: "number",
      },
    };
  }
}
"""
PROVIDER = """
export class SampleProvider extends cdktf.TerraformProvider {
  constructor() {
    super({ terraformGeneratorMetadata: {
        providerVersion: '1.2.3',
    } });
  }
  // host - computed: false, optional: true, required: false
  private _host?: string;
  // alias - computed: false, optional: true, required: false
  private _alias?: string;
  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      host: {
        value: cdktf.stringToHclTerraform(this._host),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
      alias: {
        value: cdktf.stringToHclTerraform(this._alias),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
    };
  }
}
"""


def bindings(directory: Path, sources: dict[str, str]) -> Path:
    """An installed package of bindings with these TypeScript sources in its source maps."""
    archive = directory / "sample_bindings" / "_jsii" / "sample.tgz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as packed:
        for folder, text in sources.items():
            source_map = base64.b64encode(json.dumps({"sourcesContent": [text]}).encode()).decode()
            script = f"//# sourceMappingURL=data:application/json;base64,{source_map}".encode()
            member = tarfile.TarInfo(f"package/lib/{folder}/index.js")
            member.size = len(script)
            packed.addfile(member, io.BytesIO(script))
    return directory


def sample(*, version: str = "1.2.3", nested_attributes: bool = False) -> ProviderBinding:
    return ProviderBinding(
        source="lab/sample",
        version=version,
        package="sample_bindings",
        nested_attributes=nested_attributes,
        resources=("thing",),
        data_sources=(),
    )


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(GAPS, "sample", {})
    return bindings(tmp_path, {"thing": THING, "provider": PROVIDER})


def thing(site_packages: Path, **options: Any) -> dict[str, Any]:
    schema = provider_schema(binding=sample(**options), site_packages=site_packages)
    block: dict[str, Any] = schema["resource_schemas"]["sample_thing"]["block"]
    return block


def test_plain_attributes_have_their_types_and_flags(site_packages: Path) -> None:
    attributes = thing(site_packages)["attributes"]
    assert attributes["names"] == {"type": ["set", "string"], "required": True}
    assert attributes["size"] == {"type": "number", "computed": True, "optional": True}
    assert attributes["tags"] == {"type": ["map", "string"], "computed": True}


def test_a_single_block_is_a_list_of_at_most_one(site_packages: Path) -> None:
    metadata = thing(site_packages)["block_types"]["metadata"]
    assert (metadata["nesting_mode"], metadata["min_items"], metadata["max_items"]) == ("list", 1, 1)
    assert metadata["block"]["attributes"] == {
        "labels": {"type": ["map", "string"], "optional": True},
        "uid": {"type": "string", "computed": True},
    }


def test_a_repeated_block_is_a_set_where_the_bindings_wrap_one(site_packages: Path) -> None:
    ports = thing(site_packages)["block_types"]["ports"]
    assert ports["nesting_mode"] == "set"
    assert "max_items" not in ports


def test_timeouts_are_a_single_block(site_packages: Path) -> None:
    assert thing(site_packages)["block_types"]["timeouts"]["nesting_mode"] == "single"


def test_a_computed_block_is_an_attribute_of_an_object_type(site_packages: Path) -> None:
    block = thing(site_packages)
    assert "seen" not in block["block_types"]
    assert block["attributes"]["seen"] == {
        "computed": True,
        "type": ["list", ["object", {"numbers": ["set", "number"]}]],
    }


def test_a_framework_plugin_has_nested_attributes_instead_of_blocks(site_packages: Path) -> None:
    block = thing(site_packages, nested_attributes=True)
    assert "block_types" not in block
    assert block["attributes"]["metadata"]["required"] is True
    assert block["attributes"]["ports"]["nested_type"]["nesting_mode"] == "set"


def test_the_providers_alias_is_terraforms_own(site_packages: Path) -> None:
    schema = provider_schema(binding=sample(), site_packages=site_packages)
    assert list(schema["provider"]["block"]["attributes"]) == ["host"]


def test_bindings_of_another_plugin_version_are_refused(site_packages: Path) -> None:
    with pytest.raises(BindingError, match=r"binds lab/sample 1\.2\.3, expected 9\.9\.9"):
        provider_schema(binding=sample(version="9.9.9"), site_packages=site_packages)


def test_bindings_that_are_not_installed_are_said_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(BindingError, match=r"sample_bindings.*0 \.tgz files.*Pipfile\.lock"):
        provider_schema(binding=sample(), site_packages=tmp_path)


def test_a_type_that_the_bindings_lack_is_named(tmp_path: Path) -> None:
    with pytest.raises(BindingError, match="lib/thing"):
        provider_schema(binding=sample(), site_packages=bindings(tmp_path, {"provider": PROVIDER}))


def test_an_unknown_way_to_write_a_type_is_an_error_and_not_a_guess() -> None:
    source = BindingSource(THING.replace("this.getStringAttribute('uid')", "this.interpolate('uid')"))
    with pytest.raises(BindingError, match=r"ThingMetadata\.uid"):
        source.members("ThingMetadata")


@pytest.fixture(scope="module")
def installed() -> dict[str, dict[str, Any]]:
    """The schemas of the pinned bindings that this interpreter has."""
    if importlib.util.find_spec("cdktf") is None:
        pytest.skip("the stand-ins are built from CDKTF's bindings, which are not installed: docs/cdktn.md")
    return {binding.name: provider_schema(binding=binding) for binding in BINDINGS}


def test_every_gap_is_about_a_path_that_the_bindings_have(installed: dict[str, dict[str, Any]]) -> None:
    unknown = [
        f"{provider}: {path}" for provider, gaps in GAPS.items() for path in gaps if not _at(installed[provider], path)
    ]
    assert unknown == []


def test_the_pinned_bindings_say_what_the_stacks_rely_on(installed: dict[str, dict[str, Any]]) -> None:
    job = _at(installed["kubernetes"], "kubernetes_job_v1")["block"]["block_types"]
    assert (job["spec"]["min_items"], job["spec"]["max_items"], job["spec"]["nesting_mode"]) == (1, 1, "list")
    assert set(job["timeouts"]["block"]["attributes"]) == {"create", "update", "delete"}
    assert _at(installed["kubernetes"], "data.kubernetes_resources.objects")["type"] == "dynamic"
    assert _at(installed["kubernetes"], "kubernetes_secret_v1.data")["sensitive"] is True
    release = _at(installed["helm"], "helm_release")["block"]["attributes"]
    assert release["set"]["nested_type"]["nesting_mode"] == "list"
    assert release["set_wo"]["write_only"] is True
    assert _at(installed["helm"], "provider.kubernetes")["nested_type"]["nesting_mode"] == "single"
    build = _at(installed["docker"], "docker_image")["block"]["block_types"]["build"]
    assert (build["nesting_mode"], build["max_items"]) == ("set", 1)


def _at(schema: dict[str, Any], path: str) -> Any:
    """What lies at a path of GAPS; None when there is nothing."""
    first, *names = path.split(".")
    if first == "data":
        first, *names = names
        found = schema["data_source_schemas"].get(first)
    else:
        found = schema["provider"] if first == "provider" else schema["resource_schemas"].get(first)
    for name in names:
        if found is None:
            return None
        block = found.get("block") or found.get("nested_type") or {}
        found = block.get("attributes", {}).get(name) or block.get("block_types", {}).get(name)
    return found
