package dockerengine

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"google.golang.org/grpc"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// startSession opens the channel on which BuildKit asks for logins and build secrets while it builds.
func (e *engine) startSession(ctx context.Context, connected *client.Client, settings Object) (func(), string, error) {
	opened, err := session.NewSession(ctx, "")
	if err != nil {
		return nil, "", fmt.Errorf("no build session: %w", err)
	}
	logins, err := e.credentials()
	if err != nil {
		return nil, "", err
	}
	opened.Allow(&loginServer{logins: logins})
	secrets, err := buildSecrets(settings)
	if err != nil {
		return nil, "", err
	}
	opened.Allow(secretsprovider.FromMap(secrets))
	running := make(chan struct{})
	go func() {
		defer close(running)
		// It ends with the build; a failure of its own shows as a failure of the build.
		_ = opened.Run(ctx, func(ctx context.Context, protocol string, meta map[string][]string) (net.Conn, error) {
			return connected.DialHijack(ctx, "/session", protocol, meta)
		})
	}()
	stop := func() {
		_ = opened.Close()
		<-running
	}
	return stop, opened.ID(), nil
}

func buildSecrets(settings Object) (map[string][]byte, error) {
	secrets := map[string][]byte{}
	for _, block := range tfvalue.Blocks(settings, "secrets") {
		id := tfvalue.String(block, "id")
		if path := tfvalue.String(block, "src"); path != "" {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("build secret %q: %w", id, err)
			}
			secrets[id] = content
			continue
		}
		variable := tfvalue.String(block, "env")
		if variable == "" {
			variable = id
		}
		value, set := os.LookupEnv(variable)
		if !set {
			return nil, fmt.Errorf("build secret %q: the environment variable %s is not set", id, variable)
		}
		secrets[id] = []byte(value)
	}
	return secrets, nil
}

// loginServer answers BuildKit's questions for registry logins.
type loginServer struct {
	auth.UnimplementedAuthServer
	logins map[string]registry.AuthConfig
}

func (s *loginServer) Register(server *grpc.Server) {
	auth.RegisterAuthServer(server, s)
}

func (s *loginServer) Credentials(_ context.Context, request *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	login := s.logins[registryHost(request.Host)]
	return &auth.CredentialsResponse{Username: login.Username, Secret: login.Password}, nil
}
