package realms

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// UnmarshalJSON reads a merge patch.
func (p *RealmPatch) UnmarshalJSON(b []byte) error {
	type plain RealmPatch
	return kernel.ReadPatch(b, (*plain)(p))
}

// SettingsPatch changes settings of a realm. The zero value takes all of them away.
type SettingsPatch struct {
	members map[string]any
	inside  bool // something among them reaches private addresses; a list is replaced whole
	gives   bool // something among them gives roles to people
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
		if _, text := members[name].(string); text && v.Field(i).Type() == reflect.TypeFor[kernel.Duration]() && v.Field(i).IsZero() {
			return errZeroDuration
		}
	}
	p.members, p.inside, p.gives = members, reachesInside(typed), givesRoles(typed)
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
	merged, err := json.Marshal(kernel.MergePatch(current, p.members))
	if err != nil {
		return settings, err
	}
	var out RealmSettings
	if err := exactjson.Unmarshal(merged, &out, exactjson.Strict()); err != nil {
		return settings, err
	}
	return out.settings(), nil
}
