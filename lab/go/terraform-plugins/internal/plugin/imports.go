package plugin

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

var ignoreUndefined = tftypes.ValueFromJSONOpts{IgnoreUndefinedAttributes: true}

func (s *server) ImportResourceState(
	ctx context.Context, request *tfprotov6.ImportResourceStateRequest,
) (*tfprotov6.ImportResourceStateResponse, error) {
	ctx, collected := withWarnings(ctx)
	response := &tfprotov6.ImportResourceStateResponse{}
	response.Diagnostics = s.diagnostics(collected, func() error {
		resource, described, err := s.resource(request.TypeName)
		if err != nil {
			return err
		}
		if resource.Import == nil {
			return fmt.Errorf("%s %q: this stand-in cannot import %s", request.TypeName, request.ID, request.TypeName)
		}
		state, err := resource.Import(ctx, request.ID)
		if err != nil {
			return err
		}
		encoded, err := encode(described, state)
		if err != nil {
			return err
		}
		response.ImportedResources = []*tfprotov6.ImportedResource{{TypeName: request.TypeName, State: encoded}}
		return nil
	}())
	return response, nil
}

func (s *server) MoveResourceState(
	_ context.Context, request *tfprotov6.MoveResourceStateRequest,
) (*tfprotov6.MoveResourceStateResponse, error) {
	err := fmt.Errorf("%s cannot be moved to %s by this stand-in", request.SourceTypeName, request.TargetTypeName)
	return &tfprotov6.MoveResourceStateResponse{Diagnostics: s.diagnostics(nil, err)}, nil
}

func (s *server) GetResourceIdentitySchemas(
	context.Context, *tfprotov6.GetResourceIdentitySchemasRequest,
) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) UpgradeResourceIdentity(
	_ context.Context, request *tfprotov6.UpgradeResourceIdentityRequest,
) (*tfprotov6.UpgradeResourceIdentityResponse, error) {
	err := fmt.Errorf("%s has no resource identity in this stand-in", request.TypeName)
	return &tfprotov6.UpgradeResourceIdentityResponse{Diagnostics: s.diagnostics(nil, err)}, nil
}

func (s *server) GenerateResourceConfig(
	_ context.Context, request *tfprotov6.GenerateResourceConfigRequest,
) (*tfprotov6.GenerateResourceConfigResponse, error) {
	err := fmt.Errorf("%s: this stand-in generates no configuration", request.TypeName)
	return &tfprotov6.GenerateResourceConfigResponse{Diagnostics: s.diagnostics(nil, err)}, nil
}
