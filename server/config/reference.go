package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Reference returns the page about every key, in Markdown: docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	reference{&b, map[reflect.Type]string{}}.section(reflect.TypeFor[Config](), "", "")
	return b.String()
}

const referenceHead = `# Every configuration key

Made from the program by ` + "`gatehouse config reference`" + `; ` + "`gatehouse config schema`" + ` says the same to your editor, and
` + "`gatehouse config check`" + ` refuses what a start would ([config-check.md](config-check.md)). Unknown keys are errors.

Durations are written ` + "`90s`, `15m`, `24h`, `90d`" + `; rates ` + "`100/1m`" + `, so many in so long. Relative paths are relative to the file's directory.

A key that is no list or map of rules can be set from the environment too, which wins: ` + "`GATEHOUSE_`" + ` and its path in upper case,
` + "`GATEHOUSE_STORE_DSN` for `store.dsn`" + `. With ` + "`_FILE`" + ` behind it, the value comes from the file that it names: so should secrets.

The column "reload" says what a reload does with a key ([reload.md](reload.md)): takes its new value, or leaves it to the next
start. Of a file of TLS it takes another one; to begin with TLS, or to end it, takes a restart.
`

// reference is the page while it is written.
type reference struct {
	*strings.Builder
	done map[reflect.Type]string // path of the section that has the keys of a group
}

// section writes the table of a group, then those of the groups in it. above is what the
// list or map says of a reload in which the group stands.
func (b reference) section(t reflect.Type, path, above string) {
	if path != "" {
		fmt.Fprintf(b, "\n## %s\n", path)
	}
	b.WriteString("\n| key | value | when absent | reload | what it does |\n|---|---|---|---|---|\n")
	type group struct {
		t           reflect.Type
		path, above string
	}
	var below []group
	for _, k := range keysOf(t) {
		ft := t.FieldByIndex(k.index).Type
		at, value, reload := join(path, k.name), k.value(ft), cmp.Or(above, k.tag.Get("reload"))
		switch ft.Kind() {
		case reflect.Pointer:
			ft = ft.Elem()
		case reflect.Slice:
			ft, at = ft.Elem(), at+"[]"
		case reflect.Map:
			ft, at = ft.Elem(), at+".NAME"
		}
		if shapeOf(ft) == shapeGroup {
			if as, seen := b.done[ft]; seen {
				value += ", as `" + as + "`"
			} else {
				b.done[ft] = at
				below = append(below, group{ft, at, reload})
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.name, value, k.absent(), reloads[reload], quoted.ReplaceAllString(cell(k.tag.Get("doc")), "$1`$2`"))
	}
	for _, g := range below {
		b.section(g.t, g.path, g.above)
	}
}

// reloads are the words for what a reload does with a key.
var reloads = map[string]string{"": "–", reloadLive: "takes it", reloadRestart: "restart", reloadReplace: "takes another"} // read-only

// absent says what an absent key means.
func (k key) absent() string {
	switch d := k.tag.Get("default"); {
	case k.required():
		return "refused"
	case d != "":
		return "`" + d + "`"
	}
	return "–"
}

// value says what can be written.
func (k key) value(t reflect.Type) string {
	switch shapeOf(t) {
	case shapeGroup:
		return "group"
	case shapeList:
		if shapeOf(t.Elem()) == shapeGroup {
			return "list of groups"
		}
		return "list of " + k.value(t.Elem())
	case shapeMap:
		if shapeOf(t.Elem()) == shapeGroup {
			return "groups by name"
		}
		return "name: " + k.value(t.Elem())
	case shapeBool:
		return "true, false"
	case shapeNumber:
		return k.within("number")
	case shapeDuration:
		return k.within("duration")
	case shapeWritten:
		return "rate"
	}
	if e := k.enum(); e != nil {
		return "`" + strings.Join(e, "`, `") + "`"
	}
	switch k.tag.Get("form") {
	case "base_url":
		return "URL"
	case "path":
		return "path"
	case "network":
		return "networks"
	case "host_port":
		return "address"
	}
	if p := k.tag.Get("pattern"); p != "" {
		return "`" + cell(p) + "`"
	}
	return "text"
}

// within adds the bounds to what a number counts.
func (k key) within(what string) string {
	low, high := k.tag.Get("minimum"), k.tag.Get("maximum")
	switch {
	case low != "" && high != "":
		return fmt.Sprintf("%s, %s to %s", what, low, high)
	case low != "":
		return what + ", at least " + low
	case high != "":
		return what + ", at most " + high
	}
	return what
}

// quoted is what stands in single quotes, which are not apostrophes.
var quoted = regexp.MustCompile(`(^|[\s(:])'([^']+)'`)

// cell keeps text within a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
