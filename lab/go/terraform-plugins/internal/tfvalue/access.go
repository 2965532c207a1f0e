package tfvalue

// String is the text at a path of attribute names; "" when it is absent, null or unknown. Lists on the way are
// entered at their first element, as one-element blocks are written.
func String(value any, path ...string) string {
	text, _ := At(value, path...).(string)
	return text
}

// Bool is the truth at a path; fallback when it is absent, null or unknown.
func Bool(value any, fallback bool, path ...string) bool {
	if truth, ok := At(value, path...).(bool); ok {
		return truth
	}
	return fallback
}

// Int is the whole number at a path; fallback when it is absent, null, unknown or no whole number.
func Int(value any, fallback int64, path ...string) int64 {
	if number, ok := At(value, path...).(int64); ok {
		return number
	}
	return fallback
}

// Strings is the list of texts at a path; other elements are left out.
func Strings(value any, path ...string) []string {
	items, _ := At(value, path...).([]any)
	var texts []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// StringMap is the map of texts at a path; other elements are left out.
func StringMap(value any, path ...string) map[string]string {
	fields, _ := At(value, path...).(Object)
	texts := make(map[string]string, len(fields))
	for name, item := range fields {
		if text, ok := item.(string); ok {
			texts[name] = text
		}
	}
	return texts
}

// Blocks is the list of objects at a path.
func Blocks(value any, path ...string) []Object {
	items, _ := At(value, path...).([]any)
	var blocks []Object
	for _, item := range items {
		if block, ok := item.(Object); ok {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// At is the value at a path; nil when it is absent.
func At(value any, path ...string) any {
	for _, name := range path {
		object := First(value)
		if object == nil {
			return nil
		}
		value = object[name]
	}
	return value
}

// First is the object itself, or the first element of a list of objects; nil when there is none.
func First(value any) Object {
	if items, ok := value.([]any); ok {
		if len(items) == 0 {
			return nil
		}
		value = items[0]
	}
	object, _ := value.(Object)
	return object
}
