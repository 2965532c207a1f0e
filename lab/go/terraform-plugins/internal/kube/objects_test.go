package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func onFakeCluster(t *testing.T, typeName string) *objects {
	t.Helper()
	lists := map[runtimeschema.GroupVersionResource]string{podResource: "PodList", eventResource: "EventList"}
	for _, kind := range kinds {
		lists[kind.resource()] = kind.name + "List"
	}
	cluster := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists)
	kind := kinds[typeName]
	return &objects{kind: kind, client: &client{dynamic: cluster}, block: schemas(t).Resources[typeName].Block}
}

func configMap(data Object) Object {
	return Object{
		"id": tfvalue.Unknown, "data": data, "binary_data": nil, "immutable": nil,
		"metadata": one(Object{"name": "c", "namespace": "n", "labels": Object{"a": "b"}, "uid": tfvalue.Unknown}),
	}
}

func stateOf(t *testing.T, o *objects, planned Object) Object {
	t.Helper()
	found, err := o.create(t.Context(), plugin.Change{Config: planned, Planned: planned})
	if err != nil {
		t.Fatal(err)
	}
	state, _ := tfvalue.Copy(planned).(Object)
	state["id"] = found["id"]
	return state
}

func TestAnObjectIsCreatedReadChangedAndDeleted(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_config_map_v1")
	state := stateOf(t, o, configMap(Object{"x": "1", "y": "2"}))
	if state["id"] != "n/c" {
		t.Errorf("id: got %v", state["id"])
	}
	wanted, _ := tfvalue.Copy(state).(Object)
	wanted["data"] = Object{"x": "3"}
	found, err := o.update(t.Context(), plugin.Change{Config: wanted, Prior: state, Planned: wanted})
	if err != nil {
		t.Fatal(err)
	}
	if !tfvalue.Equal(found["data"], Object{"x": "3"}) {
		t.Errorf("after the update: got %v", found["data"])
	}
	if err := o.delete(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if gone, err := o.read(t.Context(), wanted); err != nil || gone != nil {
		t.Errorf("after the deletion: got %v, %v", gone, err)
	}
	if err := o.delete(t.Context(), wanted); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestAnUpdateLeavesAloneWhatOthersAdded(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_config_map_v1")
	state := stateOf(t, o, configMap(Object{"x": "1"}))
	api, err := o.api("n")
	if err != nil {
		t.Fatal(err)
	}
	object, err := o.get(t.Context(), "n/c")
	if err != nil {
		t.Fatal(err)
	}
	object.SetFinalizers([]string{"others/keep"})
	if _, err := api.Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wanted, _ := tfvalue.Copy(state).(Object)
	wanted["data"] = Object{"x": "2"}
	if _, err := o.update(t.Context(), plugin.Change{Config: wanted, Prior: state, Planned: wanted}); err != nil {
		t.Fatal(err)
	}
	if object, _ = o.get(t.Context(), "n/c"); len(object.GetFinalizers()) != 1 {
		t.Error("the update dropped somebody else's finalizer")
	}
}

func TestDataChangedOutsideIsDriftAndASecretIsReadAsText(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_secret_v1")
	planned := configMap(Object{"x": "canary"})
	planned["type"], planned["binary_data"] = "Opaque", Object{"b": "AP8="}
	state := stateOf(t, o, planned)
	same, err := o.read(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	if !tfvalue.Equal(same["data"], Object{"x": "canary"}) || !tfvalue.Equal(same["binary_data"], Object{"b": "AP8="}) {
		t.Errorf("unchanged: got %v and %v", same["data"], same["binary_data"])
	}
	api, _ := o.api("n")
	object, _ := o.get(t.Context(), "n/c")
	_ = unstructured.SetNestedField(object.Object, "b3RoZXI=", "data", "x")
	if _, err := api.Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	changed, err := o.read(t.Context(), state)
	if err != nil || tfvalue.StringMap(changed, "data")["x"] != "other" {
		t.Errorf("got %v, %v", changed["data"], err)
	}
}

// jobEnds makes the job end in a condition a moment from now.
func jobEnds(t *testing.T, o *objects, condition string) {
	t.Helper()
	go func() {
		time.Sleep(pollInterval / 2)
		api, _ := o.api("gpu")
		object, err := api.Get(context.Background(), "check", metav1.GetOptions{})
		if err != nil {
			return
		}
		ended := map[string]any{"type": condition, "status": "True", "reason": "Because", "message": "it ended"}
		_ = unstructured.SetNestedSlice(object.Object, []any{ended}, "status", "conditions")
		_, _ = api.Update(context.Background(), object, metav1.UpdateOptions{})
	}()
}

func TestAJobIsWaitedForUntilItIsComplete(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_job_v1")
	jobEnds(t, o, "Complete")
	started := time.Now()
	found, err := o.create(t.Context(), plugin.Change{Planned: gpuJob()})
	if err != nil || found["id"] != "gpu/check" {
		t.Fatalf("got %v, %v", found["id"], err)
	}
	if time.Since(started) < pollInterval/2 {
		t.Error("it did not wait")
	}
}

func TestAFailedJobIsAnErrorAndStaysForTainting(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_job_v1")
	jobEnds(t, o, "Failed")
	found, err := o.create(t.Context(), plugin.Change{Planned: gpuJob()})
	if err == nil || !strings.Contains(err.Error(), "job: gpu/check is in failed state") || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("got %v", err)
	}
	if found == nil || found["id"] != "gpu/check" {
		t.Errorf("state: got %v", found)
	}
}

func TestAJobThatDoesNotEndInTimeSaysWhatItsPodWaitsFor(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_job_v1")
	pods, err := o.client.in(podResource, "gpu")
	if err != nil {
		t.Fatal(err)
	}
	pod := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "check-1", "namespace": "gpu", "labels": map[string]any{"job-name": "check"}},
		"status": map[string]any{"phase": "Pending", "conditions": []any{map[string]any{
			"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient nvidia.com/gpu",
		}}},
	}}
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*pollInterval)
	defer cancel()
	_, err = o.create(ctx, plugin.Change{Planned: gpuJob()})
	if err == nil || !strings.Contains(err.Error(), "is not in complete state") || !strings.Contains(err.Error(), "Insufficient nvidia.com/gpu") {
		t.Errorf("got %v", err)
	}
}

func TestAJobThatNeedNotBeWaitedForIsNot(t *testing.T) {
	o := onFakeCluster(t, "kubernetes_job_v1")
	planned := gpuJob()
	planned["wait_for_completion"] = false
	if _, err := o.create(t.Context(), plugin.Change{Planned: planned}); err != nil {
		t.Error(err)
	}
}

func TestAPlanThatNeedsAnUnknownClusterSaysSo(t *testing.T) {
	connection := &client{}
	if err := connection.configure(t.Context(), Object{"host": tfvalue.Unknown}); err != nil {
		t.Fatalf("configuring with unknown settings must not fail: %v", err)
	}
	o := &objects{kind: kinds["kubernetes_namespace_v1"], client: connection}
	if _, err := o.read(t.Context(), Object{"id": "x"}); err == nil || !strings.Contains(err.Error(), "host") {
		t.Errorf("got %v", err)
	}
}

func TestAnUnreachableClusterIsAnErrorSoon(t *testing.T) {
	connection := &client{}
	_ = connection.configure(t.Context(), Object{"host": "https://127.0.0.1:1"})
	o := &objects{kind: kinds["kubernetes_namespace_v1"], client: connection}
	started := time.Now()
	_, err := o.read(t.Context(), Object{"id": "x"})
	if err == nil || apierrors.IsNotFound(errors.Unwrap(err)) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if time.Since(started) > 5*time.Second {
		t.Errorf("it took %s", time.Since(started))
	}
}

func TestLabelsOfAnotherOwnerAreNotInTheState(t *testing.T) {
	current := metadataPatch(&client{}, "labels").current
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetLabels(map[string]string{"ours": "changed", "theirs": "1"})
	got := current(Object{"labels": Object{"ours": "1", "removed": "1"}}, object)
	if !tfvalue.Equal(got, Object{"ours": "changed"}) {
		t.Errorf("got %v", got)
	}
}
