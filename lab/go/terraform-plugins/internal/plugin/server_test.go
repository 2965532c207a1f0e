package plugin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

const thingSchema = `{
  "provider": {"version": 0, "block": {"attributes": {"host": {"type": "string", "optional": true}}}},
  "resource_schemas": {"lab_thing": {"version": 1, "block": {
    "attributes": {
      "id": {"type": "string", "computed": true},
      "size": {"type": "number", "optional": true, "computed": true},
      "note": {"type": "string", "optional": true},
      "secret": {"type": "string", "optional": true, "write_only": true},
      "revision": {"type": "number", "computed": true}
    },
    "block_types": {
      "metadata": {"nesting_mode": "list", "min_items": 1, "max_items": 1, "block": {"attributes": {
        "name": {"type": "string", "required": true}, "uid": {"type": "string", "computed": true}}}},
      "tag": {"nesting_mode": "set", "block": {"attributes": {
        "key": {"type": "string", "required": true}, "seen": {"type": "string", "computed": true}}}},
      "timeouts": {"nesting_mode": "single", "block": {"attributes": {"create": {"type": "string", "optional": true}}}}
    }}}},
  "data_source_schemas": {}
}`

type fixture struct {
	t        *testing.T
	server   *server
	schema   schema.Schema
	resource Resource
}

func newFixture(t *testing.T, resource Resource) *fixture {
	t.Helper()
	parsed, err := schema.Parse([]byte(thingSchema))
	if err != nil {
		t.Fatal(err)
	}
	plugin := &Plugin{
		Source: "lab/thing", Version: "1.2.3", Schema: parsed, Resources: map[string]Resource{"lab_thing": resource},
	}
	return &fixture{t: t, server: &server{plugin: plugin}, schema: parsed.Resources["lab_thing"], resource: resource}
}

func (f *fixture) value(object Object) *tfprotov6.DynamicValue {
	f.t.Helper()
	encoded, err := encode(f.schema, object)
	if err != nil {
		f.t.Fatal(err)
	}
	return encoded
}

func (f *fixture) object(value *tfprotov6.DynamicValue) Object {
	f.t.Helper()
	decoded, err := decode(f.schema, value)
	if err != nil {
		f.t.Fatal(err)
	}
	return decoded
}

// plan asks for a plan; proposed is what Terraform makes of config and prior.
func (f *fixture) plan(config, proposed, prior Object) (Object, *tfprotov6.PlanResourceChangeResponse) {
	f.t.Helper()
	response, err := f.server.PlanResourceChange(f.t.Context(), &tfprotov6.PlanResourceChangeRequest{
		TypeName: "lab_thing", Config: f.value(config), ProposedNewState: f.value(proposed), PriorState: f.value(prior),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.object(response.PlannedState), response
}

func (f *fixture) apply(planned, prior Object) (Object, []*tfprotov6.Diagnostic) {
	f.t.Helper()
	response, err := f.server.ApplyResourceChange(f.t.Context(), &tfprotov6.ApplyResourceChangeRequest{
		TypeName: "lab_thing", Config: f.value(planned), PlannedState: f.value(planned), PriorState: f.value(prior),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.object(response.NewState), response.Diagnostics
}

func named(name string, more Object) Object {
	object := Object{"metadata": []any{Object{"name": name}}, "tag": []any{}}
	for key, value := range more {
		object[key] = value
	}
	return object
}

func TestANewResourceIsPlannedWithDefaultsAndUnknowns(t *testing.T) {
	f := newFixture(t, Resource{Defaults: map[string]any{"size": int64(6)}})
	config := named("a", Object{"secret": "canary"})
	planned, _ := f.plan(config, config, nil)
	if planned["size"] != int64(6) {
		t.Errorf("size: got %v, want the default 6", planned["size"])
	}
	if planned["id"] != tfvalue.Unknown || tfvalue.At(planned, "metadata", "uid") != tfvalue.Unknown {
		t.Errorf("computed attributes are not unknown: %v", planned)
	}
	if planned["secret"] != nil {
		t.Error("a write-only value is in the plan")
	}
	if planned["note"] != nil {
		t.Errorf("note: got %v, want null", planned["note"])
	}
}

func existing(note any) Object {
	return Object{
		"id": "1", "size": int64(6), "note": note, "revision": int64(4),
		"metadata": []any{Object{"name": "a", "uid": "u"}}, "tag": []any{Object{"key": "k", "seen": "yes"}},
	}
}

func TestAnUnchangedResourcePlansNoChange(t *testing.T) {
	f := newFixture(t, Resource{
		Defaults: map[string]any{"size": int64(6)}, Volatile: []string{"revision"}, ForceNew: []string{"metadata.name"},
	})
	config := named("a", Object{"note": "x", "tag": []any{Object{"key": "k"}}})
	planned, response := f.plan(config, existing("x"), existing("x"))
	if !tfvalue.Equal(planned, f.object(f.value(existing("x")))) {
		t.Errorf("got %v", planned)
	}
	if len(response.RequiresReplace) != 0 {
		t.Errorf("replaced for %v", response.RequiresReplace)
	}
}

func TestAnUpdateMakesVolatileAttributesUnknownAndKeepsTheOthers(t *testing.T) {
	f := newFixture(t, Resource{
		Volatile: []string{"revision"},
		Update:   func(_ context.Context, change Change) (Object, error) { return change.Planned, nil },
	})
	config := named("a", Object{"note": "y", "tag": []any{Object{"key": "k"}}})
	planned, response := f.plan(config, existing("y"), existing("x"))
	if planned["revision"] != tfvalue.Unknown {
		t.Errorf("revision: got %v, want unknown", planned["revision"])
	}
	if planned["id"] != "1" || tfvalue.At(planned, "metadata", "uid") != "u" {
		t.Errorf("stable attributes changed: %v", planned)
	}
	if len(response.RequiresReplace) != 0 {
		t.Errorf("replaced for %v", response.RequiresReplace)
	}
}

func TestAChangeOfAForceNewPathReplacesAtThatPath(t *testing.T) {
	f := newFixture(t, Resource{ForceNew: []string{"metadata.name"}, Update: func(context.Context, Change) (Object, error) {
		return nil, nil
	}})
	proposed := existing("x")
	proposed["metadata"] = []any{Object{"name": "b", "uid": "u"}}
	_, response := f.plan(named("b", Object{"note": "x", "tag": proposed["tag"]}), proposed, existing("x"))
	if len(response.RequiresReplace) != 1 || !strings.Contains(response.RequiresReplace[0].String(), "name") {
		t.Errorf("got %v", response.RequiresReplace)
	}
}

func TestATypeWithoutUpdateIsReplacedByAnyChange(t *testing.T) {
	f := newFixture(t, Resource{})
	config := named("a", Object{"note": "y", "tag": []any{Object{"key": "k"}}})
	if _, response := f.plan(config, existing("y"), existing("x")); len(response.RequiresReplace) != 1 {
		t.Errorf("got %v", response.RequiresReplace)
	}
}

func TestApplyFillsUnknownsAndKeepsWhatWasPlanned(t *testing.T) {
	f := newFixture(t, Resource{Create: func(context.Context, Change) (Object, error) {
		return Object{"id": "9", "note": "NORMALISED", "metadata": []any{Object{"name": "A", "uid": "u9"}}}, nil
	}})
	planned := named("a", Object{"note": "n", "id": tfvalue.Unknown, "revision": tfvalue.Unknown})
	planned["metadata"] = []any{Object{"name": "a", "uid": tfvalue.Unknown}}
	state, diagnostics := f.apply(planned, nil)
	if len(diagnostics) != 0 {
		t.Fatal(diagnostics[0].Summary)
	}
	if state["id"] != "9" || tfvalue.At(state, "metadata", "uid") != "u9" || state["revision"] != nil {
		t.Errorf("unknowns were not filled: %v", state)
	}
	if state["note"] != "n" || tfvalue.At(state, "metadata", "name") != "a" {
		t.Errorf("planned values were changed: %v", state)
	}
}

func TestAFailedCreateThatLeftSomethingIsKeptForTainting(t *testing.T) {
	f := newFixture(t, Resource{Create: func(context.Context, Change) (Object, error) {
		return Object{"id": "9"}, errors.New("it is in failed state")
	}})
	state, diagnostics := f.apply(named("a", Object{"id": tfvalue.Unknown}), nil)
	if state == nil || state["id"] != "9" {
		t.Errorf("state: got %v", state)
	}
	if len(diagnostics) != 1 || !strings.Contains(diagnostics[0].Summary, "(lab stand-in)") ||
		!strings.Contains(diagnostics[0].Detail, "stand-in for lab/thing 1.2.3") {
		t.Errorf("the error does not say that a stand-in speaks: %+v", diagnostics)
	}
}

func TestAFailedUpdateKeepsThePriorState(t *testing.T) {
	f := newFixture(t, Resource{Update: func(context.Context, Change) (Object, error) { return nil, errors.New("no") }})
	state, diagnostics := f.apply(existing("y"), existing("x"))
	if len(diagnostics) != 1 || state["note"] != "x" {
		t.Errorf("got %v, %v", state, diagnostics)
	}
}

func TestTheTimeoutsBlockBoundsAnOperation(t *testing.T) {
	var left time.Duration
	f := newFixture(t, Resource{
		Timeouts: map[string]time.Duration{"create": time.Minute},
		Create: func(ctx context.Context, _ Change) (Object, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return Object{}, nil
		},
	})
	f.apply(named("a", nil), nil)
	if left < 50*time.Second || left > time.Minute {
		t.Errorf("the default: got %s, want about 1m", left)
	}
	f.apply(named("a", Object{"timeouts": Object{"create": "3m"}}), nil)
	if left < 170*time.Second || left > 3*time.Minute {
		t.Errorf("configured: got %s, want about 3m", left)
	}
}

func TestADurationThatCannotBeReadIsRefusedAtValidation(t *testing.T) {
	f := newFixture(t, Resource{})
	response, err := f.server.ValidateResourceConfig(t.Context(), &tfprotov6.ValidateResourceConfigRequest{
		TypeName: "lab_thing", Config: f.value(named("a", Object{"timeouts": Object{"create": "soon"}})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Diagnostics) != 1 || !strings.Contains(response.Diagnostics[0].Summary, `"soon"`) {
		t.Errorf("got %+v", response.Diagnostics)
	}
}

func TestAResourceThatIsGoneIsReadAsNull(t *testing.T) {
	f := newFixture(t, Resource{Read: func(context.Context, Object) (Object, error) { return nil, nil }})
	response, err := f.server.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
		TypeName: "lab_thing", CurrentState: f.value(existing("x")),
	})
	if err != nil || len(response.Diagnostics) != 0 {
		t.Fatal(err, response.Diagnostics)
	}
	if state := f.object(response.NewState); state != nil {
		t.Errorf("got %v", state)
	}
}

func TestALongErrorGetsAShortHeadline(t *testing.T) {
	long := errors.New(`Get "https://10.0.0.1": ` + strings.Repeat("x", 100))
	problem := headed(long)
	if problem.Summary != `Get "https://10.0.0.1"` {
		t.Errorf("got %q", problem.Summary)
	}
	if problem.Detail != long.Error() {
		t.Errorf("the whole error is lost: %q", problem.Detail)
	}
}
