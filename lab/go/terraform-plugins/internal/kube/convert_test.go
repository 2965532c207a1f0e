package kube

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func one(block Object) []any { return []any{block} }

func gpuJob() Object {
	return Object{
		"metadata": one(Object{"name": "check", "namespace": "gpu", "uid": tfvalue.Unknown, "labels": Object{"a": ""}}),
		"spec": one(Object{
			"backoff_limit": int64(0),
			"template": one(Object{"metadata": one(Object{"name": nil}), "spec": one(Object{
				"restart_policy":     "Never",
				"runtime_class_name": "nvidia",
				"host_pid":           false,
				"node_name":          "",
				"image_pull_secrets": one(Object{"name": "s"}),
				"security_context":   one(Object{"run_as_user": "1000"}),
				"toleration":         one(Object{"key": "gpu", "operator": "Exists"}),
				"volume":             one(Object{"name": "v", "empty_dir": one(Object{"medium": nil, "size_limit": nil})}),
				"container": one(Object{
					"name": "c", "image": "i", "command": []any{"sh", "-c", ""},
					"env":            []any{Object{"name": "A", "value": "1"}},
					"resources":      one(Object{"limits": Object{"nvidia.com/gpu": "1", "cpu": "0.5"}}),
					"liveness_probe": one(Object{"http_get": one(Object{"port": "8080", "path": "/"})}),
					"volume_mount":   one(Object{"name": "v", "mount_path": "/v"}),
				}),
			})}),
		}),
	}
}

func TestABlockBecomesTheObjectThatKubernetesKnows(t *testing.T) {
	content, err := toAPI(gpuJob(), reflect.TypeFor[batchv1.Job]())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	// The typed object refuses what it does not know, which makes it the judge of the names.
	var job batchv1.Job
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&job); err != nil {
		t.Fatal(err, string(text))
	}
	pod := job.Spec.Template.Spec
	container := pod.Containers[0]
	checks := map[string][2]any{
		"namespace":       {job.Namespace, "gpu"},
		"empty label":     {job.Labels, map[string]string{"a": ""}},
		"uid left out":    {string(job.UID), ""},
		"zero backoff":    {*job.Spec.BackoffLimit, int32(0)},
		"runtime class":   {*pod.RuntimeClassName, "nvidia"},
		"text to number":  {*pod.SecurityContext.RunAsUser, int64(1000)},
		"empty block":     {pod.Volumes[0].EmptyDir != nil, true},
		"empty argument":  {container.Command, []string{"sh", "-c", ""}},
		"quantity":        {container.Resources.Limits.Cpu().String(), "500m"},
		"number for port": {container.LivenessProbe.HTTPGet.Port.IntValue(), 8080},
		"pull secret":     {pod.ImagePullSecrets[0].Name, "s"},
		"mount":           {container.VolumeMounts[0].MountPath, "/v"},
		"toleration":      {pod.Tolerations[0].Operator, corev1.TolerationOpExists},
	}
	for name, check := range checks {
		if !reflect.DeepEqual(check[0], check[1]) {
			t.Errorf("%s: got %v, want %v", name, check[0], check[1])
		}
	}
}

func TestASettingThatKubernetesLacksIsRefusedNotDropped(t *testing.T) {
	_, err := toAPI(Object{"spec": one(Object{"paralelism": int64(2)})}, reflect.TypeFor[batchv1.Job]())
	if err == nil || !strings.Contains(err.Error(), "paralelism") {
		t.Errorf("got %v", err)
	}
}

func TestATextThatIsNoNumberIsRefused(t *testing.T) {
	spec := one(Object{"security_context": one(Object{"run_as_user": "root"})})
	if _, err := toAPI(Object{"spec": spec}, reflect.TypeFor[corev1.Pod]()); err == nil {
		t.Error("taken")
	}
}

func TestAnObjectComesBackAsTheBlockItWasMadeOf(t *testing.T) {
	kind := kinds["kubernetes_job_v1"]
	block := schemas(t).Resources["kubernetes_job_v1"].Block
	content, err := toAPI(gpuJob(), kind.structure)
	if err != nil {
		t.Fatal(err)
	}
	state := gpuJob()
	tfvalue.First(state["metadata"])["uid"] = nil
	state["wait_for_completion"] = true
	refreshed := refresh(block, state, fromAPI(content, kind.structure, block), nil)
	if !tfvalue.Equal(refreshed, state) {
		t.Errorf("a job that nobody touched has drifted:\ngot  %v\nwant %v", refreshed, state)
	}
}

func refreshed(t *testing.T, change func(found Object)) Object {
	t.Helper()
	kind := kinds["kubernetes_job_v1"]
	block := schemas(t).Resources["kubernetes_job_v1"].Block
	content, err := toAPI(gpuJob(), kind.structure)
	if err != nil {
		t.Fatal(err)
	}
	found := fromAPI(content, kind.structure, block)
	change(found)
	return refresh(block, gpuJob(), found, nil)
}

func podSpec(job Object) Object {
	return tfvalue.First(tfvalue.First(tfvalue.First(tfvalue.First(job["spec"])["template"])["spec"]))
}

func TestWhatTheServerAddsIsNoDrift(t *testing.T) {
	job := refreshed(t, func(found Object) {
		pod := podSpec(found)
		pod["dns_policy"], pod["scheduler_name"] = "ClusterFirst", "default-scheduler"
		pod["toleration"] = append(pod["toleration"].([]any), Object{"key": "node.kubernetes.io/not-ready"})
		pod["volume"] = append([]any{Object{"name": "kube-api-access"}}, pod["volume"].([]any)...)
		tfvalue.First(tfvalue.First(pod["container"])["resources"])["limits"] = Object{"nvidia.com/gpu": "1", "cpu": "500m"}
		tfvalue.First(found["metadata"])["labels"] = Object{"a": "", "batch.kubernetes.io/job-name": "check"}
	})
	want := podSpec(gpuJob())
	for name := range want {
		if !tfvalue.Equal(podSpec(job)[name], want[name]) {
			t.Errorf("%s: got %v, want %v", name, podSpec(job)[name], want[name])
		}
	}
	if labels := tfvalue.At(job, "metadata", "labels"); !tfvalue.Equal(labels, Object{"a": ""}) {
		t.Errorf("labels: got %v", labels)
	}
}

func TestWhatSomebodyChangedIsDrift(t *testing.T) {
	job := refreshed(t, func(found Object) {
		pod := podSpec(found)
		pod["runtime_class_name"] = "runc"
		tfvalue.First(pod["container"])["image"] = "other"
		pod["toleration"] = []any{}
		tfvalue.First(found["metadata"])["labels"] = Object{"a": "", "mine": "1"}
	})
	if got := podSpec(job)["runtime_class_name"]; got != "runc" {
		t.Errorf("runtime class: got %v", got)
	}
	if got := tfvalue.First(podSpec(job)["container"])["image"]; got != "other" {
		t.Errorf("image: got %v", got)
	}
	if got, _ := podSpec(job)["toleration"].([]any); len(got) != 0 {
		t.Errorf("the removed toleration: got %v", got)
	}
	if got := tfvalue.StringMap(job, "metadata", "labels")["mine"]; got != "1" {
		t.Errorf("the added label is not seen")
	}
}

func TestAnAddedContainerIsDrift(t *testing.T) {
	job := refreshed(t, func(found Object) {
		podSpec(found)["container"] = append(podSpec(found)["container"].([]any), Object{"name": "sidecar"})
	})
	if got, _ := podSpec(job)["container"].([]any); len(got) != 2 {
		t.Errorf("got %d containers", len(got))
	}
}

func TestNamesThatTheAPIWouldRefuseAreFoundBefore(t *testing.T) {
	bad := map[string]Object{
		"name":     {"metadata": one(Object{"name": "Check_GPU"})},
		"label":    {"metadata": one(Object{"name": "a", "labels": Object{"a": "two words"}})},
		"quantity": {"spec": one(Object{"container": one(Object{"resources": one(Object{"limits": Object{"cpu": "lots"}})})})},
	}
	for name, config := range bad {
		if problems := validate(config); len(problems) != 1 {
			t.Errorf("%s: got %v", name, problems)
		}
	}
	good := gpuJob()
	if problems := validate(good); len(problems) != 0 {
		t.Errorf("a good job: got %v", problems)
	}
	role := Object{"metadata": one(Object{"name": "system:auth-delegator"})}
	if problems := validate(role); len(problems) != 0 {
		t.Errorf("a name that only RBAC allows: got %v", problems)
	}
}
