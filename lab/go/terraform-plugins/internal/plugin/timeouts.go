package plugin

import (
	"context"
	"fmt"
	"time"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// limited bounds an operation by the resource's timeouts setting, else by the type's default.
func limited(ctx context.Context, resource Resource, operation string, value Object) (context.Context, context.CancelFunc) {
	limit, ok := resource.Timeouts[operation]
	if !ok {
		limit = defaultTimeout
	}
	if configured, err := time.ParseDuration(tfvalue.String(value, "timeouts", operation)); err == nil {
		limit = configured
	}
	return context.WithTimeout(ctx, limit)
}

// checkTimeouts finds durations that cannot be read.
func checkTimeouts(config Object) []error {
	var problems []error
	timeouts := tfvalue.First(config["timeouts"])
	for operation, value := range timeouts {
		text, ok := value.(string)
		if !ok {
			continue
		}
		if duration, err := time.ParseDuration(text); err != nil || duration <= 0 {
			problems = append(problems, &Problem{
				Path:    At("timeouts", operation),
				Summary: fmt.Sprintf("timeouts.%s = %q is no duration", operation, text),
				Detail:  `Write a number with a unit, for example "90s", "3m" or "2h".`,
			})
		}
	}
	return problems
}
