package plugin

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func (s *server) ValidateResourceConfig(
	_ context.Context, request *tfprotov6.ValidateResourceConfigRequest,
) (*tfprotov6.ValidateResourceConfigResponse, error) {
	response := &tfprotov6.ValidateResourceConfigResponse{}
	resource, described, err := s.resource(request.TypeName)
	if err != nil {
		response.Diagnostics = s.diagnostics(nil, err)
		return response, nil
	}
	config, err := decode(described, request.Config)
	if err != nil {
		response.Diagnostics = s.diagnostics(nil, err)
		return response, nil
	}
	problems := checkTimeouts(config)
	if resource.Validate != nil {
		problems = append(problems, resource.Validate(config)...)
	}
	for _, problem := range problems {
		response.Diagnostics = append(response.Diagnostics, s.diagnostics(nil, problem)...)
	}
	return response, nil
}

func (s *server) UpgradeResourceState(
	_ context.Context, request *tfprotov6.UpgradeResourceStateRequest,
) (*tfprotov6.UpgradeResourceStateResponse, error) {
	response := &tfprotov6.UpgradeResourceStateResponse{}
	described, known := s.plugin.Schema.Resources[request.TypeName]
	if !known {
		response.Diagnostics = s.diagnostics(nil, fmt.Errorf("resource type %s is unknown", request.TypeName))
		return response, nil
	}
	// Only additions happen between the versions a stand-in can meet, so reading by name is the whole upgrade.
	options := tfprotov6.UnmarshalOpts{ValueFromJSONOpts: ignoreUndefined}
	typed, err := request.RawState.UnmarshalWithOpts(described.Type(), options)
	if err == nil {
		var upgraded tfprotov6.DynamicValue
		upgraded, err = tfprotov6.NewDynamicValue(described.Type(), typed)
		response.UpgradedState = &upgraded
	}
	response.Diagnostics = s.diagnostics(nil, err)
	return response, nil
}

func (s *server) ReadResource(
	ctx context.Context, request *tfprotov6.ReadResourceRequest,
) (*tfprotov6.ReadResourceResponse, error) {
	ctx, collected := withWarnings(ctx)
	response := &tfprotov6.ReadResourceResponse{NewState: request.CurrentState, Private: request.Private}
	response.Diagnostics = s.diagnostics(collected, func() error {
		resource, described, err := s.resource(request.TypeName)
		if err != nil {
			return err
		}
		state, err := decode(described, request.CurrentState)
		if err != nil || state == nil {
			return err
		}
		ctx, cancel := limited(ctx, resource, "read", state)
		defer cancel()
		found, err := resource.Read(ctx, state)
		if err != nil {
			return err
		}
		response.NewState, err = encode(described, found)
		return err
	}())
	return response, nil
}

func (s *server) PlanResourceChange(
	ctx context.Context, request *tfprotov6.PlanResourceChangeRequest,
) (*tfprotov6.PlanResourceChangeResponse, error) {
	ctx, collected := withWarnings(ctx)
	response := &tfprotov6.PlanResourceChangeResponse{
		PlannedState: request.ProposedNewState, PlannedPrivate: request.PriorPrivate,
		UnsafeToUseLegacyTypeSystem: s.plugin.LegacyTypes,
	}
	err := s.plan(ctx, request, response)
	response.Diagnostics = s.diagnostics(collected, err)
	return response, nil
}

func (s *server) plan(
	ctx context.Context, request *tfprotov6.PlanResourceChangeRequest, response *tfprotov6.PlanResourceChangeResponse,
) error {
	resource, described, err := s.resource(request.TypeName)
	if err != nil {
		return err
	}
	values, err := decodeAll(described, request.Config, request.ProposedNewState, request.PriorState)
	if err != nil {
		return err
	}
	config, proposed, prior := values[0], values[1], values[2]
	if proposed == nil {
		return nil
	}
	result := planned(resource, described.Block, config, proposed, prior)
	if resource.Plan != nil {
		if err := resource.Plan(ctx, Change{Config: config, Prior: prior, Planned: result}); err != nil {
			return err
		}
	}
	if prior != nil {
		replace := replacements(resource, result, prior)
		if resource.Update == nil && len(replace) == 0 {
			replace = replacements(Resource{ForceNew: changeable(described.Block)}, result, prior)
		}
		response.RequiresReplace = rawPaths(replace)
	}
	response.PlannedState, err = encode(described, result)
	return err
}

// changeable are all top-level names a configuration can change, for types that know no update in place.
func changeable(block schema.Block) []string {
	var names []string
	for name, attribute := range block.Attributes {
		if attribute.Required || attribute.Optional {
			names = append(names, name)
		}
	}
	for name := range block.Blocks {
		if name != "timeouts" {
			names = append(names, name)
		}
	}
	return names
}

func (s *server) ApplyResourceChange(
	ctx context.Context, request *tfprotov6.ApplyResourceChangeRequest,
) (*tfprotov6.ApplyResourceChangeResponse, error) {
	ctx, collected := withWarnings(ctx)
	response := &tfprotov6.ApplyResourceChangeResponse{
		NewState: request.PriorState, Private: request.PlannedPrivate, UnsafeToUseLegacyTypeSystem: s.plugin.LegacyTypes,
	}
	err := s.apply(ctx, request, response)
	response.Diagnostics = s.diagnostics(collected, err)
	return response, nil
}

func (s *server) apply(
	ctx context.Context, request *tfprotov6.ApplyResourceChangeRequest, response *tfprotov6.ApplyResourceChangeResponse,
) error {
	resource, described, err := s.resource(request.TypeName)
	if err != nil {
		return err
	}
	values, err := decodeAll(described, request.Config, request.PlannedState, request.PriorState)
	if err != nil {
		return err
	}
	change := Change{Config: values[0], Planned: values[1], Prior: values[2]}
	var operation func(context.Context, Change) (Object, error)
	name, timeouts := "", change.Planned
	switch {
	case change.Planned == nil:
		name, timeouts = "delete", change.Prior
		operation = func(ctx context.Context, change Change) (Object, error) {
			if err := resource.Delete(ctx, change.Prior); err != nil {
				return change.Prior, err
			}
			return nil, nil
		}
	case change.Prior == nil:
		name, operation = "create", resource.Create
	case resource.Update == nil:
		// Only timeouts can get here (see plan): they are Terraform's own settings, there is nothing to change outside.
		name, operation = "update", func(_ context.Context, change Change) (Object, error) { return change.Prior, nil }
	default:
		name, operation = "update", resource.Update
	}
	ctx, cancel := limited(ctx, resource, name, timeouts)
	defer cancel()
	found, failure := operation(ctx, change)
	if failure != nil && found == nil && change.Prior != nil && name != "delete" {
		return failure // state stays as it was
	}
	if found != nil && change.Planned != nil {
		settled, _ := settle(change.Planned, found).(tfvalue.Object)
		found = settled
	}
	state, err := encode(described, found)
	if err != nil {
		if failure != nil {
			return failure
		}
		return err
	}
	response.NewState = state
	return failure
}
