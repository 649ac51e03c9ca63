package realms

import (
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// Schema describes the patch in the API's document: the settings, of which each can be
// null, and of the objects among them each member.
func (SettingsPatch) Schema(r huma.Registry) *huma.Schema {
	of := r.SchemaFromRef(r.Schema(reflect.TypeFor[RealmSettings](), true, "").Ref)
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false, Nullable: true}
	for name, p := range of.Properties {
		member := *p
		member.Nullable, member.Enum = true, append(slices.Clone(p.Enum), nulls(p.Enum)...)
		if values, ok := p.AdditionalProperties.(*huma.Schema); ok {
			member.AdditionalProperties = nullable(values)
		}
		s.Properties[name] = &member
	}
	s.PrecomputeMessages()
	return s
}

// nullable describes what s does, or null. A reference has no type to which null could
// be added.
func nullable(s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return &huma.Schema{AnyOf: []*huma.Schema{s, {Type: "null"}}}
	}
	each := *s
	each.Nullable = true
	return &each
}

// nulls makes null one of the values where only some are allowed.
func nulls(enum []any) []any {
	if enum == nil {
		return nil
	}
	return []any{nil}
}
