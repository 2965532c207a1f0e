// Package plugin answers Terraform's plugin protocol for one stand-in: schema, plan, apply, refresh, import.
//
// A stand-in brings its schema and, a type, what to do with plain values; everything that Terraform demands of every
// provider alike (unknown values, defaults, replacement, timeouts, consistent results) is done here, once.
package plugin

import (
	"context"
	"fmt"
	"time"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// Object is a block's plain value by attribute name.
type Object = tfvalue.Object

// Plugin is one stand-in.
type Plugin struct {
	// Source and Version are those of the plugin it stands in for: "hashicorp/kubernetes", "2.38.0".
	Source, Version string
	Schema          *schema.Provider
	// LegacyTypes says that the plugin is built on the plugin SDK 2: it may plan a default for an attribute that is
	// not marked computed, and Terraform then only warns in its log.
	LegacyTypes bool
	// Configure takes the provider's settings; values may be unknown during a plan.
	Configure func(ctx context.Context, settings Object) error
	// Resources and DataSources are the types with an engine.
	Resources   map[string]Resource
	DataSources map[string]DataSource
}

// Label says what this is, for versions, logs and errors.
func (p *Plugin) Label() string {
	return fmt.Sprintf("edge-gpu lab stand-in for %s %s", p.Source, p.Version)
}

// Resource is what one resource type does. Paths are attribute names joined by dots, without indices:
// "spec.template.spec.container.image".
type Resource struct {
	// Defaults are planned for attributes that the configuration leaves out.
	Defaults map[string]any
	// ForceNew are the paths whose change replaces the resource; a path covers everything below it.
	ForceNew []string
	// Volatile are the computed paths that any update changes.
	Volatile []string
	// Timeouts are the defaults for "create", "read", "update", "delete"; 20 minutes where nothing is given.
	Timeouts map[string]time.Duration
	// Validate finds what is wrong with a configuration; values may be unknown.
	Validate func(config Object) []error
	// Plan may change the planned value or refuse it; prior is nil for a new resource.
	Plan func(ctx context.Context, change Change) error
	// Create returns what is there now. With an error and a non-nil object the resource is kept as tainted.
	Create func(ctx context.Context, change Change) (Object, error)
	// Update returns what is there now; nil when the type cannot be updated in place.
	Update func(ctx context.Context, change Change) (Object, error)
	// Read returns the state as it is now; nil when the resource is gone.
	Read func(ctx context.Context, state Object) (Object, error)
	// Delete returns once the resource is gone.
	Delete func(ctx context.Context, state Object) error
	// Import returns the state of an existing resource; nil when the type cannot be imported.
	Import func(ctx context.Context, id string) (Object, error)
}

// Change is one planned change. Create and Update may not alter Planned; its unknown parts are filled from what they
// return, its known parts are kept as they are.
type Change struct {
	Config, Prior, Planned Object
}

// DataSource is what one data source does.
type DataSource struct {
	Validate func(config Object) []error
	Read     func(ctx context.Context, config Object) (Object, error)
}

const defaultTimeout = 20 * time.Minute
