package gatehouse_test

import (
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestNoMirrors: what a file of configuration says of a thing is the thing's own type, with tags. Two structs that
// share most of their fields have a mapper between them that somebody forgets; a key would be added at three places.
func TestNoMirrors(t *testing.T) {
	p := loaded(t)
	fields := map[string]map[string]types.Type{}
	var names []string
	for _, r := range p.rooms {
		for name, obj := range r.exported() {
			s, ok := obj.Type().Underlying().(*types.Struct)
			if tn, isType := obj.(*types.TypeName); !isType || tn.IsAlias() || !ok {
				continue
			}
			names, fields[name] = append(names, name), map[string]types.Type{}
			for f := range s.Fields() {
				if f.Exported() && !f.Embedded() {
					fields[name][f.Name()] = f.Type()
				}
			}
		}
	}
	if len(fields["gateway.Upstream"]) < 8 || len(fields["enforce.Route"]) < 20 {
		t.Fatal("the search is broken")
	}
	slices.Sort(names)
	for i, a := range names {
		for _, b := range names[i+1:] {
			shared := 0
			for name, t := range fields[a] {
				if u, ok := fields[b][name]; ok && types.Identical(t, u) {
					shared++
				}
			}
			ofConfig := strings.HasPrefix(a, "server/config.") || strings.HasPrefix(b, "server/config.")
			if ofConfig && shared >= 4 && 2*shared >= min(len(fields[a]), len(fields[b])) {
				t.Errorf("%s and %s share %d fields: one of them is enough", a, b, shared)
			}
		}
	}
}
