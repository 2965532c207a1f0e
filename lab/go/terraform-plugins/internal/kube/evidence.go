package kube

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	nodeResource  = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	podResource   = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

const (
	evidenceTimeout = 10 * time.Second
	shownWarnings   = 3
	shownPods       = 5
)

// evidence says what became of an object and its pods: phases, exit codes, termination messages, last warnings. It has
// a time limit of its own, because it is asked for when the operation's has just run out.
func (o *objects) evidence(object *unstructured.Unstructured, podSelector string) string {
	ctx, cancel := context.WithTimeout(context.Background(), evidenceTimeout)
	defer cancel()
	var lines []string
	concerned := map[string]bool{string(object.GetUID()): true}
	if object.GetKind() == "Pod" {
		lines = append(lines, describePod(object)...)
	} else if podSelector != "" {
		for _, pod := range o.list(ctx, podResource, object.GetNamespace(), metav1.ListOptions{LabelSelector: podSelector, Limit: shownPods}) {
			concerned[string(pod.GetUID())] = true
			lines = append(lines, describePod(&pod)...)
		}
	}
	warnings := o.list(ctx, eventResource, object.GetNamespace(), metav1.ListOptions{FieldSelector: "type=Warning"})
	lines = append(lines, lastWarnings(warnings, concerned)...)
	if len(lines) == 0 {
		return ""
	}
	return "\n\n" + strings.Join(lines, "\n")
}

func (o *objects) list(
	ctx context.Context, resource schema.GroupVersionResource, namespace string, options metav1.ListOptions,
) []unstructured.Unstructured {
	api, err := o.client.in(resource, namespace)
	if err != nil {
		return nil
	}
	found, err := api.List(ctx, options)
	if err != nil {
		return nil
	}
	return found.Items
}

func describePod(pod *unstructured.Unstructured) []string {
	node := text(pod.Object, "spec", "nodeName")
	if node == "" {
		node = "no node"
	}
	first := fmt.Sprintf("pod %s on %s: %s", pod.GetName(), node, text(pod.Object, "status", "phase"))
	for _, field := range []string{"reason", "message"} {
		if said := text(pod.Object, "status", field); said != "" {
			first += ": " + said
		}
	}
	lines := []string{first}
	for _, condition := range conditions(pod) {
		if condition.kind == "PodScheduled" && condition.status == "False" {
			lines = append(lines, fmt.Sprintf("  not scheduled: %s: %s", condition.reason, condition.message))
		}
	}
	statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
	for _, item := range statuses {
		if status, ok := item.(map[string]any); ok {
			lines = append(lines, describeContainer(status)...)
		}
	}
	return lines
}

func describeContainer(status map[string]any) []string {
	name := text(status, "name")
	if terminated, ok, _ := unstructured.NestedMap(status, "state", "terminated"); ok {
		line := fmt.Sprintf("  container %s: exit code %d, %s", name, number(terminated, "exitCode"), text(terminated, "reason"))
		if said := strings.TrimSpace(text(terminated, "message")); said != "" {
			line += ": " + said
		}
		return []string{line}
	}
	if waiting, ok, _ := unstructured.NestedMap(status, "state", "waiting"); ok {
		return []string{fmt.Sprintf("  container %s: waiting: %s %s", name, text(waiting, "reason"), text(waiting, "message"))}
	}
	return nil
}

func lastWarnings(events []unstructured.Unstructured, concerned map[string]bool) []string {
	var matching []unstructured.Unstructured
	for _, event := range events {
		if concerned[text(event.Object, "involvedObject", "uid")] {
			matching = append(matching, event)
		}
	}
	sort.Slice(matching, func(a, b int) bool { return eventTime(matching[a]) < eventTime(matching[b]) })
	if len(matching) > shownWarnings {
		matching = matching[len(matching)-shownWarnings:]
	}
	var lines []string
	for _, event := range matching {
		lines = append(lines, fmt.Sprintf("  * %s (%s): %s: %s", text(event.Object, "involvedObject", "name"),
			text(event.Object, "involvedObject", "kind"), text(event.Object, "reason"), text(event.Object, "message")))
	}
	return lines
}

func eventTime(event unstructured.Unstructured) string {
	if last := text(event.Object, "lastTimestamp"); last != "" {
		return last
	}
	return text(event.Object, "eventTime")
}
