package dockerengine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/versions"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// buildKitAPI is the first Engine API with BuildKit.
const buildKitAPI = "1.39"

func checkBuild(config Object) []error {
	settings := tfvalue.First(config["build"])
	if settings == nil || !tfvalue.Known(settings["context"]) || !tfvalue.Known(settings["dockerfile"]) {
		return nil
	}
	var problems []error
	for _, unsupported := range []string{"builder", "build_log_file", "remote_context"} {
		if settings[unsupported] != nil {
			problems = append(problems, &plugin.Problem{
				Path:    plugin.At("build"),
				Summary: fmt.Sprintf("build.%s is not supported", unsupported),
				Detail:  "This stand-in builds through the engine's API with a local context; leave it out.",
			})
		}
	}
	return problems
}

// build builds an image on the engine, with BuildKit where the engine has it.
func (e *engine) build(ctx context.Context, name string, settings Object) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	source, err := openContext(settings)
	if err != nil {
		return &plugin.Problem{Path: plugin.At("build"), Summary: "The build context cannot be read", Detail: err.Error()}
	}
	defer source.content.Close()
	options := buildOptions(name, settings)
	options.Dockerfile = source.dockerfile
	if options.AuthConfigs, err = e.credentials(); err != nil {
		return err
	}
	ping, err := connected.Ping(ctx)
	if err != nil {
		return err
	}
	if tfvalue.String(settings, "version") != string(build.BuilderV1) &&
		versions.GreaterThanOrEqualTo(connected.ClientVersion(), buildKitAPI) && ping.OSType != "windows" {
		stop, session, err := e.startSession(ctx, connected, settings)
		if err != nil {
			return err
		}
		defer stop()
		options.Version, options.SessionID = build.BuilderBuildKit, session
	}
	answer, err := connected.ImageBuild(ctx, source.content, options)
	if err != nil {
		return buildFailure(name, err, nil)
	}
	defer answer.Body.Close()
	said := &buildLog{}
	if _, err := readMessages(answer.Body, said.take); err != nil {
		return buildFailure(name, err, said)
	}
	return nil
}

func buildFailure(name string, err error, said *buildLog) error {
	problem := &plugin.Problem{Path: plugin.At("build"), Summary: "Failed to build image " + name, Detail: err.Error()}
	if said != nil {
		if tail := said.tail(); tail != "" {
			problem.Detail += "\n\nLast output of the build:\n" + tail
		}
	}
	return problem
}

func buildOptions(name string, settings Object) build.ImageBuildOptions {
	labels := tfvalue.StringMap(settings, "labels")
	for key, value := range tfvalue.StringMap(settings, "label") {
		labels[key] = value
	}
	arguments := map[string]*string{}
	for key, value := range tfvalue.StringMap(settings, "build_args") {
		arguments[key] = &value
	}
	options := build.ImageBuildOptions{
		Tags:           append([]string{name}, tfvalue.Strings(settings, "tag")...),
		SuppressOutput: tfvalue.Bool(settings, false, "suppress_output"),
		NoCache:        tfvalue.Bool(settings, false, "no_cache"),
		Remove:         tfvalue.Bool(settings, true, "remove"),
		ForceRemove:    tfvalue.Bool(settings, false, "force_remove"),
		PullParent:     tfvalue.Bool(settings, false, "pull_parent"),
		Isolation:      container.Isolation(tfvalue.String(settings, "isolation")),
		CPUSetCPUs:     tfvalue.String(settings, "cpu_set_cpus"),
		CPUSetMems:     tfvalue.String(settings, "cpu_set_mems"),
		CPUShares:      tfvalue.Int(settings, 0, "cpu_shares"),
		CPUQuota:       tfvalue.Int(settings, 0, "cpu_quota"),
		CPUPeriod:      tfvalue.Int(settings, 0, "cpu_period"),
		Memory:         tfvalue.Int(settings, 0, "memory"),
		MemorySwap:     tfvalue.Int(settings, 0, "memory_swap"),
		CgroupParent:   tfvalue.String(settings, "cgroup_parent"),
		NetworkMode:    tfvalue.String(settings, "network_mode"),
		ShmSize:        tfvalue.Int(settings, 0, "shm_size"),
		BuildArgs:      arguments,
		Labels:         labels,
		Squash:         tfvalue.Bool(settings, false, "squash"),
		CacheFrom:      tfvalue.Strings(settings, "cache_from"),
		SecurityOpt:    tfvalue.Strings(settings, "security_opt"),
		ExtraHosts:     tfvalue.Strings(settings, "extra_hosts"),
		Target:         tfvalue.String(settings, "target"),
		Platform:       tfvalue.String(settings, "platform"),
		BuildID:        tfvalue.String(settings, "build_id"),
		Version:        build.BuilderV1,
	}
	for _, limit := range tfvalue.Blocks(settings, "ulimit") {
		options.Ulimits = append(options.Ulimits, &container.Ulimit{
			Name: tfvalue.String(limit, "name"), Soft: tfvalue.Int(limit, 0, "soft"), Hard: tfvalue.Int(limit, 0, "hard"),
		})
	}
	return options
}

// dockerfilePath finds the Dockerfile, absolute.
//
// The plugin resolves a relative path against the working directory first (its issues 592 and 652), which for CDKTF is
// cdktf.out/stacks/<stack>. Where that would pick another file than the context's, this is an error here, so that no
// configuration works with the stand-in and fails with the plugin.
func dockerfilePath(contextDirectory string, settings Object) (string, error) {
	name := tfvalue.String(settings, "dockerfile")
	if name == "" {
		name = "Dockerfile"
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	inContext := filepath.Join(contextDirectory, name)
	beside, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(beside); err == nil && beside != inContext {
		return "", fmt.Errorf("dockerfile %q is in the context and also at %s, which the plugin 3.6.2 would take; "+
			"give an absolute path", name, beside)
	}
	return inContext, nil
}

// withoutBuildFiles are the patterns of .dockerignore, less those for the files that the build itself needs.
func withoutBuildFiles(patterns []string, dockerfile string) []string {
	return append(slices.Clone(patterns), "!"+dockerfile, "!.dockerignore")
}
