package plugin

import "edge-gpu.lab/terraform-plugins/internal/tfvalue"

// settle fills what the plan left open with what was found after apply. Known parts stay exactly as planned: Terraform
// refuses a result that differs from its plan.
func settle(planned, found any) any {
	if planned == tfvalue.Unknown {
		return tfvalue.Copy(found)
	}
	switch typed := planned.(type) {
	case []any:
		result := make([]any, len(typed))
		for index, item := range typed {
			result[index] = settle(item, position(found, index))
		}
		return result
	case Object:
		result := make(Object, len(typed))
		for name, item := range typed {
			result[name] = settle(item, field(found, name))
		}
		return result
	}
	return planned
}
