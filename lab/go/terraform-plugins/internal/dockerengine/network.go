package dockerengine

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// network and volume know no update: any change replaces them.
func (e *engine) network() plugin.Resource {
	return plugin.Resource{
		Defaults: map[string]any{"ipam_driver": "default"},
		Create:   e.createNetwork,
		Read:     e.readNetwork,
		Delete:   e.deleteNetwork,
		Import:   func(ctx context.Context, id string) (Object, error) { return e.importNetwork(ctx, id) },
	}
}

func (e *engine) createNetwork(ctx context.Context, change plugin.Change) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	planned := change.Planned
	options := network.CreateOptions{
		Driver:     tfvalue.String(planned, "driver"),
		Internal:   tfvalue.Bool(planned, false, "internal"),
		Attachable: tfvalue.Bool(planned, false, "attachable"),
		Ingress:    tfvalue.Bool(planned, false, "ingress"),
		Options:    tfvalue.StringMap(planned, "options"),
		Labels:     labelMap(planned),
		IPAM: &network.IPAM{
			Driver: tfvalue.String(planned, "ipam_driver"), Options: tfvalue.StringMap(planned, "ipam_options"),
		},
	}
	if ipv6, set := planned["ipv6"].(bool); set {
		options.EnableIPv6 = &ipv6
	}
	for _, block := range tfvalue.Blocks(planned, "ipam_config") {
		options.IPAM.Config = append(options.IPAM.Config, network.IPAMConfig{
			Subnet: tfvalue.String(block, "subnet"), IPRange: tfvalue.String(block, "ip_range"),
			Gateway: tfvalue.String(block, "gateway"), AuxAddress: tfvalue.StringMap(block, "aux_address"),
		})
	}
	created, err := connected.NetworkCreate(ctx, tfvalue.String(planned, "name"), options)
	if err != nil {
		return nil, fmt.Errorf("unable to create network %s: %w", tfvalue.String(planned, "name"), err)
	}
	found, err := connected.NetworkInspect(ctx, created.ID, network.InspectOptions{})
	if err != nil {
		return nil, err
	}
	return observedNetwork(found), nil
}

func observedNetwork(found network.Inspect) Object {
	return Object{
		"id": found.ID, "name": found.Name, "driver": found.Driver, "scope": found.Scope, "internal": found.Internal,
		"options": textMap(found.Options),
	}
}

func (e *engine) readNetwork(ctx context.Context, state Object) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.NetworkInspect(ctx, tfvalue.String(state, "id"), network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return with(state, observedNetwork(found)), nil
}

func (e *engine) importNetwork(ctx context.Context, id string) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.NetworkInspect(ctx, id, network.InspectOptions{})
	if err != nil {
		return nil, err
	}
	state := with(observedNetwork(found), Object{
		"attachable": found.Attachable, "ipam_driver": found.IPAM.Driver, "labels": labelBlocks(found.Labels),
	})
	ranges := []any{}
	for _, one := range found.IPAM.Config {
		block := Object{}
		for name, text := range map[string]string{"subnet": one.Subnet, "gateway": one.Gateway, "ip_range": one.IPRange} {
			if text != "" {
				block[name] = text
			}
		}
		ranges = append(ranges, block)
	}
	state["ipam_config"] = ranges
	return state, nil
}

const detachWait = 500 * time.Millisecond

// deleteNetwork tries again while containers that are on their way out still hold the network.
func (e *engine) deleteNetwork(ctx context.Context, state Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	name := tfvalue.String(state, "name")
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := connected.NetworkRemove(ctx, tfvalue.String(state, "id"))
		switch {
		case err == nil || errdefs.IsNotFound(err):
			return nil
		case time.Now().After(deadline) || ctx.Err() != nil:
			return fmt.Errorf("unable to remove network %s: %w", name, err)
		}
		time.Sleep(detachWait)
	}
}

func labelMap(value Object) map[string]string {
	labels := map[string]string{}
	for _, block := range tfvalue.Blocks(value, "labels") {
		labels[tfvalue.String(block, "label")] = tfvalue.String(block, "value")
	}
	return labels
}

func labelBlocks(labels map[string]string) []any {
	blocks := []any{}
	for name, value := range labels {
		blocks = append(blocks, Object{"label": name, "value": value})
	}
	return blocks
}

func textMap(texts map[string]string) Object {
	converted := make(Object, len(texts))
	for name, text := range texts {
		converted[name] = text
	}
	return converted
}
