package kube

import (
	"context"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is one Kubernetes object kind behind a resource type.
type kind struct {
	apiVersion, name, plural string
	structure                reflect.Type
	namespaced               bool
	// forceNew, defaults and timeouts are rules beside those of every object's metadata.
	forceNew []string
	defaults map[string]any
	timeouts map[string]time.Duration
	// importable says that every field the server fills in is shown by the type, so that an import is whole.
	importable bool
	// ready waits until the object is what the resource promises; nil when it is at once.
	ready func(ctx context.Context, objects *objects, planned Object, object *unstructured.Unstructured) (*unstructured.Unstructured, error)
}

func (k kind) resource() schema.GroupVersionResource {
	group, _ := schema.ParseGroupVersion(k.apiVersion)
	return group.WithResource(k.plural)
}

func each(limit time.Duration) map[string]time.Duration {
	return map[string]time.Duration{"create": limit, "update": limit, "delete": limit}
}

var kinds = map[string]kind{
	"kubernetes_namespace_v1": {
		apiVersion: "v1", name: "Namespace", plural: "namespaces", structure: reflect.TypeFor[corev1.Namespace](),
		timeouts: map[string]time.Duration{"delete": 5 * time.Minute}, importable: true,
		defaults: map[string]any{"wait_for_default_service_account": false},
	},
	"kubernetes_config_map_v1": {
		apiVersion: "v1", name: "ConfigMap", plural: "configmaps", structure: reflect.TypeFor[corev1.ConfigMap](),
		namespaced: true, importable: true, forceNew: []string{"immutable"},
	},
	"kubernetes_secret_v1": {
		apiVersion: "v1", name: "Secret", plural: "secrets", structure: reflect.TypeFor[corev1.Secret](),
		namespaced: true, importable: true, forceNew: []string{"type", "immutable"}, defaults: map[string]any{"type": "Opaque"},
	},
	"kubernetes_service_account_v1": {
		apiVersion: "v1", name: "ServiceAccount", plural: "serviceaccounts", structure: reflect.TypeFor[corev1.ServiceAccount](),
		namespaced: true, importable: true, defaults: map[string]any{"automount_service_account_token": true},
	},
	"kubernetes_runtime_class_v1": {
		apiVersion: "node.k8s.io/v1", name: "RuntimeClass", plural: "runtimeclasses",
		structure: reflect.TypeFor[nodev1.RuntimeClass](), importable: true, forceNew: []string{"handler"},
	},
	"kubernetes_cluster_role_v1": {
		apiVersion: "rbac.authorization.k8s.io/v1", name: "ClusterRole", plural: "clusterroles",
		structure: reflect.TypeFor[rbacv1.ClusterRole](), importable: true,
	},
	"kubernetes_cluster_role_binding_v1": {
		apiVersion: "rbac.authorization.k8s.io/v1", name: "ClusterRoleBinding", plural: "clusterrolebindings",
		structure: reflect.TypeFor[rbacv1.ClusterRoleBinding](), importable: true, forceNew: []string{"role_ref"},
	},
	"kubernetes_role_v1": {
		apiVersion: "rbac.authorization.k8s.io/v1", name: "Role", plural: "roles",
		structure: reflect.TypeFor[rbacv1.Role](), namespaced: true, importable: true,
	},
	"kubernetes_role_binding_v1": {
		apiVersion: "rbac.authorization.k8s.io/v1", name: "RoleBinding", plural: "rolebindings",
		structure: reflect.TypeFor[rbacv1.RoleBinding](), namespaced: true, importable: true, forceNew: []string{"role_ref"},
	},
	"kubernetes_limit_range_v1": {
		apiVersion: "v1", name: "LimitRange", plural: "limitranges", structure: reflect.TypeFor[corev1.LimitRange](), namespaced: true,
	},
	"kubernetes_resource_quota_v1": {
		apiVersion: "v1", name: "ResourceQuota", plural: "resourcequotas", structure: reflect.TypeFor[corev1.ResourceQuota](),
		namespaced: true, timeouts: map[string]time.Duration{"create": time.Minute, "update": time.Minute},
	},
	"kubernetes_network_policy_v1": {
		apiVersion: "networking.k8s.io/v1", name: "NetworkPolicy", plural: "networkpolicies",
		structure: reflect.TypeFor[networkingv1.NetworkPolicy](), namespaced: true,
	},
	"kubernetes_service_v1": {
		apiVersion: "v1", name: "Service", plural: "services", structure: reflect.TypeFor[corev1.Service](),
		namespaced: true, forceNew: []string{"spec.cluster_ip"}, timeouts: map[string]time.Duration{"create": 10 * time.Minute},
		defaults: map[string]any{"wait_for_load_balancer": true}, ready: serviceReady,
	},
	"kubernetes_pod_v1": {
		apiVersion: "v1", name: "Pod", plural: "pods", structure: reflect.TypeFor[corev1.Pod](),
		namespaced: true, forceNew: podForceNew, timeouts: map[string]time.Duration{"create": 5 * time.Minute, "delete": 5 * time.Minute},
		ready: podReady,
	},
	"kubernetes_job_v1": {
		apiVersion: "batch/v1", name: "Job", plural: "jobs", structure: reflect.TypeFor[batchv1.Job](),
		namespaced: true, timeouts: each(time.Minute), defaults: map[string]any{"wait_for_completion": true},
		forceNew: []string{"spec.template", "spec.selector", "spec.completions", "spec.completion_mode", "spec.manual_selector"},
		ready:    jobReady,
	},
	"kubernetes_cron_job_v1": {
		apiVersion: "batch/v1", name: "CronJob", plural: "cronjobs", structure: reflect.TypeFor[batchv1.CronJob](),
		namespaced: true, timeouts: map[string]time.Duration{"delete": time.Minute},
	},
	"kubernetes_deployment_v1": {
		apiVersion: "apps/v1", name: "Deployment", plural: "deployments", structure: reflect.TypeFor[appsv1.Deployment](),
		namespaced: true, timeouts: each(10 * time.Minute), forceNew: []string{"spec.selector"},
		defaults: map[string]any{"wait_for_rollout": true}, ready: rolloutReady,
	},
	"kubernetes_daemon_set_v1": {
		apiVersion: "apps/v1", name: "DaemonSet", plural: "daemonsets", structure: reflect.TypeFor[appsv1.DaemonSet](),
		namespaced: true, timeouts: each(10 * time.Minute), forceNew: []string{"spec.selector"},
		defaults: map[string]any{"wait_for_rollout": true}, ready: rolloutReady,
	},
}

// podForceNew: of a pod's spec, Kubernetes lets only images, the active deadline and added tolerations change.
var podForceNew = []string{
	"target_state", "spec.node_name", "spec.runtime_class_name", "spec.restart_policy", "spec.service_account_name",
	"spec.node_selector", "spec.host_network", "spec.host_pid", "spec.host_ipc", "spec.hostname", "spec.subdomain",
	"spec.dns_policy", "spec.dns_config", "spec.security_context", "spec.volume", "spec.affinity", "spec.priority_class_name",
	"spec.scheduler_name", "spec.init_container", "spec.toleration", "spec.termination_grace_period_seconds",
	"spec.container.name", "spec.container.command", "spec.container.args", "spec.container.env", "spec.container.env_from",
	"spec.container.port", "spec.container.resources", "spec.container.volume_mount", "spec.container.security_context",
	"spec.container.working_dir", "spec.container.termination_message_path", "spec.container.termination_message_policy",
	"spec.container.image_pull_policy", "spec.container.lifecycle", "spec.container.liveness_probe",
	"spec.container.readiness_probe", "spec.container.startup_probe", "spec.container.stdin", "spec.container.tty",
}
