package plugin

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

func (s *server) ValidateDataResourceConfig(
	_ context.Context, request *tfprotov6.ValidateDataResourceConfigRequest,
) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	response := &tfprotov6.ValidateDataResourceConfigResponse{}
	source, ok := s.plugin.DataSources[request.TypeName]
	if !ok {
		response.Diagnostics = s.diagnostics(nil, fmt.Errorf("data source %s has no engine", request.TypeName))
		return response, nil
	}
	config, err := decode(s.plugin.Schema.DataSources[request.TypeName], request.Config)
	response.Diagnostics = s.diagnostics(nil, err)
	if err == nil && source.Validate != nil {
		for _, problem := range source.Validate(config) {
			response.Diagnostics = append(response.Diagnostics, s.diagnostics(nil, problem)...)
		}
	}
	return response, nil
}

func (s *server) ReadDataSource(
	ctx context.Context, request *tfprotov6.ReadDataSourceRequest,
) (*tfprotov6.ReadDataSourceResponse, error) {
	ctx, collected := withWarnings(ctx)
	response := &tfprotov6.ReadDataSourceResponse{}
	response.Diagnostics = s.diagnostics(collected, func() error {
		source, ok := s.plugin.DataSources[request.TypeName]
		if !ok {
			return fmt.Errorf("data source %s has no engine", request.TypeName)
		}
		described := s.plugin.Schema.DataSources[request.TypeName]
		config, err := decode(described, request.Config)
		if err != nil {
			return err
		}
		ctx, cancel := limited(ctx, Resource{}, "read", config)
		defer cancel()
		found, err := source.Read(ctx, config)
		if err != nil {
			return err
		}
		response.State, err = encode(described, withConfigured(config, found))
		return err
	}())
	return response, nil
}

// withConfigured keeps every configured value as it is: Terraform refuses a data source that changes one.
func withConfigured(config, found Object) Object {
	result := make(Object, len(found))
	for name, value := range found {
		result[name] = value
	}
	for name, value := range config {
		if blocks, ok := value.([]any); ok && len(blocks) > 0 {
			if _, isBlock := blocks[0].(Object); isBlock && found[name] != nil {
				continue
			}
		}
		if value != nil {
			result[name] = value
		}
	}
	return result
}

// Functions and ephemeral resources: these plugins have none that the project may use.

func (s *server) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func (s *server) CallFunction(
	_ context.Context, request *tfprotov6.CallFunctionRequest,
) (*tfprotov6.CallFunctionResponse, error) {
	return nil, fmt.Errorf("function %s is unknown to the %s", request.Name, s.plugin.Label())
}

func (s *server) ValidateEphemeralResourceConfig(
	_ context.Context, request *tfprotov6.ValidateEphemeralResourceConfigRequest,
) (*tfprotov6.ValidateEphemeralResourceConfigResponse, error) {
	return nil, fmt.Errorf("ephemeral resource %s is unknown to the %s", request.TypeName, s.plugin.Label())
}

func (s *server) OpenEphemeralResource(
	_ context.Context, request *tfprotov6.OpenEphemeralResourceRequest,
) (*tfprotov6.OpenEphemeralResourceResponse, error) {
	return nil, fmt.Errorf("ephemeral resource %s is unknown to the %s", request.TypeName, s.plugin.Label())
}

func (s *server) RenewEphemeralResource(
	_ context.Context, request *tfprotov6.RenewEphemeralResourceRequest,
) (*tfprotov6.RenewEphemeralResourceResponse, error) {
	return nil, fmt.Errorf("ephemeral resource %s is unknown to the %s", request.TypeName, s.plugin.Label())
}

func (s *server) CloseEphemeralResource(
	_ context.Context, request *tfprotov6.CloseEphemeralResourceRequest,
) (*tfprotov6.CloseEphemeralResourceResponse, error) {
	return nil, fmt.Errorf("ephemeral resource %s is unknown to the %s", request.TypeName, s.plugin.Label())
}
