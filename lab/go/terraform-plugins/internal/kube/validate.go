package kube

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// validate finds names, labels and quantities that the API would refuse, before anything is applied.
func validate(config Object) []error {
	var problems []error
	inspect(config, nil, &problems)
	return problems
}

func inspect(value any, path plugin.Path, problems *[]error) {
	switch typed := value.(type) {
	case []any:
		for index, item := range typed {
			inspect(item, path.With(index), problems)
		}
	case Object:
		for name, item := range typed {
			here := path.With(name)
			switch {
			case name == "metadata":
				for index, metadata := range tfvalue.Blocks(item) {
					checkMetadata(metadata, here.With(index), problems)
				}
			case name == "limits" || name == "requests" || name == "hard":
				checkQuantities(item, here, problems)
			}
			inspect(item, here, problems)
		}
	}
}

func checkMetadata(metadata Object, path plugin.Path, problems *[]error) {
	// A dot-separated name covers every kind; stricter kinds are left to the API.
	if name := tfvalue.String(metadata, "name"); name != "" && !strings.ContainsAny(name, ":") {
		report(problems, path.With("name"), name, validation.IsDNS1123Subdomain(name))
	}
	for name, value := range tfvalue.StringMap(metadata, "labels") {
		report(problems, path.With("labels", plugin.Key(name)), name, validation.IsQualifiedName(name))
		report(problems, path.With("labels", plugin.Key(name)), value, validation.IsValidLabelValue(value))
	}
	for name := range tfvalue.StringMap(metadata, "annotations") {
		report(problems, path.With("annotations", plugin.Key(name)), name, validation.IsQualifiedName(strings.ToLower(name)))
	}
}

func checkQuantities(value any, path plugin.Path, problems *[]error) {
	fields, _ := value.(Object)
	for name, item := range fields {
		amount, ok := item.(string)
		if !ok {
			continue
		}
		if _, err := resource.ParseQuantity(amount); err != nil {
			report(problems, path.With(plugin.Key(name)), amount,
				[]string{`a quantity is a number with an optional suffix, such as "500m", "2" or "1Gi"`})
		}
	}
}

func report(problems *[]error, path plugin.Path, value string, reasons []string) {
	if len(reasons) == 0 {
		return
	}
	*problems = append(*problems, &plugin.Problem{
		Path:    path,
		Summary: fmt.Sprintf("%s: %q is not allowed", path.Name(), value),
		Detail:  strings.Join(reasons, "; "),
	})
}
