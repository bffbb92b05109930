// Writes vk/devcluster/validation/types.txt: the fields of the API's structs, read from the Go types by
// reflection. CONTRIBUTING.md has the command, go.mod the version of Kubernetes (k8s.io/api). The walk begins
// at `kinds`.
package main

import (
	"fmt"
	"log"
	"path"
	"reflect"
	"runtime/debug"
	"sort"
	"strings"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	certificates "k8s.io/api/certificates/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Kinds of vk/devcluster/kinds.py, and those of its subresources.
var kinds = []any{
	core.Binding{}, core.ConfigMap{}, core.Endpoints{}, core.Event{}, core.Namespace{}, core.Node{},
	core.PersistentVolume{}, core.PersistentVolumeClaim{}, core.Pod{}, core.Secret{}, core.Service{},
	core.ServiceAccount{}, authentication.SelfSubjectReview{}, authentication.TokenRequest{},
	authentication.TokenReview{}, authorization.SelfSubjectAccessReview{},
	authorization.SubjectAccessReview{}, certificates.CertificateSigningRequest{}, coordination.Lease{},
	discovery.EndpointSlice{}, events.Event{}, policy.Eviction{}, rbac.ClusterRole{},
	rbac.ClusterRoleBinding{}, rbac.Role{}, rbac.RoleBinding{},
}

// Types whose JSON is not that of their fields.
var scalars = map[reflect.Type]string{
	reflect.TypeFor[[]byte]():             "bytes",
	reflect.TypeFor[meta.FieldsV1]():      "any",
	reflect.TypeFor[meta.Time]():          "Time",
	reflect.TypeFor[meta.MicroTime]():     "MicroTime",
	reflect.TypeFor[resource.Quantity]():  "Quantity",
	reflect.TypeFor[intstr.IntOrString](): "IntOrString",
}

const header = `# Fields of the API's structs, generated from k8s.io/api %s by tools/types (read by types.py).
# A line is a struct and its fields: NAME[=NUMBER][:TYPE][!|?]. NUMBER is the field's in protobuf. No TYPE is
# string; X.Y is a named string; * is a pointer, [] a list, {} a map, each with the name of its Go type inside,
# if it has one. "!" is written even when empty; "?" is left out when empty although it is a struct. X=N.FIELD is
# a field of the embedded struct X, which in protobuf is a message of its own.
`

func main() {
	structs := map[string]reflect.Type{}
	for _, kind := range kinds {
		collect(reflect.TypeOf(kind), structs)
	}
	names := []string{}
	for name := range structs {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Printf(header, version("k8s.io/api"))
	for _, name := range names {
		fmt.Println(name + fields(structs[name], ""))
	}
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	log.Fatalf("%s is no module of this program", module)
	return ""
}

// Add the struct and all structs below it.
func collect(t reflect.Type, structs map[string]reflect.Type) {
	switch {
	case scalars[t] != "":
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
		collect(t.Elem(), structs)
	case t.Kind() == reflect.Struct:
		known, found := structs[name(t)]
		if found && known != t {
			log.Fatalf("%s and %s have one name: add the group of one to `prefixed`", known, t)
		}
		if found {
			return
		}
		structs[name(t)] = t
		for field := range t.Fields() {
			if embedded(field) {
				for inner := range field.Type.Fields() {
					collect(inner.Type, structs)
				}
			} else {
				collect(field.Type, structs)
			}
		}
	}
}

// Structs of two groups with one name: the group's, for the one that is not of the core group.
var prefixed = map[reflect.Type]string{
	reflect.TypeFor[discovery.EndpointPort](): "discovery.",
	reflect.TypeFor[events.Event]():           "events.",
	reflect.TypeFor[events.EventSeries]():     "events.",
}

func name(t reflect.Type) string {
	return prefixed[t] + t.Name()
}

func fields(t reflect.Type, prefix string) string {
	text := ""
	for field := range t.Fields() {
		number := protobuf(field)
		switch {
		case field.Type == reflect.TypeFor[meta.TypeMeta]():
			text += " kind apiVersion"
		case embedded(field):
			text += fields(field.Type, field.Name+number+".")
		default:
			json, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			text += " " + prefix + json + number
			if field.Type != reflect.TypeFor[string]() {
				text += ":" + expression(field.Type)
			}
			if strings.Contains(options, "omitzero") && field.Type.Kind() == reflect.Struct {
				text += "?"
			} else if !strings.Contains(options, "omit") {
				text += "!"
			}
		}
	}
	return text
}

// The JSON of the field's fields is part of the struct's own.
func embedded(field reflect.StructField) bool {
	return field.Anonymous && strings.HasPrefix(field.Tag.Get("json"), ",")
}

func protobuf(field reflect.StructField) string {
	parts := strings.Split(field.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return ""
	}
	return "=" + parts[1]
}

func expression(t reflect.Type) string {
	switch {
	case scalars[t] != "":
		return scalars[t]
	case t.Kind() == reflect.Pointer:
		return "*" + expression(t.Elem())
	case t.Kind() == reflect.Slice:
		return "[" + goName(t) + "]" + expression(t.Elem())
	case t.Kind() == reflect.Map:
		return "{" + goName(t) + "}" + expression(t.Elem())
	case t.Kind() == reflect.Struct:
		return name(t)
	case t.Name() == t.Kind().String(): // string, bool, int32, int64
		return t.Name()
	}
	return goName(t)
}

func goName(t reflect.Type) string {
	if t.Name() == "" {
		return ""
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}
