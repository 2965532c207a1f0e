// Package helmrelease is the engine behind the stand-in for hashicorp/helm: Helm's own SDK.
package helmrelease

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/registry"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"edge-gpu.lab/terraform-plugins/internal/cluster"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// Object is a block's plain value by attribute name.
type Object = tfvalue.Object

// helm holds the provider's settings; the cluster is reached when first needed, charts also without one.
type helm struct {
	mutex    sync.Mutex
	settings Object
	located  map[string]string
}

func (h *helm) configure(_ context.Context, settings Object) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.settings, h.located = settings, map[string]string{}
	return nil
}

func (h *helm) environment() *cli.EnvSettings {
	environment := cli.New()
	for name, target := range map[string]*string{
		"plugins_path":           &environment.PluginsDirectory,
		"registry_config_path":   &environment.RegistryConfig,
		"repository_config_path": &environment.RepositoryConfig,
		"repository_cache":       &environment.RepositoryCache,
	} {
		if text := tfvalue.String(h.settings, name); text != "" {
			*target = text
		}
	}
	return environment
}

func (h *helm) registry() (*registry.Client, error) {
	client, err := registry.NewClient(registry.ClientOptCredentialsFile(h.environment().RegistryConfig))
	if err != nil {
		return nil, err
	}
	for _, login := range tfvalue.Blocks(h.settings, "registries") {
		address := tfvalue.String(login, "url")
		options := registry.LoginOptBasicAuth(tfvalue.String(login, "username"), tfvalue.String(login, "password"))
		if err := client.Login(address, options); err != nil {
			return nil, fmt.Errorf("cannot log in to registry %s: %w", address, err)
		}
	}
	return client, nil
}

// actions is Helm's configuration for the releases of one namespace.
func (h *helm) actions(namespace string) (*action.Configuration, error) {
	settings, _ := h.settings["kubernetes"].(Object)
	if h.settings["kubernetes"] == tfvalue.Unknown {
		return nil, fmt.Errorf("the provider's kubernetes settings are not known yet: a plan that must read the cluster needs them")
	}
	driver := tfvalue.String(h.settings, "helm_driver")
	if driver == "" {
		driver = os.Getenv("HELM_DRIVER")
	}
	configuration := &action.Configuration{}
	getter := &clientGetter{settings: cluster.NewSettings(settings), namespace: namespace}
	if _, err := getter.ToRESTConfig(); err != nil {
		return nil, err
	}
	// Helm's debug log is dropped: it can hold rendered values.
	if err := configuration.Init(getter, namespace, driver, func(string, ...any) {}); err != nil {
		return nil, err
	}
	return configuration, nil
}

const dialTimeout = 10 * time.Second

// clientGetter gives Helm its Kubernetes clients.
type clientGetter struct {
	settings  cluster.Settings
	namespace string
	mutex     sync.Mutex
	discovery discovery.CachedDiscoveryInterface
}

func (g *clientGetter) ToRESTConfig() (*rest.Config, error) {
	config, err := g.settings.RestConfig()
	if err != nil {
		return nil, err
	}
	// Helm's waits are long requests with limits of their own; only the connection itself is bounded here.
	config.Timeout = 0
	config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	return config, nil
}

func (g *clientGetter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.discovery == nil {
		config, err := g.ToRESTConfig()
		if err != nil {
			return nil, err
		}
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err != nil {
			return nil, err
		}
		g.discovery = memory.NewMemCacheClient(client)
	}
	return g.discovery, nil
}

func (g *clientGetter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(client), client, nil), nil
}

func (g *clientGetter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	config, err := g.settings.ClientConfig(g.namespace)
	if err != nil {
		// Unreachable after actions(), which checks the settings first.
		return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), nil)
	}
	return config
}
