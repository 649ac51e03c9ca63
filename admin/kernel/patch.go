package kernel

import (
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// Changes are JSON merge patches (RFC 7396): a member that is absent stays as it is,
// null takes a value away, so that its default holds, objects are merged member by
// member, everything else is replaced. Each can name the version that it is about.

// MergePatch returns target with the members of patch, and without those that patch
// says are null. Neither is changed.
func MergePatch(target, patch map[string]any) map[string]any {
	out := make(map[string]any, len(target)+len(patch))
	for name, v := range target {
		out[name] = v
	}
	for name, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			inner, _ := out[name].(map[string]any)
			out[name] = MergePatch(inner, v)
		default:
			out[name] = v
		}
	}
	return out
}

// ReadPatch reads a change into dst, a struct of pointers: nil where a member is
// absent, and where it is null the zero value.
func ReadPatch[T any](data []byte, dst *T) error {
	if err := exactjson.Unmarshal(data, dst, exactjson.Strict()); err != nil {
		return err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if f := v.Field(i); members[name].Kind() == 'n' {
			f.Set(reflect.New(f.Type().Elem()))
		}
	}
	return nil
}
