package pages

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

// A page may look in any way, and must ask a browser for what ours asks for: its flow takes those fields and no others, and a
// form without its token counts for nothing. So each state of each page is drawn with both templates, and what a browser would
// send is compared.

// compare tells in which states a page of theirs cannot be drawn, or does not ask for what ours does. Only pages that concerns names
// are looked at.
func compare(ours, theirs *dress, concerns func(page string) bool) (problems []error) {
	h, err := galleryHandler()
	if err != nil {
		return []error{err}
	}
	for _, e := range gallery() {
		if !concerns(e.page) {
			continue
		}
		for _, s := range e.states {
			of := func(err error) error { return fmt.Errorf("page %s, state %q: %w", e.page, s.name, err) }
			a, err := h.drawn(ours, s)
			if err != nil {
				return []error{of(err)}
			}
			b, err := h.drawn(theirs, s)
			if err != nil {
				problems = append(problems, of(err))
				break // the other states have the same faults
			}
			found := differences(shapeOf(a), shapeOf(b))
			for _, err := range found {
				problems = append(problems, of(err))
			}
			if len(found) > 0 {
				break
			}
		}
	}
	return problems
}

// drawn is a state of a page as d draws it; the token of its forms is always the same.
func (h *Handler) drawn(d *dress, s state) (string, error) {
	h.ours = d // no other takes its place where it fails
	h.dress.Store(d)
	return h.shown(s.show)
}

// shown is what show draws.
func (h *Handler) shown(show func(*visit) error) (string, error) {
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		return "", err
	}
	r.AddCookie(&http.Cookie{Name: cookieForm, Value: base64.RawURLEncoding.EncodeToString(make([]byte, formKeySize))})
	w := kept{header: http.Header{}}
	v := h.galleryVisit(&w, r)
	v.prefer()
	if err := show(v); err != nil {
		return "", err
	}
	return w.body.String(), nil
}

// kept is an answer that goes nowhere.
type kept struct {
	header http.Header
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }
func (k *kept) WriteHeader(int)             {}

// shape is what of a page its flow needs.
type shape struct {
	forms []formShape
	once  []string // ids of what is shown once, and of the scripts
	wrong []error  // what no page may have
}

// formShape is a form: where it goes, and what is in it that is sent.
type formShape struct {
	goes     string // as it is told: "the form to /signin"
	controls []string
}

// unseen are elements that a browser reads in another way than markup, or that the content policy stops.
var unseen = []string{"script", "style", "base", "template", "noscript", "iframe", "object", "embed", "frameset", "frame", "noembed", "noframes", "xmp", "plaintext", "math", "textarea", "portal"}

// shownOnce are the ids of what somebody must see who will never see it again.
var shownOnce = []string{"recovery-codes", "secret", "key"}

// shapeOf reads a page that was drawn by [markup]: its values are in double quotes, and none of them holds a quote or "<".
func shapeOf(page string) shape {
	var s shape
	var form *formShape
	for {
		_, rest, found := strings.Cut(page, "<")
		if !found {
			break
		}
		tag, after, _ := strings.Cut(rest, ">")
		for strings.Count(tag, `"`)%2 == 1 { // the ">" stood in a value
			more, then, found := strings.Cut(after, ">")
			if !found {
				break
			}
			tag, after = tag+">"+more, then
		}
		page = after
		name, attributes := readTag(tag)
		if tag == scriptTag(attributes) {
			s.once = append(s.once, "the script "+attributes["src"])
			page = strings.TrimPrefix(page, "</script>")
			continue
		}
		s.refuse(name, attributes)
		if id := attributes["id"]; slices.Contains(shownOnce, id) {
			s.once = append(s.once, fmt.Sprintf("what is shown as %q", id))
		}
		switch name {
		case "form":
			if form != nil {
				s.wrong = append(s.wrong, errors.New("a form stands within another one"))
			}
			s.forms = append(s.forms, newForm(attributes))
			form = &s.forms[len(s.forms)-1]
		case "/form":
			form = nil
		case "input", "button", "select", "option":
			if what := control(name, attributes); what != "" && form != nil {
				form.controls = append(form.controls, what)
			} else if what != "" {
				s.wrong = append(s.wrong, fmt.Errorf("%s stands outside of every form", what))
			}
		}
	}
	if form != nil {
		s.wrong = append(s.wrong, fmt.Errorf("%s does not end", form.goes))
	}
	return s
}

// scriptTag is the one way in which markup writes a script.
func scriptTag(attributes map[string]string) string {
	return `script type="module" src="` + attributes["src"] + `"`
}

// readTag is what stands between < and >.
func readTag(tag string) (name string, attributes map[string]string) {
	i := strings.IndexAny(tag, " \t\n\r\f")
	if i < 0 {
		return strings.ToLower(strings.TrimSuffix(tag, "/")), nil
	}
	attributes = map[string]string{}
	name, tag = strings.ToLower(tag[:i]), tag[i:]
	for {
		tag = strings.TrimLeft(tag, " \t\n\r\f/")
		if tag == "" {
			return name, attributes
		}
		end := strings.IndexAny(tag, " \t\n\r\f/=")
		if end < 0 {
			end = len(tag)
		}
		key, value := strings.ToLower(tag[:end]), ""
		if tag = tag[end:]; strings.HasPrefix(tag, `="`) {
			value, tag, _ = strings.Cut(tag[2:], `"`)
		}
		if _, twice := attributes[key]; !twice { // of two, browsers take the first
			attributes[key] = html.UnescapeString(value)
		}
	}
}

// refuse notes what a browser would not do, or would read in another way.
func (s *shape) refuse(name string, attributes map[string]string) {
	if slices.Contains(unseen, strings.TrimPrefix(name, "/")) {
		s.wrong = append(s.wrong, fmt.Errorf("<%s> is not for a page", name))
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[key]
		switch {
		case strings.HasPrefix(key, "on"), key == "style", key == "srcdoc", key == "http-equiv", key == "form", strings.HasPrefix(key, "form") && key != "formaction":
			s.wrong = append(s.wrong, fmt.Errorf("<%s> has the attribute %s, which is not for a page", name, key))
		case key == "disabled" && name == "fieldset":
			s.wrong = append(s.wrong, errors.New("what stands in a fieldset that is disabled is not sent"))
		case (key == "src" || name == "link" && key == "href" || key == "action" || key == "formaction") && !markup.OwnPath(value):
			s.wrong = append(s.wrong, fmt.Errorf("<%s> has %s=%q: the content policy stops what is not of this server", name, key, value))
		}
	}
}

// newForm is a form that nothing stands in yet.
func newForm(a map[string]string) formShape {
	goes := fmt.Sprintf("the form to %s", a["action"])
	for _, key := range []string{"id", "data-ask", "target", "enctype"} {
		if a[key] != "" {
			goes += fmt.Sprintf(", %s %q", key, a[key])
		}
	}
	if !strings.EqualFold(a["method"], "post") {
		goes += ", method get"
	}
	return formShape{goes: goes}
}

// control is what is sent of an element, as it is told; "" for nothing.
func control(name string, a map[string]string) string {
	kind := a["type"]
	if name == "button" && kind == "" {
		kind = "submit"
	}
	if a["name"] == "" && name != "option" && !(name == "button" && (kind == "submit" || a["id"] == "make-passkey")) {
		return ""
	}
	what := name
	for _, part := range [...][2]string{{"type", kind}, {"id", a["id"]}, {"name", a["name"]}, {"formaction", a["formaction"]}} {
		if part[1] != "" {
			what += fmt.Sprintf(" %s=%q", part[0], part[1])
		}
	}
	if name != "select" {
		what += fmt.Sprintf(" value=%q", a["value"])
	}
	if _, off := a["disabled"]; off {
		what += " disabled"
	}
	return "<" + what + ">"
}

// differences tells what of ours theirs has lost, and what it has beside it.
func differences(ours, theirs shape) (problems []error) {
	problems = append(problems, theirs.wrong...)
	lost, more := apart(ours.once, theirs.once)
	for _, what := range lost {
		problems = append(problems, fmt.Errorf("%s is missing", what))
	}
	for _, what := range more {
		problems = append(problems, fmt.Errorf("%s is not in the page of the program", what))
	}
	rest := slices.Clone(theirs.forms)
	for _, f := range ours.forms {
		i := slices.IndexFunc(rest, func(g formShape) bool {
			lost, more := apart(f.controls, g.controls)
			return f.goes == g.goes && len(lost)+len(more) == 0
		})
		if i < 0 { // the first that goes to the same place is meant
			if i = slices.IndexFunc(rest, func(g formShape) bool { return f.goes == g.goes }); i < 0 {
				problems = append(problems, fmt.Errorf("%s is missing", f.goes))
				continue
			}
			lost, more := apart(f.controls, rest[i].controls)
			for _, what := range lost {
				problems = append(problems, fmt.Errorf("%s has lost %s", f.goes, what))
			}
			for _, what := range more {
				problems = append(problems, fmt.Errorf("%s has %s, which the program does not take", f.goes, what))
			}
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, f := range rest {
		problems = append(problems, fmt.Errorf("%s is not in the page of the program", f.goes))
	}
	return problems
}

// apart is what of two lists only the first has, and what only the second has, each as often.
func apart(a, b []string) (onlyA, onlyB []string) {
	onlyB = slices.Clone(b)
	for _, s := range a {
		if i := slices.Index(onlyB, s); i >= 0 {
			onlyB = slices.Delete(onlyB, i, i+1)
		} else {
			onlyA = append(onlyA, s)
		}
	}
	return onlyA, onlyB
}
