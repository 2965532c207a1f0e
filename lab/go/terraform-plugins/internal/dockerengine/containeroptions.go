package dockerengine

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

type options struct {
	config     *container.Config
	host       *container.HostConfig
	networking *network.NetworkingConfig
}

const megabyte = 1 << 20

func checkContainer(config Object) []error {
	var problems []error
	refuse := func(name, value, allowed string) {
		problems = append(problems, &plugin.Problem{
			Path: plugin.At(name), Summary: fmt.Sprintf("%s: %q is not allowed", name, value), Detail: allowed,
		})
	}
	policies := []string{"", "no", "on-failure", "always", "unless-stopped"}
	if policy := tfvalue.String(config, "restart"); !slices.Contains(policies, policy) {
		refuse("restart", policy, "It must be one of no, on-failure, always, unless-stopped.")
	}
	if gpus := tfvalue.String(config, "gpus"); gpus != "" && gpus != "all" {
		refuse("gpus", gpus, `The plugin 3.6.2 knows only "all"; devices can be chosen from its version 4 on.`)
	}
	return problems
}

func containerOptions(value Object) (options, error) {
	config := &container.Config{
		Image:      tfvalue.String(value, "image"),
		Hostname:   tfvalue.String(value, "hostname"),
		Domainname: tfvalue.String(value, "domainname"),
		User:       tfvalue.String(value, "user"),
		Env:        tfvalue.Strings(value, "env"),
		Cmd:        tfvalue.Strings(value, "command"),
		Entrypoint: tfvalue.Strings(value, "entrypoint"),
		WorkingDir: tfvalue.String(value, "working_dir"),
		Tty:        tfvalue.Bool(value, false, "tty"),
		OpenStdin:  tfvalue.Bool(value, false, "stdin_open"),
		StopSignal: tfvalue.String(value, "stop_signal"),
		Labels:     labelMap(value),
	}
	if seconds, set := value["stop_timeout"].(int64); set {
		timeout := int(seconds)
		config.StopTimeout = &timeout
	}
	var err error
	if config.Healthcheck, err = healthcheck(value); err != nil {
		return options{}, err
	}
	host := hostConfig(value)
	if config.ExposedPorts, host.PortBindings, err = ports(value); err != nil {
		return options{}, err
	}
	if cpus := tfvalue.String(value, "cpus"); cpus != "" {
		amount, err := strconv.ParseFloat(cpus, 64)
		if err != nil {
			return options{}, fmt.Errorf("cpus: %q is no number", cpus)
		}
		host.NanoCPUs = int64(math.Round(amount * 1e9))
	}
	return options{config: config, host: host, networking: endpoints(value)}, nil
}

func healthcheck(value Object) (*container.HealthConfig, error) {
	block := tfvalue.First(value["healthcheck"])
	if block == nil {
		return nil, nil
	}
	check := &container.HealthConfig{Test: tfvalue.Strings(block, "test"), Retries: int(tfvalue.Int(block, 0, "retries"))}
	for name, target := range map[string]*time.Duration{
		"interval": &check.Interval, "timeout": &check.Timeout, "start_period": &check.StartPeriod,
		"start_interval": &check.StartInterval,
	} {
		text := tfvalue.String(block, name)
		if text == "" {
			continue
		}
		duration, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("healthcheck.%s: %q is no duration such as \"10s\"", name, text)
		}
		*target = duration
	}
	return check, nil
}

func hostConfig(value Object) *container.HostConfig {
	host := &container.HostConfig{
		NetworkMode:     container.NetworkMode(tfvalue.String(value, "network_mode")),
		IpcMode:         container.IpcMode(tfvalue.String(value, "ipc_mode")),
		PidMode:         container.PidMode(tfvalue.String(value, "pid_mode")),
		UsernsMode:      container.UsernsMode(tfvalue.String(value, "userns_mode")),
		CgroupnsMode:    container.CgroupnsMode(tfvalue.String(value, "cgroupns_mode")),
		AutoRemove:      tfvalue.Bool(value, false, "rm"),
		Privileged:      tfvalue.Bool(value, false, "privileged"),
		PublishAllPorts: tfvalue.Bool(value, false, "publish_all_ports"),
		ReadonlyRootfs:  tfvalue.Bool(value, false, "read_only"),
		SecurityOpt:     tfvalue.Strings(value, "security_opts"),
		DNS:             tfvalue.Strings(value, "dns"),
		DNSOptions:      tfvalue.Strings(value, "dns_opts"),
		DNSSearch:       tfvalue.Strings(value, "dns_search"),
		GroupAdd:        tfvalue.Strings(value, "group_add"),
		Runtime:         tfvalue.String(value, "runtime"),
		ShmSize:         tfvalue.Int(value, 0, "shm_size") * megabyte,
		StorageOpt:      tfvalue.StringMap(value, "storage_opts"),
		Sysctls:         tfvalue.StringMap(value, "sysctls"),
		Tmpfs:           tfvalue.StringMap(value, "tmpfs"),
		LogConfig: container.LogConfig{
			Type: tfvalue.String(value, "log_driver"), Config: tfvalue.StringMap(value, "log_opts"),
		},
		RestartPolicy: container.RestartPolicy{
			Name:              container.RestartPolicyMode(tfvalue.String(value, "restart")),
			MaximumRetryCount: int(tfvalue.Int(value, 0, "max_retry_count")),
		},
	}
	if capabilities := tfvalue.First(value["capabilities"]); capabilities != nil {
		host.CapAdd, host.CapDrop = tfvalue.Strings(capabilities, "add"), tfvalue.Strings(capabilities, "drop")
	}
	if init, set := value["init"].(bool); set {
		host.Init = &init
	}
	for _, block := range tfvalue.Blocks(value, "host") {
		host.ExtraHosts = append(host.ExtraHosts, tfvalue.String(block, "host")+":"+tfvalue.String(block, "ip"))
	}
	host.Resources = resources(value)
	host.Binds, host.VolumesFrom = volumes(value)
	host.Mounts = mounts(value)
	return host
}

func resources(value Object) container.Resources {
	limits := container.Resources{
		CPUShares:    tfvalue.Int(value, 0, "cpu_shares"),
		CPUPeriod:    tfvalue.Int(value, 0, "cpu_period"),
		CPUQuota:     tfvalue.Int(value, 0, "cpu_quota"),
		CpusetCpus:   tfvalue.String(value, "cpu_set"),
		CgroupParent: tfvalue.String(value, "cgroup_parent"),
		Memory:       tfvalue.Int(value, 0, "memory") * megabyte,
		MemorySwap:   tfvalue.Int(value, 0, "memory_swap"),
	}
	if limits.MemorySwap > 0 {
		limits.MemorySwap *= megabyte // -1 means unlimited and stays
	}
	if tfvalue.String(value, "gpus") == "all" {
		limits.DeviceRequests = []container.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}}
	}
	for _, block := range tfvalue.Blocks(value, "devices") {
		device := container.DeviceMapping{
			PathOnHost: tfvalue.String(block, "host_path"), PathInContainer: tfvalue.String(block, "container_path"),
			CgroupPermissions: tfvalue.String(block, "permissions"),
		}
		if device.PathInContainer == "" {
			device.PathInContainer = device.PathOnHost
		}
		if device.CgroupPermissions == "" {
			device.CgroupPermissions = "rwm"
		}
		limits.Devices = append(limits.Devices, device)
	}
	for _, block := range tfvalue.Blocks(value, "ulimit") {
		limits.Ulimits = append(limits.Ulimits, &container.Ulimit{
			Name: tfvalue.String(block, "name"), Soft: tfvalue.Int(block, 0, "soft"), Hard: tfvalue.Int(block, 0, "hard"),
		})
	}
	return limits
}

func volumes(value Object) (binds, from []string) {
	for _, block := range tfvalue.Blocks(value, "volumes") {
		if source := tfvalue.String(block, "from_container"); source != "" {
			from = append(from, source)
			continue
		}
		source := tfvalue.String(block, "host_path")
		if source == "" {
			source = tfvalue.String(block, "volume_name")
		}
		parts := []string{tfvalue.String(block, "container_path")}
		if source != "" {
			parts = append([]string{source}, parts...)
		}
		if tfvalue.Bool(block, false, "read_only") {
			parts = append(parts, "ro")
		}
		binds = append(binds, strings.Join(parts, ":"))
	}
	return binds, from
}

func mounts(value Object) []mount.Mount {
	var all []mount.Mount
	for _, block := range tfvalue.Blocks(value, "mounts") {
		one := mount.Mount{
			Type: mount.Type(tfvalue.String(block, "type")), Source: tfvalue.String(block, "source"),
			Target: tfvalue.String(block, "target"), ReadOnly: tfvalue.Bool(block, false, "read_only"),
		}
		if bind := tfvalue.First(block["bind_options"]); bind != nil {
			one.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(tfvalue.String(bind, "propagation"))}
		}
		if tmpfs := tfvalue.First(block["tmpfs_options"]); tmpfs != nil {
			one.TmpfsOptions = &mount.TmpfsOptions{
				SizeBytes: tfvalue.Int(tmpfs, 0, "size_bytes"), Mode: os.FileMode(tfvalue.Int(tmpfs, 0, "mode")),
			}
		}
		if volume := tfvalue.First(block["volume_options"]); volume != nil {
			one.VolumeOptions = &mount.VolumeOptions{
				NoCopy: tfvalue.Bool(volume, false, "no_copy"), Labels: labelMap(volume), Subpath: tfvalue.String(volume, "subpath"),
			}
			if driver := tfvalue.String(volume, "driver_name"); driver != "" {
				one.VolumeOptions.DriverConfig = &mount.Driver{Name: driver, Options: tfvalue.StringMap(volume, "driver_options")}
			}
		}
		all = append(all, one)
	}
	return all
}

func ports(value Object) (nat.PortSet, nat.PortMap, error) {
	exposed, bound := nat.PortSet{}, nat.PortMap{}
	for _, block := range tfvalue.Blocks(value, "ports") {
		protocol := tfvalue.String(block, "protocol")
		if protocol == "" {
			protocol = "tcp"
		}
		port, err := nat.NewPort(protocol, strconv.FormatInt(tfvalue.Int(block, 0, "internal"), 10))
		if err != nil {
			return nil, nil, err
		}
		binding := nat.PortBinding{HostIP: tfvalue.String(block, "ip")}
		if external := tfvalue.Int(block, 0, "external"); external != 0 {
			binding.HostPort = strconv.FormatInt(external, 10)
		}
		exposed[port] = struct{}{}
		bound[port] = append(bound[port], binding)
	}
	return exposed, bound, nil
}

func endpoints(value Object) *network.NetworkingConfig {
	joined := map[string]*network.EndpointSettings{}
	for _, block := range tfvalue.Blocks(value, "networks_advanced") {
		endpoint := &network.EndpointSettings{Aliases: tfvalue.Strings(block, "aliases")}
		v4, v6 := tfvalue.String(block, "ipv4_address"), tfvalue.String(block, "ipv6_address")
		if v4 != "" || v6 != "" {
			endpoint.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: v4, IPv6Address: v6}
		}
		joined[tfvalue.String(block, "name")] = endpoint
	}
	return &network.NetworkingConfig{EndpointsConfig: joined}
}
