package kube

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"edge-gpu.lab/terraform-plugins/internal/cluster"
)

// client reaches the cluster of the provider's settings; it connects when first needed, so that a plan of new
// resources works before the cluster exists.
type client struct {
	mutex     sync.Mutex
	settings  cluster.Settings
	dynamic   dynamic.Interface
	discovery *discovery.DiscoveryClient
}

func (c *client) configure(_ context.Context, settings Object) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.settings, c.dynamic, c.discovery = cluster.NewSettings(settings), nil, nil
	return nil
}

func (c *client) connect() (dynamic.Interface, *discovery.DiscoveryClient, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.dynamic != nil {
		return c.dynamic, c.discovery, nil
	}
	config, err := c.settings.RestConfig()
	if err != nil {
		return nil, nil, err
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("the provider's cluster settings are unusable: %w", err)
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	c.dynamic, c.discovery = dynamicClient, discoveryClient
	return c.dynamic, c.discovery, nil
}

// in gives access to one resource type; namespace "" is for cluster-wide types and lists over all namespaces.
func (c *client) in(resource schema.GroupVersionResource, namespace string) (dynamic.ResourceInterface, error) {
	connected, _, err := c.connect()
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		return connected.Resource(resource), nil
	}
	return connected.Resource(resource).Namespace(namespace), nil
}

// lookUp finds the resource type behind an API version and a kind, as the cluster serves it.
func (c *client) lookUp(apiVersion, kind string) (schema.GroupVersionResource, bool, error) {
	group, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionResource{}, false, fmt.Errorf("api_version %q: %w", apiVersion, err)
	}
	_, discoveryClient, err := c.connect()
	if err != nil {
		return schema.GroupVersionResource{}, false, err
	}
	served, err := discoveryClient.ServerResourcesForGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionResource{}, false, fmt.Errorf("api_version %q: %w", apiVersion, err)
	}
	for _, resource := range served.APIResources {
		if resource.Kind == kind && !strings.Contains(resource.Name, "/") {
			return group.WithResource(resource.Name), resource.Namespaced, nil
		}
	}
	return schema.GroupVersionResource{}, false, fmt.Errorf("the cluster serves no kind %q in api_version %q", kind, apiVersion)
}
