package helmrelease

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

const hidden = "(sensitive value)"

// mergedValues are the values a release gets: the YAML texts in order, then set, set_list, set_sensitive and set_wo.
func mergedValues(value, config Object) (map[string]any, error) {
	merged := map[string]any{}
	for index, text := range tfvalue.Strings(value, "values") {
		layer := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &layer); err != nil {
			return nil, &plugin.Problem{Path: plugin.At("values", index), Summary: "values is no YAML object", Detail: err.Error()}
		}
		merged = chartutil.MergeTables(layer, merged)
	}
	lists := [][]Object{tfvalue.Blocks(value, "set"), tfvalue.Blocks(value, "set_sensitive"), tfvalue.Blocks(config, "set_wo")}
	for _, one := range tfvalue.Blocks(value, "set_list") {
		items := strings.Join(tfvalue.Strings(one, "value"), ",")
		if err := strvals.ParseInto(fmt.Sprintf("%s={%s}", tfvalue.String(one, "name"), items), merged); err != nil {
			return nil, setProblem("set_list", one, err)
		}
	}
	for index, list := range lists {
		for _, one := range list {
			if err := setOne(one, merged); err != nil {
				return nil, setProblem([]string{"set", "set_sensitive", "set_wo"}[index], one, err)
			}
		}
	}
	return merged, nil
}

func setOne(one Object, merged map[string]any) error {
	assignment := tfvalue.String(one, "name") + "=" + tfvalue.String(one, "value")
	switch kind := tfvalue.String(one, "type"); kind {
	case "", "auto":
		return strvals.ParseInto(assignment, merged)
	case "string":
		return strvals.ParseIntoString(assignment, merged)
	case "literal":
		return strvals.ParseLiteralInto(assignment, merged)
	default:
		return fmt.Errorf(`type %q; allowed are "auto", "string", "literal"`, kind)
	}
}

// setProblem names the setting but not its value, which may be sensitive.
func setProblem(list string, one Object, _ error) error {
	return &plugin.Problem{
		Path:    plugin.At(list),
		Summary: fmt.Sprintf("%s: the value of %q cannot be set", list, tfvalue.String(one, "name")),
		Detail:  `Write name as a path such as "image.tag", escape dots and commas with a backslash, or use type = "literal".`,
	}
}

// shown is the values' JSON for the state, with sensitive ones hidden.
func shown(values map[string]any, state Object) string {
	text, err := json.Marshal(cloaked(values, state))
	if err != nil {
		return "{}"
	}
	return string(text)
}

func cloaked(values map[string]any, state Object) map[string]any {
	copied, _ := plainJSON(values).(map[string]any)
	for _, list := range []string{"set_sensitive", "set_wo"} {
		for _, one := range tfvalue.Blocks(state, list) {
			if strvals.ParseInto(tfvalue.String(one, "name")+"="+hidden, copied) != nil {
				return map[string]any{} // a path that cannot be hidden: rather show nothing
			}
		}
	}
	return copied
}

// plainJSON is a deep copy in the types that JSON has, so that values from YAML, flags and storage compare.
func plainJSON(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	var plain any
	if json.Unmarshal(text, &plain) != nil {
		return nil
	}
	if plain == nil {
		return map[string]any{}
	}
	return plain
}

func sameValues(a, b map[string]any) bool {
	return reflect.DeepEqual(plainJSON(a), plainJSON(b))
}
