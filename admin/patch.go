package admin

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// Changes are JSON merge patches (RFC 7396): a member that is absent stays as it is,
// null takes a value away, so that its default holds, objects are merged member by
// member, everything else is replaced. Each can name the version that it is about.

// mergePatch returns target with the members of patch, and without those that patch
// says are null. Neither is changed.
func mergePatch(target, patch map[string]any) map[string]any {
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
			out[name] = mergePatch(inner, v)
		default:
			out[name] = v
		}
	}
	return out
}

// readPatch reads a change into dst, a struct of pointers: nil where a member is
// absent, and where it is null the zero value.
func readPatch[T any](data []byte, dst *T) error {
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

// UnmarshalJSON reads a merge patch.
func (p *RealmPatch) UnmarshalJSON(b []byte) error {
	type plain RealmPatch
	return readPatch(b, (*plain)(p))
}

// UnmarshalJSON reads a merge patch.
func (p *UserPatch) UnmarshalJSON(b []byte) error {
	type plain UserPatch
	return readPatch(b, (*plain)(p))
}

// UnmarshalJSON reads a merge patch.
func (p *KeyPatch) UnmarshalJSON(b []byte) error {
	type plain KeyPatch
	return readPatch(b, (*plain)(p))
}

// SettingsPatch changes settings of a realm. The zero value takes all of them away.
type SettingsPatch struct {
	members map[string]any
	issuers []gatehouse.TrustedIssuer // among members; a list is replaced whole
}

var errZeroDuration = gatehouse.E(gatehouse.Unprocessable, "duration_zero", "must not be zero; null sets the default")

// UnmarshalJSON reads a merge patch whose members are those of [RealmSettings].
func (p *SettingsPatch) UnmarshalJSON(b []byte) error {
	var typed RealmSettings
	if err := exactjson.Unmarshal(b, &typed, exactjson.Strict()); err != nil {
		return err
	}
	members, err := exactjson.Object(b)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(typed)
	for i := range v.NumField() { // a duration of zero would be stored as none
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if _, text := members[name].(string); text && v.Field(i).Type() == reflect.TypeFor[Duration]() && v.Field(i).IsZero() {
			return errZeroDuration
		}
	}
	p.members, p.issuers = members, typed.TrustedIssuers
	return nil
}

// names says for the record what is changed; "removed" when all are taken away.
func (p SettingsPatch) names() string {
	if p.members == nil {
		return "removed"
	}
	return strings.Join(slices.Sorted(maps.Keys(p.members)), " ")
}

// apply merges the patch into settings.
func (p SettingsPatch) apply(settings gatehouse.RealmSettings) (gatehouse.RealmSettings, error) {
	if p.members == nil { // null: all back to their defaults
		return gatehouse.RealmSettings{}, nil
	}
	now, err := json.Marshal(settingsView(settings))
	if err != nil {
		return settings, err
	}
	current, err := exactjson.Object(now)
	if err != nil {
		return settings, err
	}
	merged, err := json.Marshal(mergePatch(current, p.members))
	if err != nil {
		return settings, err
	}
	var out RealmSettings
	if err := exactjson.Unmarshal(merged, &out, exactjson.Strict()); err != nil {
		return settings, err
	}
	return out.settings(), nil
}
