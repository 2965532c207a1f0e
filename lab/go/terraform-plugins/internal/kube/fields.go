package kube

import (
	"reflect"
	"strings"
	"sync"
)

// apiField is the JSON name and Go type behind one Terraform attribute.
type apiField struct {
	json string
	kind reflect.Type
}

var (
	fieldCache sync.Map
	// irregular are the attributes whose names no rule leads to.
	irregular = map[string]string{
		"DaemonSetSpec.strategy":               "updateStrategy",
		"RBDVolumeSource.ceph_monitors":        "monitors",
		"RBDVolumeSource.rbd_image":            "image",
		"RBDVolumeSource.rbd_pool":             "pool",
		"RBDVolumeSource.rados_user":           "user",
		"GlusterfsVolumeSource.endpoints_name": "endpoints",
		"AzureDiskVolumeSource.data_disk_uri":  "diskURI",
	}
)

// ownSettings are a resource's attributes that are the plugin's own, without a field in any Kubernetes object, and
// secret data, which has its own way to the API.
var ownSettings = map[string]bool{
	"id": true, "timeouts": true, "wait_for_completion": true, "wait_for_rollout": true, "wait_for_load_balancer": true,
	"wait_for_default_service_account": true, "wait_for_service_account_token": true, "target_state": true,
	"default_secret_name": true, "binary_data": true, "binary_data_wo": true, "binary_data_wo_revision": true,
	"data_wo": true, "data_wo_revision": true, "status": true,
}

// fieldOf finds the API field behind an attribute: "image_pull_secrets" is imagePullSecrets, "container" is
// containers, "host_pid" is hostPID. The Kubernetes types themselves are the table.
func fieldOf(structure reflect.Type, attribute string) (apiField, bool) {
	fields := fieldsOf(structure)
	if name, ok := irregular[structure.Name()+"."+attribute]; ok {
		attribute = name
	}
	plain := normal(attribute)
	candidates := []string{plain, plain + "s", plain + "es"}
	if stem, ok := strings.CutSuffix(plain, "y"); ok {
		candidates = append(candidates, stem+"ies")
	}
	for _, candidate := range candidates {
		if found, ok := fields[candidate]; ok {
			return found, true
		}
	}
	return apiField{}, false
}

func normal(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

func fieldsOf(structure reflect.Type) map[string]apiField {
	if cached, ok := fieldCache.Load(structure); ok {
		return cached.(map[string]apiField)
	}
	fields := map[string]apiField{}
	for index := range structure.NumField() {
		field := structure.Field(index)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" && (field.Anonymous || strings.Contains(options, "inline")) {
			for key, inlined := range fieldsOf(pointee(field.Type)) {
				fields[key] = inlined
			}
			continue
		}
		fields[normal(name)] = apiField{json: name, kind: field.Type}
	}
	fieldCache.Store(structure, fields)
	return fields
}

func pointee(kind reflect.Type) reflect.Type {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind
}
