package plugin

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// server answers the calls about the plugin as a whole; resources and data sources are in files of their own.
type server struct {
	plugin *Plugin
}

// NewServer is the protocol server of a stand-in.
func NewServer(plugin *Plugin) tfprotov6.ProviderServer {
	return &server{plugin: plugin}
}

func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	response := &tfprotov6.GetMetadataResponse{ServerCapabilities: capabilities()}
	for name := range s.plugin.Schema.Resources {
		response.Resources = append(response.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.plugin.Schema.DataSources {
		response.DataSources = append(response.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return response, nil
}

func capabilities() *tfprotov6.ServerCapabilities {
	return &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true}
}

func (s *server) GetProviderSchema(
	context.Context, *tfprotov6.GetProviderSchemaRequest,
) (*tfprotov6.GetProviderSchemaResponse, error) {
	response := &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: capabilities(),
		Provider:           s.plugin.Schema.Provider.Protocol(),
		ResourceSchemas:    map[string]*tfprotov6.Schema{},
		DataSourceSchemas:  map[string]*tfprotov6.Schema{},
	}
	for name, one := range s.plugin.Schema.Resources {
		response.ResourceSchemas[name] = one.Protocol()
	}
	for name, one := range s.plugin.Schema.DataSources {
		response.DataSourceSchemas[name] = one.Protocol()
	}
	return response, nil
}

func (s *server) ValidateProviderConfig(
	_ context.Context, request *tfprotov6.ValidateProviderConfigRequest,
) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (s *server) ConfigureProvider(
	ctx context.Context, request *tfprotov6.ConfigureProviderRequest,
) (*tfprotov6.ConfigureProviderResponse, error) {
	log.Printf("[INFO] %s, called by Terraform %s", s.plugin.Label(), request.TerraformVersion)
	settings, err := decode(s.plugin.Schema.Provider, request.Config)
	if err == nil {
		err = s.plugin.Configure(ctx, settings)
	}
	return &tfprotov6.ConfigureProviderResponse{Diagnostics: s.diagnostics(nil, err)}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (s *server) resource(name string) (Resource, schema.Schema, error) {
	described, known := s.plugin.Schema.Resources[name]
	if !known {
		return Resource{}, schema.Schema{}, fmt.Errorf("resource type %s is unknown", name)
	}
	resource, ok := s.plugin.Resources[name]
	if !ok {
		return Resource{}, schema.Schema{}, fmt.Errorf("resource type %s has a schema but no engine", name)
	}
	return resource, described, nil
}

func decode(described schema.Schema, value *tfprotov6.DynamicValue) (Object, error) {
	if value == nil {
		return nil, nil
	}
	typed, err := value.Unmarshal(described.Type())
	if err != nil {
		return nil, fmt.Errorf("Terraform sent a value that does not fit the schema: %w", err)
	}
	plain, err := tfvalue.FromTerraform(typed)
	if err != nil {
		return nil, err
	}
	object, _ := plain.(Object)
	return object, nil
}

func encode(described schema.Schema, object Object) (*tfprotov6.DynamicValue, error) {
	var plain any
	if object != nil {
		plain = object
	}
	want := described.Type()
	typed, err := tfvalue.ToTerraform(plain, want)
	if err != nil {
		return nil, fmt.Errorf("the stand-in made a value that does not fit the schema: %w", err)
	}
	encoded, err := tfprotov6.NewDynamicValue(want, typed)
	return &encoded, err
}

// decodeAll reads several values of one schema, in order.
func decodeAll(described schema.Schema, values ...*tfprotov6.DynamicValue) ([]Object, error) {
	objects := make([]Object, len(values))
	var failures []error
	for index, value := range values {
		object, err := decode(described, value)
		objects[index], failures = object, append(failures, err)
	}
	return objects, errors.Join(failures...)
}

func rawPaths(paths []Path) []*tftypes.AttributePath {
	var converted []*tftypes.AttributePath
	for _, path := range paths {
		converted = append(converted, path.terraform())
	}
	return converted
}
