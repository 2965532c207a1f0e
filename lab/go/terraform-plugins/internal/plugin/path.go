package plugin

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// Path leads to a value: attribute names (string), list positions (int), map keys (Key).
type Path []any

// Key is a step into a map.
type Key string

// At is the path of attribute names with list positions as given, for errors: At("metadata", 0, "name").
func At(steps ...any) Path { return steps }

// With is the path one step further.
func (p Path) With(steps ...any) Path {
	return append(append(Path{}, p...), steps...)
}

// Name is the dotted form that rules use: attribute names only.
func (p Path) Name() string {
	var names []string
	for _, step := range p {
		if name, ok := step.(string); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ".")
}

func (p Path) terraform() *tftypes.AttributePath {
	if len(p) == 0 {
		return nil
	}
	path := tftypes.NewAttributePath()
	for _, step := range p {
		switch typed := step.(type) {
		case string:
			path = path.WithAttributeName(typed)
		case int:
			path = path.WithElementKeyInt(typed)
		case Key:
			path = path.WithElementKeyString(string(typed))
		}
	}
	return path
}

// changedAt lists where two values differ at or below a rule's path.
func changedAt(planned, prior any, names []string, path Path) []Path {
	if tfvalue.Equal(planned, prior) {
		return nil
	}
	if len(names) == 0 {
		return []Path{path}
	}
	switch left := planned.(type) {
	case Object:
		right, ok := prior.(Object)
		if !ok {
			return []Path{path}
		}
		return changedAt(left[names[0]], right[names[0]], names[1:], path.With(names[0]))
	case []any:
		right, ok := prior.([]any)
		if !ok || len(left) != len(right) {
			return []Path{path}
		}
		var found []Path
		for index := range left {
			found = append(found, changedAt(left[index], right[index], names, path.With(index))...)
		}
		return found
	}
	return []Path{path}
}
