package dockerengine

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// tag is a second name for an image that is on the engine.
func (e *engine) tag() plugin.Resource {
	return plugin.Resource{
		Create: func(ctx context.Context, change plugin.Change) (Object, error) {
			connected, err := e.connect()
			if err != nil {
				return nil, err
			}
			source, target := tfvalue.String(change.Planned, "source_image"), tfvalue.String(change.Planned, "target_image")
			if err := connected.ImageTag(ctx, source, target); err != nil {
				return nil, fmt.Errorf("failed to create docker tag %s of %s: %w", target, source, err)
			}
			found, err := connected.ImageInspect(ctx, source)
			if err != nil {
				return nil, err
			}
			return Object{"id": source + "." + target, "source_image_id": found.ID}, nil
		},
		Read: func(ctx context.Context, state Object) (Object, error) {
			connected, err := e.connect()
			if err != nil {
				return nil, err
			}
			target, err := connected.ImageInspect(ctx, tfvalue.String(state, "target_image"))
			if errdefs.IsNotFound(err) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			// A target that is another image by now has to be tagged again.
			if source, err := connected.ImageInspect(ctx, tfvalue.String(state, "source_image")); err == nil && source.ID != target.ID {
				return nil, nil
			}
			return state, nil
		},
		Delete: func(ctx context.Context, state Object) error {
			connected, err := e.connect()
			if err != nil {
				return err
			}
			_, err = connected.ImageRemove(ctx, tfvalue.String(state, "target_image"), image.RemoveOptions{})
			if errdefs.IsNotFound(err) {
				return nil
			}
			return err
		},
	}
}
