package dockerengine

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/volume"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func (e *engine) volume() plugin.Resource {
	read := func(ctx context.Context, state Object) (Object, error) {
		found, err := e.findVolume(ctx, tfvalue.String(state, "id"))
		if errdefs.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return with(state, found), nil
	}
	return plugin.Resource{
		Create: func(ctx context.Context, change plugin.Change) (Object, error) {
			connected, err := e.connect()
			if err != nil {
				return nil, err
			}
			created, err := connected.VolumeCreate(ctx, volume.CreateOptions{
				Name: tfvalue.String(change.Planned, "name"), Driver: tfvalue.String(change.Planned, "driver"),
				DriverOpts: tfvalue.StringMap(change.Planned, "driver_opts"), Labels: labelMap(change.Planned),
			})
			if err != nil {
				return nil, fmt.Errorf("unable to create volume %s: %w", tfvalue.String(change.Planned, "name"), err)
			}
			return observedVolume(created), nil
		},
		Read: read,
		Delete: func(ctx context.Context, state Object) error {
			connected, err := e.connect()
			if err != nil {
				return err
			}
			name := tfvalue.String(state, "id")
			if err := connected.VolumeRemove(ctx, name, true); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("unable to remove volume %s: %w", name, err)
			}
			return nil
		},
		Import: e.findVolume,
	}
}

func (e *engine) findVolume(ctx context.Context, id string) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.VolumeInspect(ctx, id)
	if err != nil {
		return nil, err
	}
	return observedVolume(found), nil
}

func observedVolume(found volume.Volume) Object {
	return Object{"id": found.Name, "name": found.Name, "driver": found.Driver, "mountpoint": found.Mountpoint}
}
