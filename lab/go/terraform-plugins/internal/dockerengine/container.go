package dockerengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// updatable are the settings of a container that change in place; all others replace it.
var updatable = map[string]bool{
	"restart": true, "max_retry_count": true, "cpu_shares": true, "memory": true, "memory_swap": true, "cpu_set": true,
	"must_run": true, "start": true, "attach": true, "logs": true, "wait": true, "wait_timeout": true, "rm": true,
	"remove_volumes": true, "destroy_grace_seconds": true, "container_read_refresh_timeout_milliseconds": true,
}

func (e *engine) container(block schema.Block) plugin.Resource {
	var forceNew []string
	for name, attribute := range block.Attributes {
		if (attribute.Required || attribute.Optional) && !updatable[name] && name != "id" {
			forceNew = append(forceNew, name)
		}
	}
	for name := range block.Blocks {
		forceNew = append(forceNew, name)
	}
	return plugin.Resource{
		Defaults: map[string]any{
			"rm": false, "read_only": false, "start": true, "wait": false, "wait_timeout": int64(60), "attach": false,
			"logs": false, "must_run": true, "restart": "no", "remove_volumes": true, "network_mode": "bridge",
			"container_read_refresh_timeout_milliseconds": int64(15000), "ports.ip": "0.0.0.0", "ports.protocol": "tcp",
		},
		ForceNew: forceNew,
		Validate: checkContainer,
		Create:   e.createContainer,
		Update:   e.updateContainer,
		Read:     e.readContainer,
		Delete:   e.deleteContainer,
	}
}

func (e *engine) createContainer(ctx context.Context, change plugin.Change) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	planned := change.Planned
	name := tfvalue.String(planned, "name")
	wanted, err := containerOptions(planned)
	if err != nil {
		return nil, err
	}
	created, err := connected.ContainerCreate(ctx, wanted.config, wanted.host, wanted.networking, nil, name)
	if err != nil {
		return nil, fmt.Errorf("unable to create container %s: %w", name, err)
	}
	remove := func(failure error) (Object, error) {
		_ = connected.ContainerRemove(context.WithoutCancel(ctx), created.ID, container.RemoveOptions{Force: true})
		return nil, failure
	}
	for _, upload := range tfvalue.Blocks(planned, "upload") {
		if err := e.upload(ctx, created.ID, upload); err != nil {
			return remove(err)
		}
	}
	if !tfvalue.Bool(planned, true, "start") {
		return e.observeContainer(ctx, created.ID)
	}
	if err := connected.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		return remove(fmt.Errorf("unable to start container %s: %w", name, err))
	}
	if err := e.afterStart(ctx, created.ID, planned); err != nil {
		found, _ := e.observeContainer(ctx, created.ID)
		return found, err
	}
	found, err := e.observeContainer(ctx, created.ID)
	if err != nil {
		return nil, err
	}
	observedPorts, _ := found["ports"].([]any)
	found["ports"] = pairedPorts(planned, observedPorts)
	if tfvalue.Bool(planned, false, "attach") && tfvalue.Bool(planned, false, "logs") {
		found["container_logs"], err = e.logs(ctx, created.ID, tfvalue.Bool(planned, false, "tty"))
	}
	return found, err
}

// afterStart waits for health or for the end, as asked, and else looks whether a container that must run does.
func (e *engine) afterStart(ctx context.Context, id string, planned Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	name := tfvalue.String(planned, "name")
	if tfvalue.Bool(planned, false, "wait") {
		return e.awaitHealth(ctx, id, planned)
	}
	if tfvalue.Bool(planned, false, "attach") {
		ended, failed := connected.ContainerWait(ctx, id, container.WaitConditionNotRunning)
		select {
		case <-ended:
			return nil
		case err := <-failed:
			return fmt.Errorf("container %s: %w", name, err)
		}
	}
	found, err := connected.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	if tfvalue.Bool(planned, true, "must_run") && !found.State.Running && !found.State.Restarting {
		said, _ := e.logs(ctx, id, found.Config.Tty)
		return &plugin.Problem{
			Summary: fmt.Sprintf("container %s exited immediately with code %d", name, found.State.ExitCode),
			Detail:  fmt.Sprintf("%s\n%v\nSet must_run = false for a container that may end.", found.State.Error, said),
		}
	}
	return nil
}

func (e *engine) awaitHealth(ctx context.Context, id string, planned Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	limit := time.Duration(tfvalue.Int(planned, 60, "wait_timeout")) * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	health := "unknown"
	for ctx.Err() == nil {
		found, err := connected.ContainerInspect(ctx, id)
		if err == nil && found.State.Health == nil {
			return errors.New("wait = true needs a container with a healthcheck")
		}
		if err == nil {
			if health = found.State.Health.Status; health == container.Healthy {
				return nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	return fmt.Errorf("container %s is %s after %s (wait_timeout)", tfvalue.String(planned, "name"), health, limit)
}

func (e *engine) logs(ctx context.Context, id string, tty bool) (any, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	stream, err := connected.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var said bytes.Buffer
	if tty {
		_, err = said.ReadFrom(stream)
	} else {
		_, err = stdcopy.StdCopy(&said, &said, stream)
	}
	return said.String(), err
}

func (e *engine) updateContainer(ctx context.Context, change plugin.Change) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	host := hostConfig(change.Planned)
	id := tfvalue.String(change.Prior, "id")
	_, err = connected.ContainerUpdate(ctx, id, container.UpdateConfig{
		RestartPolicy: host.RestartPolicy,
		Resources: container.Resources{
			CPUShares: host.CPUShares, Memory: host.Memory, MemorySwap: host.MemorySwap, CpusetCpus: host.CpusetCpus,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("unable to update container %s: %w", tfvalue.String(change.Planned, "name"), err)
	}
	return e.observeContainer(ctx, id)
}

func (e *engine) deleteContainer(ctx context.Context, state Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	id := tfvalue.String(state, "id")
	if grace := tfvalue.Int(state, 0, "destroy_grace_seconds"); grace > 0 {
		seconds := int(grace)
		if err := connected.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); errdefs.IsNotFound(err) {
			return nil
		}
	}
	err = connected.ContainerRemove(ctx, id, container.RemoveOptions{
		Force: true, RemoveVolumes: tfvalue.Bool(state, true, "remove_volumes"),
	})
	// With rm = true the engine may be removing it at this moment.
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("unable to remove container %s: %w", tfvalue.String(state, "name"), err)
	}
	return nil
}
