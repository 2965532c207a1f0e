package tfvalue

import (
	"math/big"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

var everything = tftypes.Object{AttributeTypes: map[string]tftypes.Type{
	"text": tftypes.String, "truth": tftypes.Bool, "whole": tftypes.Number, "fraction": tftypes.Number,
	"list": tftypes.List{ElementType: tftypes.String}, "set": tftypes.Set{ElementType: tftypes.Number},
	"map": tftypes.Map{ElementType: tftypes.String}, "absent": tftypes.String, "later": tftypes.String,
}}

func sample(t *testing.T) tftypes.Value {
	t.Helper()
	tenth, _, err := big.ParseFloat("0.1", 10, 512, big.ToNearestEven)
	if err != nil {
		t.Fatal(err)
	}
	texts := []tftypes.Value{tftypes.NewValue(tftypes.String, "a"), tftypes.NewValue(tftypes.String, "")}
	return tftypes.NewValue(everything, map[string]tftypes.Value{
		"text":     tftypes.NewValue(tftypes.String, "hello"),
		"truth":    tftypes.NewValue(tftypes.Bool, false),
		"whole":    tftypes.NewValue(tftypes.Number, 3),
		"fraction": tftypes.NewValue(tftypes.Number, tenth),
		"list":     tftypes.NewValue(everything.AttributeTypes["list"], texts),
		"set":      tftypes.NewValue(everything.AttributeTypes["set"], []tftypes.Value{tftypes.NewValue(tftypes.Number, 1)}),
		"map":      tftypes.NewValue(everything.AttributeTypes["map"], map[string]tftypes.Value{"k": texts[0]}),
		"absent":   tftypes.NewValue(tftypes.String, nil),
		"later":    tftypes.NewValue(tftypes.String, tftypes.UnknownValue),
	})
}

func TestAValueComesBackExactlyAsItWas(t *testing.T) {
	plain, err := FromTerraform(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	back, err := ToTerraform(plain, everything)
	if err != nil {
		t.Fatal(err)
	}
	if !back.Equal(sample(t)) {
		t.Errorf("got %s, want %s", back, sample(t))
	}
}

func TestPlainValuesAreWhatTheyLookLike(t *testing.T) {
	plain, err := FromTerraform(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	object, _ := plain.(Object)
	for name, want := range map[string]any{"text": "hello", "truth": false, "whole": int64(3), "absent": nil, "later": Unknown} {
		if object[name] != want {
			t.Errorf("%s: got %v, want %v", name, object[name], want)
		}
	}
	if Known(object) {
		t.Error("an object with an unknown part is not known")
	}
}

func TestAnAttributeTheSchemaLacksIsAnError(t *testing.T) {
	if _, err := ToTerraform(Object{"txet": "hello"}, everything); err == nil {
		t.Error("a misspelt attribute was taken")
	}
}

func TestADynamicValueTakesTheTypesOfWhatItHolds(t *testing.T) {
	value, err := ToTerraform([]any{Object{"n": int64(1), "none": nil}, "text"}, tftypes.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	tuple, ok := value.Type().(tftypes.Tuple)
	if !ok || len(tuple.ElementTypes) != 2 || !tuple.ElementTypes[1].Is(tftypes.String) {
		t.Errorf("got %s", value.Type())
	}
}

func TestEqualKnowsNestedDifferences(t *testing.T) {
	left := Object{"a": []any{Object{"b": int64(1)}}}
	if same, _ := Copy(left).(Object); !Equal(left, same) {
		t.Error("a copy differs")
	}
	if Equal(left, Object{"a": []any{Object{"b": int64(2)}}}) {
		t.Error("different numbers are equal")
	}
	if Equal(left, Object{"a": []any{}}) {
		t.Error("lists of different length are equal")
	}
}

func TestPathsEnterOneElementBlocks(t *testing.T) {
	value := Object{"metadata": []any{Object{"name": "n", "labels": Object{"a": "b"}}}}
	if got := String(value, "metadata", "name"); got != "n" {
		t.Errorf("got %q", got)
	}
	if got := StringMap(value, "metadata", "labels")["a"]; got != "b" {
		t.Errorf("got %q", got)
	}
	if got := Bool(value, true, "metadata", "missing"); !got {
		t.Error("the fallback was not taken")
	}
}
