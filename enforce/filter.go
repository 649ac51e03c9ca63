package enforce

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// MaxListElements bounds the elements of an answer that is filtered: each one is
// a decision.
const MaxListElements = 1000

var (
	errListForm  = gatehouse.E(gatehouse.BadGateway, "list_unreadable", "The API behind the gateway gave no list that can be filtered.")
	errListLarge = gatehouse.E(gatehouse.BadGateway, "list_too_long", "The API behind the gateway gave a longer list than can be filtered. Ask for a shorter page.")
)

// FilterList removes from body, an upstream's JSON answer, the elements that the
// caller of v may not see, by the route's Filter. What is kept stays byte for
// byte. An element that is no object, has no id or cannot be judged is removed;
// a body that is no such list is an error, never passed on as it is.
//
// Other members of the answer, such as a total, are kept: an API should not
// count what its caller cannot see.
func (p *Pipeline) FilterList(ctx context.Context, x *Exchange, v Verdict, body []byte) ([]byte, error) {
	if !v.Allowed || v.Principal == nil || v.Route == nil || v.Route.Filter == nil {
		return nil, errDenied
	}
	if x != nil {
		ctx = gatehouse.WithRequest(ctx, gatehouse.RequestFrom(x.ctx))
	}
	f := v.Route.Filter
	list := jsontext.Value(body)
	var names []string
	var members map[string]jsontext.Value
	if f.Items != "" {
		var err error
		if names, members, err = splitObject(body); err != nil {
			return nil, errListForm.With(err)
		}
		if list = members[f.Items]; list == nil {
			return nil, errListForm.With(errors.New("the member with the list is missing"))
		}
	}
	if list.Kind() != '[' {
		return nil, errListForm.With(errors.New("not an array"))
	}
	var elements []jsontext.Value
	if err := json.Unmarshal(list, &elements); err != nil {
		return nil, errListForm.With(err)
	}
	if len(elements) > MaxListElements {
		return nil, errListLarge
	}
	kept, err := p.filter(ctx, f, v.Principal, elements)
	if err != nil {
		return nil, err
	}
	if x != nil {
		x.pass("filter", "", strconv.Itoa(len(kept))+" of "+strconv.Itoa(len(elements))+" elements")
	}
	out := joinArray(kept)
	if f.Items == "" {
		return out, nil
	}
	members[f.Items] = out
	return joinObject(names, members)
}

// filter asks for each element. A decision point that is away is an error: an
// empty list would say "there is nothing".
func (p *Pipeline) filter(ctx context.Context, f *ListFilter, who *gatehouse.Principal, elements []jsontext.Value) ([]jsontext.Value, error) {
	kept := elements[:0]
	for _, e := range elements {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		members, err := parseObject(e)
		if err != nil {
			continue
		}
		ref, err := reference(f.Resource.Type, members[f.IDMember])
		id, ok := ref.(gatehouse.EntityRef)
		if err != nil || !ok {
			continue
		}
		attrs, err := attributes(&f.Resource, members)
		if err != nil {
			continue
		}
		d := p.cfg.Decider.Decide(ctx, gatehouse.AccessRequest{Principal: who, Action: f.Action,
			Resource: gatehouse.Resource{Type: f.Resource.Type, ID: id.ID, Attributes: withStatic(attrs, f.Resource.Static)}})
		if d.Code == "policy_unavailable" || d.Code == "directory_unavailable" {
			return nil, errDecision
		}
		if d.Allowed && len(d.Errors) == 0 {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// splitObject returns the members of an object in their order.
func splitObject(b []byte) ([]string, map[string]jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, nil, errors.New("not an object")
	}
	var names []string
	members := map[string]jsontext.Value{}
	for dec.PeekKind() != '}' {
		t, err := dec.ReadToken()
		if err != nil {
			return nil, nil, err
		}
		n := t.String()
		v, err := dec.ReadValue()
		if err != nil {
			return nil, nil, err
		}
		names, members[n] = append(names, n), v.Clone()
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF { // also where it is no JSON
		return nil, nil, errors.New("something follows the object")
	}
	return names, members, nil
}

func joinArray(values []jsontext.Value) jsontext.Value {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(v)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func joinObject(names []string, members map[string]jsontext.Value) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		q, err := jsontext.AppendQuote(nil, n)
		if err != nil {
			return nil, errListForm.With(err)
		}
		b.Write(q)
		b.WriteByte(':')
		b.Write(members[n])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
