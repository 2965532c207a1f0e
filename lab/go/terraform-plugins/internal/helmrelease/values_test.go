package helmrelease

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func set(name, value, kind string) Object { return Object{"name": name, "value": value, "type": kind} }

func TestLaterValuesWinOverEarlierOnes(t *testing.T) {
	merged, err := mergedValues(Object{
		"values":        []any{"a: 1\nb: {c: x, d: y}", "b: {c: z}"},
		"set":           []any{set("b.d", "2", ""), set("text", "2", "string"), set("raw", "a,b", "literal")},
		"set_list":      []any{Object{"name": "list", "value": []any{"p", "q"}}},
		"set_sensitive": []any{set("token", "canary", "string")},
	}, Object{"set_wo": []any{set("wo", "w", "string")}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": 1, "b": map[string]any{"c": "z", "d": 2}, "text": "2", "raw": "a,b", "list": []any{"p", "q"}, "token": "canary", "wo": "w",
	}
	if !sameValues(merged, want) {
		t.Errorf("got %v, want %v", merged, want)
	}
}

func TestABadSettingIsRefusedWithoutShowingItsValue(t *testing.T) {
	_, err := mergedValues(Object{"set_sensitive": []any{set("a[", "canary-value", "auto")}}, nil)
	if err == nil || strings.Contains(err.Error(), "canary-value") {
		t.Errorf("got %v", err)
	}
}

func TestSensitiveValuesAreHiddenInWhatIsShown(t *testing.T) {
	state := Object{"set_sensitive": []any{set("auth.token", "canary", "string")}}
	text := shown(map[string]any{"auth": map[string]any{"token": "canary", "user": "u"}}, state)
	if strings.Contains(text, "canary") || !strings.Contains(text, `"user":"u"`) {
		t.Errorf("got %s", text)
	}
}

func releaseWith(values map[string]any, version string) *release.Release {
	return &release.Release{
		Name: "r", Namespace: "n", Version: 3, Config: values,
		Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "c", Version: version, AppVersion: "9"}},
		Info:  &release.Info{Status: release.StatusDeployed, FirstDeployed: helmtime.Unix(1, 0), LastDeployed: helmtime.Unix(2, 0)},
	}
}

func TestValuesChangedOutsideAreDrift(t *testing.T) {
	state := Object{"values": []any{"runtimeClassName: nvidia"}}
	if changed, _ := valuesDrift(state, releaseWith(map[string]any{"runtimeClassName": "nvidia"}, "1.0.0")); changed {
		t.Error("the same values are drift")
	}
	changed, values := valuesDrift(state, releaseWith(map[string]any{"runtimeClassName": "runc"}, "1.0.0"))
	if text, _ := values.(string); !changed || !strings.Contains(text, "runc") {
		t.Errorf("got %v, %v", changed, values)
	}
}

func TestAVersionIsKeptWhileTheInstalledOneFitsIt(t *testing.T) {
	for wanted, fits := range map[string]bool{"1.2.3": true, "v1.2.3": true, "~1.2": true, "1.2.4": false, "": false} {
		if satisfies("1.2.3", wanted) != fits {
			t.Errorf("%q: want %v", wanted, fits)
		}
	}
}

func writeChart(t *testing.T, version string) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "c")
	if err := os.MkdirAll(filepath.Join(directory, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml":           "apiVersion: v2\nname: c\nversion: " + version + "\nappVersion: \"9\"\n",
		"values.yaml":          "text: default\n",
		"templates/cm.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {text: {{ .Values.text }}}\n",
		"templates/NOTES.txt":  "Hello {{ .Release.Name }}",
		"templates/other.yaml": "{{ if .Values.other }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n{{ end }}",
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func newHelm() *helm { return &helm{located: map[string]string{}} }

func TestThePlanLoadsTheChartAndKnowsItsVersion(t *testing.T) {
	planned := Object{"chart": writeChart(t, "1.2.3"), "version": tfvalue.Unknown}
	if err := newHelm().plan(t.Context(), plugin.Change{Config: Object{}, Planned: planned}); err != nil {
		t.Fatal(err)
	}
	if planned["version"] != "1.2.3" {
		t.Errorf("got %v", planned["version"])
	}
}

func TestAChartThatIsNotThereFailsThePlan(t *testing.T) {
	planned := Object{"chart": "/nowhere/c", "version": "1.0.0"}
	err := newHelm().plan(t.Context(), plugin.Change{Config: planned, Planned: planned})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/c") || !strings.Contains(err.Error(), "1.0.0") {
		t.Errorf("got %v", err)
	}
}

func TestAChartThatIsNotKnownYetIsNotLoadedAtPlan(t *testing.T) {
	planned := Object{"chart": "c", "repository": tfvalue.Unknown, "version": "1.0.0"}
	if err := newHelm().plan(t.Context(), plugin.Change{Config: planned, Planned: planned}); err != nil {
		t.Error(err)
	}
}

func TestATemplateIsRenderedByItsFiles(t *testing.T) {
	rendered, err := newHelm().render(t.Context(), Object{
		"name": "r", "chart": writeChart(t, "1.2.3"), "values": []any{"text: mine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	manifests, _ := rendered["manifests"].(Object)
	if text, _ := manifests["templates/cm.yaml"].(string); len(manifests) != 1 || !strings.Contains(text, "text: mine") {
		t.Errorf("got %v", manifests)
	}
	if rendered["notes"] != "Hello r" || rendered["version"] != "1.2.3" {
		t.Errorf("got %v", rendered)
	}
}

func TestABadReleaseIsRefusedAtValidation(t *testing.T) {
	for what, config := range map[string]Object{
		"name":   {"name": "Not_A_Name"},
		"values": {"name": "r", "values": []any{"- a list"}},
		"set":    {"name": "r", "set": []any{set("a", "b", "number")}},
	} {
		if problems := checkRelease(config); len(problems) != 1 {
			t.Errorf("%s: got %v", what, problems)
		}
	}
}

func TestAReleaseTellsItsMetadata(t *testing.T) {
	metadata, _ := observed(Object{}, releaseWith(map[string]any{"a": 1}, "1.0.0"))["metadata"].(Object)
	for name, want := range map[string]any{
		"name": "r", "namespace": "n", "revision": int64(3), "chart": "c", "version": "1.0.0", "values": `{"a":1}`,
		"first_deployed": int64(1), "last_deployed": int64(2),
	} {
		if metadata[name] != want {
			t.Errorf("%s: got %v, want %v", name, metadata[name], want)
		}
	}
}
