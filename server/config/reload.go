package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/keydiff"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// What a reload does with a key that has another value, as its tag says.
const (
	reloadLive    = "live"    // takes it
	reloadRestart = "restart" // leaves it to the next start
	reloadReplace = "replace" // takes it, unless the key was empty or would be now
)

// takes reports whether a reload takes the value next of a key in place of now.
func (k key) takes(now, next reflect.Value) bool {
	switch k.tag.Get("reload") {
	case reloadLive:
		return true
	case reloadReplace:
		return empty(now) == empty(next)
	}
	return false // also where nothing is said, which a test finds
}

// Reloaded returns what is in force after a reload that reads next: c, with all of next
// that needs no start. live are the keys that change by it, restart those that differ
// and wait for the next start. Neither holds a value that may be a secret.
func (c Config) Reloaded(next Config) (out Config, live, restart []keydiff.KeyChange) {
	out = c
	out.at = next.at
	reload(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&next).Elem(), "", func(takes bool, changes ...keydiff.KeyChange) {
		if takes {
			live = append(live, changes...)
		} else {
			restart = append(restart, changes...)
		}
	})
	return out, live, restart
}

// reload takes over from next what needs no start, and tells what differs.
func reload(now, next reflect.Value, path string, tell func(takes bool, changes ...keydiff.KeyChange)) {
	for _, k := range keysOf(now.Type()) {
		a, b, at := now.FieldByIndex(k.index), next.FieldByIndex(k.index), join(path, k.name)
		if shapeOf(a.Type()) == shapeGroup && a.Kind() == reflect.Struct {
			reload(a, b, at, tell)
			continue
		}
		if empty(a) && empty(b) || reflect.DeepEqual(a.Interface(), b.Interface()) {
			continue
		}
		takes := k.takes(a, b)
		tell(takes, k.changes(a, b, at)...)
		if takes {
			a.Set(b)
		}
	}
}

// changes names what differs between two values of a key: routes and upstreams one by
// one, of other lists and maps the whole.
func (k key) changes(now, next reflect.Value, at string) []keydiff.KeyChange {
	if _, ok := now.Interface().([]enforce.Route); ok {
		return entries(byID(now), byID(next), func(id string) string { return at + "[" + id + "]" })
	}
	if now.Kind() == reflect.Map && shapeOf(now.Type().Elem()) == shapeGroup {
		return entries(byName(now), byName(next), func(name string) string { return join(at, name) })
	}
	c := keydiff.KeyChange{Key: at, What: what(empty(now), empty(next))}
	if k.tag.Get("reload") != reloadRestart && k.tag.Get("secret") == "" {
		c.Old, c.New = shown(now), shown(next)
	}
	return []keydiff.KeyChange{c}
}

// empty reports whether a key says nothing: an empty list is as good as none.
func empty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

func what(wasEmpty, isEmpty bool) string {
	switch {
	case wasEmpty:
		return keydiff.Added
	case isEmpty:
		return keydiff.Removed
	}
	return keydiff.Changed
}

func byID(routes reflect.Value) map[string]any {
	out := map[string]any{}
	for _, r := range routes.Interface().([]enforce.Route) {
		out[r.LogID()] = r
	}
	return out
}

func byName(m reflect.Value) map[string]any {
	out := map[string]any{}
	for _, name := range m.MapKeys() {
		out[name.String()] = m.MapIndex(name).Interface()
	}
	return out
}

// entries compares what stands under names.
func entries(now, next map[string]any, key func(name string) string) (out []keydiff.KeyChange) {
	for name, old := range now {
		if v, still := next[name]; !still {
			out = append(out, keydiff.KeyChange{Key: key(name), What: keydiff.Removed})
		} else if !reflect.DeepEqual(old, v) {
			out = append(out, keydiff.KeyChange{Key: key(name), What: keydiff.Changed})
		}
	}
	for name := range next {
		if _, was := now[name]; !was {
			out = append(out, keydiff.KeyChange{Key: key(name), What: keydiff.Added})
		}
	}
	sorted.Slice(out, func(a, b keydiff.KeyChange) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// maxShown bounds a value in a list of changes, in bytes.
const maxShown = 200

// shown is a value as it is written in a file; "" for one of several parts.
func shown(v reflect.Value) string {
	var text string
	switch shapeOf(v.Type()) {
	case shapeText, shapeNumber, shapeBool:
		text = fmt.Sprint(v.Interface())
	case shapeDuration:
		text = duration.Format(time.Duration(v.Int()))
	case shapeWritten:
		if b, err := v.Interface().(encoding.TextMarshaler).MarshalText(); err == nil {
			text = string(b)
		}
	case shapeList:
		if list, ok := v.Interface().([]string); ok {
			text = strings.Join(list, ", ")
		}
	}
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
