package enforce

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Sources of a resource's attributes.
const (
	sourceNone     = ""
	sourceUpstream = "upstream"
	sourceBody     = "body"
	sourceStored   = "stored"
)

const (
	maxMembers      = 256 // of a JSON object that becomes a resource
	maxDepth        = 8
	maxResourceText = 1024 // of an id
)

var (
	errNoSuch        = errors.New("the API behind knows no such resource")
	errBodyAmbiguous = gatehouse.E(gatehouse.Invalid, "body_ambiguous", "The body has members whose names differ in case only.")
	errResource      = gatehouse.E(gatehouse.Invalid, "resource_invalid", "A member that the decision needs has not the form that it must have.")
	errUpstreamForm  = gatehouse.E(gatehouse.BadGateway, "resource_unreadable", "The API behind the gateway described the resource in an unexpected form.")
)

// buildResource fills in x.resource by the route's rule.
func (p *Pipeline) buildResource(x *Exchange, r *http.Request) error {
	rule := x.route.Resource
	id := x.route.id.expand(x.params)
	if len(id) > maxResourceText {
		return errResource.With(fmt.Errorf("the resource's id is longer than %d bytes", maxResourceText))
	}
	x.resource = gatehouse.Resource{Type: rule.Type, ID: id}
	switch rule.Source {
	case sourceStored:
		return nil // no attributes at all makes the decision point look the entity up
	case sourceNone:
		x.resource.Attributes, x.resource.Constant = x.route.static, true
		return nil
	case sourceUpstream:
		members, err := x.table.resolver.FetchEntity(x.ctx, &x.route.Route, x.route.fetch.expandURL(x.params, x.route.pattern.rest,
			x.route.pattern.below(r.URL.EscapedPath())))
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return gatehouse.ErrNotFound.With(errNoSuch) // the answer of denial where existence is secret
		case err != nil:
			return err
		}
		attrs, err := attributes(rule, members)
		if err != nil {
			return errUpstreamForm.With(err)
		}
		x.resource.Attributes = withStatic(attrs, rule.Static)
		return nil
	case sourceBody:
		members, err := p.bodyMembers(&x.route.Route, r)
		if err != nil {
			return err
		}
		attrs, err := attributes(rule, members)
		if err != nil {
			return errResource.With(err)
		}
		x.resource.Attributes = withStatic(attrs, rule.Static)
		return nil
	}
	return errDenied // an unknown source: SetRoutes refuses it
}

// withStatic adds the attributes that the rule gives every resource, which win.
// The result is never nil: nil would mean "look it up".
func withStatic(attrs, static map[string]any) map[string]any {
	if attrs == nil {
		attrs = make(map[string]any, len(static))
	}
	for k, v := range static {
		attrs[k] = v
	}
	return attrs
}

// bodyMembers reads the request's body, which must be one small JSON object, and
// puts the very same bytes back for whoever reads it next.
func (p *Pipeline) bodyMembers(rt *Route, r *http.Request) (map[string]any, error) {
	// Another content type or a compressed body would be read by other rules
	// behind us than here.
	if err := web.JSONContentType(r); err != nil {
		return nil, err
	}
	if e := r.Header["Content-Encoding"]; len(e) > 0 && !(len(e) == 1 && strings.EqualFold(e[0], "identity")) {
		return nil, web.ErrContentEncoding.With(fmt.Errorf("Content-Encoding is %.40q", e))
	}
	bound := p.cfg.MaxDecisionBody
	if rt.MaxBodyBytes > 0 {
		bound = min(bound, rt.MaxBodyBytes)
	}
	body, err := web.ReadBody(nil, r, bound)
	if err != nil {
		return nil, err
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if len(body) == 0 {
		return nil, web.ErrBodyMissing
	}
	members, err := parseObject(body)
	if err != nil {
		return nil, web.ErrJSON.With(err)
	}
	for name := range members {
		if namesMethodOverride(name) {
			return nil, errOverride.With(errors.New("by a member of the body")) // frameworks look for it in JSON bodies as in forms
		}
	}
	if collidesByCase(members, rt.Resource) {
		return nil, errBodyAmbiguous.With(errors.New("two members, or a member and one that the decision reads"))
	}
	return members, nil
}

// parseObject reads one JSON object strictly: no duplicate names, valid UTF-8,
// nothing after it, numbers as they were written.
func parseObject(b []byte) (map[string]any, error) {
	if !shallow(b) {
		return nil, errors.New("nests too deep")
	}
	out, err := exactjson.Object(b)
	if err != nil {
		return nil, err
	}
	if len(out) > maxMembers {
		return nil, errors.New("too many members")
	}
	return out, nil
}

// shallow bounds nesting before anything recursive looks at b.
func shallow(b []byte) bool {
	depth, in := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case in && c == '\\':
			i++
		case c == '"':
			in = !in
		case in:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth+1 {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// collidesByCase reports names that a reader without regard to case (many JSON
// libraries are such) would take for one another, or for one that the decision
// reads: it would judge "owner" and the program behind it would obey "Owner".
func collidesByCase(members map[string]any, rule *ResourceRule) bool {
	seen := make(map[string]string, len(members))
	for _, member := range rule.Attributes {
		seen[foldCase(member)] = member
	}
	if len(rule.Attributes) == 0 {
		for attr := range rule.Entities {
			seen[foldCase(attr)] = attr
		}
	}
	for name := range members {
		f := foldCase(name)
		if other, ok := seen[f]; ok && other != name {
			return true
		}
		seen[f] = name
	}
	return false
}

// attributes maps members to Cedar attributes. A member that is null counts as
// absent. One of the wrong form is an error and not dropped: a policy that
// forbids by an attribute must not be escaped by spoiling it.
func attributes(rule *ResourceRule, members map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(members))
	set := func(attr string, v any) error {
		if v == nil {
			return nil
		}
		if typ, ok := rule.Entities[attr]; ok {
			ref, err := reference(typ, v)
			if err != nil {
				return err
			}
			v = ref
		}
		out[attr] = v
		return nil
	}
	if len(rule.Attributes) > 0 {
		for attr, member := range rule.Attributes {
			if err := set(attr, members[member]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	for name, v := range members {
		if _, isRef := rule.Entities[name]; !isRef {
			switch v.(type) {
			case map[string]any, []any:
				continue // scalars only, unless they are named
			}
		}
		if err := set(name, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// reference turns an id, or a list of ids, into references to entities.
func reference(typ string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return gatehouse.EntityRef{Type: typ, ID: v}, nil
	case int64:
		return gatehouse.EntityRef{Type: typ, ID: strconv.FormatInt(v, 10)}, nil
	case decimal.Number: // an id beyond int64 is as good as any; a fraction is none
		if !strings.Contains(v.String(), ".") {
			return gatehouse.EntityRef{Type: typ, ID: v.String()}, nil
		}
	case []any:
		refs := make([]any, len(v))
		for i := range v {
			ref, err := reference(typ, v[i])
			if _, nested := ref.([]any); err != nil || nested {
				return nil, errors.New("not a list of ids")
			}
			refs[i] = ref
		}
		return refs, nil
	}
	return nil, errors.New("not an id")
}
