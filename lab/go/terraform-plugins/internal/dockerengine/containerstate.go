package dockerengine

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// observeContainer is what the engine says about a container.
func (e *engine) observeContainer(ctx context.Context, id string) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.ContainerInspect(ctx, id)
	if err != nil {
		return nil, err
	}
	return observedContainer(found), nil
}

func observedContainer(found container.InspectResponse) Object {
	observed := Object{
		"id": found.ID, "name": strings.TrimPrefix(found.Name, "/"), "image": found.Image,
		"hostname": found.Config.Hostname, "command": texts(found.Config.Cmd), "entrypoint": texts(found.Config.Entrypoint),
		"env": texts(found.Config.Env), "init": found.HostConfig.Init != nil && *found.HostConfig.Init,
		"ipc_mode": string(found.HostConfig.IpcMode), "log_driver": found.HostConfig.LogConfig.Type,
		"runtime": found.HostConfig.Runtime, "security_opts": texts(found.HostConfig.SecurityOpt),
		"shm_size": found.HostConfig.ShmSize / megabyte, "stop_signal": found.Config.StopSignal, "stop_timeout": int64(0),
		"exit_code": int64(found.State.ExitCode), "bridge": "", "container_logs": nil, "network_data": networkData(found),
		"restart": string(found.HostConfig.RestartPolicy.Name), "memory": found.HostConfig.Memory / megabyte,
		"cpu_shares": found.HostConfig.CPUShares, "privileged": found.HostConfig.Privileged,
		"ports": portBlocks(found),
	}
	if found.Config.StopTimeout != nil {
		observed["stop_timeout"] = int64(*found.Config.StopTimeout)
	}
	return observed
}

func texts(items []string) []any {
	converted := make([]any, 0, len(items))
	for _, item := range items {
		converted = append(converted, item)
	}
	return converted
}

func networkData(found container.InspectResponse) []any {
	joined := []any{}
	var names []string
	for name := range found.NetworkSettings.Networks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		endpoint := found.NetworkSettings.Networks[name]
		joined = append(joined, Object{
			"network_name": name, "ip_address": endpoint.IPAddress, "ip_prefix_length": int64(endpoint.IPPrefixLen),
			"gateway": endpoint.Gateway, "mac_address": endpoint.MacAddress, "ipv6_gateway": endpoint.IPv6Gateway,
			"global_ipv6_address": endpoint.GlobalIPv6Address, "global_ipv6_prefix_length": int64(endpoint.GlobalIPv6PrefixLen),
		})
	}
	return joined
}

// portBlocks are the ports in the order they were asked for, with the numbers that the engine chose.
func portBlocks(found container.InspectResponse) []any {
	blocks := []any{}
	for port, bindings := range found.NetworkSettings.Ports {
		for _, binding := range bindings {
			external, err := strconv.ParseInt(binding.HostPort, 10, 64)
			if err == nil {
				blocks = append(blocks, Object{"internal": int64(port.Int()), "protocol": port.Proto(), "external": external})
			}
		}
	}
	return blocks
}

// readContainer compares what the state manages with the container. One that is gone, or has stopped although it must
// run, is to be made again.
func (e *engine) readContainer(ctx context.Context, state Object) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.ContainerInspect(ctx, tfvalue.String(state, "id"))
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	running := found.State.Running || found.State.Restarting
	if tfvalue.Bool(state, true, "must_run") && tfvalue.Bool(state, true, "start") && !running {
		return nil, nil
	}
	observed := observedContainer(found)
	changes := Object{"network_data": observed["network_data"], "exit_code": observed["exit_code"]}
	for _, name := range []string{"restart", "memory", "cpu_shares", "privileged", "name"} {
		if state[name] != nil && !tfvalue.Equal(state[name], observed[name]) {
			changes[name] = observed[name]
		}
	}
	if about, err := connected.ImageInspect(ctx, tfvalue.String(state, "image")); err == nil && about.ID != found.Image {
		changes["image"] = found.Image // the name means another image by now
	}
	return with(state, changes), nil
}

// pairedPorts gives the planned ports, in their order, the outside numbers that the engine chose.
func pairedPorts(planned Object, observed []any) []any {
	var result []any
	for _, block := range tfvalue.Blocks(planned, "ports") {
		filled := with(block, Object{})
		for _, item := range observed {
			candidate, _ := item.(Object)
			if candidate["internal"] == block["internal"] && candidate["protocol"] == block["protocol"] {
				filled["external"] = candidate["external"]
				break
			}
		}
		result = append(result, filled)
	}
	return result
}

// upload puts one file into a container that is not started yet.
func (e *engine) upload(ctx context.Context, id string, block Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	target := tfvalue.String(block, "file")
	content := []byte(tfvalue.String(block, "content"))
	switch {
	case tfvalue.String(block, "content_base64") != "":
		if content, err = base64.StdEncoding.DecodeString(tfvalue.String(block, "content_base64")); err != nil {
			return fmt.Errorf("upload %s: content_base64 is no base64", target)
		}
	case tfvalue.String(block, "source") != "":
		if content, err = os.ReadFile(tfvalue.String(block, "source")); err != nil {
			return fmt.Errorf("upload %s: %w", target, err)
		}
	}
	mode := int64(0o644)
	if tfvalue.Bool(block, false, "executable") {
		mode = 0o744
	}
	if permissions := tfvalue.String(block, "permissions"); permissions != "" {
		if mode, err = strconv.ParseInt(permissions, 8, 32); err != nil {
			return fmt.Errorf("upload %s: permissions %q are no octal number", target, permissions)
		}
	}
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	header := &tar.Header{Name: path.Clean(target), Mode: mode, Size: int64(len(content))}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := archive.Write(content); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return connected.CopyToContainer(ctx, id, "/", &packed, container.CopyToContainerOptions{})
}
