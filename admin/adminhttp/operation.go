package adminhttp

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Operation describes one operation for the router and the document.
type Operation struct {
	Method, Path string // path without Prefix
	ID, Summary  string
	Tag          string
	Status       int    // of success; 200 by default, 204 without a body
	Public       bool   // takes no credential
	Asks         bool   // changes nothing that other nodes have to know of, whatever its method: takes no wait
	Secret       bool   // takes a secret of its own in place of a credential: can answer 401
	MaxBody      int64  // in bytes; SmallBody by default
	Conflicts    bool   // can answer 409
	Refusable    bool   // can answer 422 although it takes no input
	Events       string // what a stream of events sends (text/event-stream); see [HandleFlow]
}

// Inputs that many operations share.
type (
	// RealmPath names the realm that an operation is about.
	RealmPath struct {
		Realm string `path:"realm" maxLength:"63" doc:"Realm name"`
	}
	// UserPath names a user of a realm.
	UserPath struct {
		RealmPath
		User string `path:"user" maxLength:"256" doc:"Id, username, or me for the caller"`
	}
	// Paging asks for a part of a list.
	Paging struct {
		After string `query:"after" maxLength:"256" doc:"Cursor: next of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Entries per page"`
	}
)

// None is an input or an answer without members.
type None struct{}

// Given is what an optional body holds, or the zero value.
func Given[T any](body *T) T {
	if body == nil {
		var zero T
		return zero
	}
	return *body
}

// Out is an answer with a body.
type Out[T any] struct{ Body T }

// Answer makes the outcome of a use case that of an operation.
func Answer[T any](v T, err error) (*Out[T], error) { return &Out[T]{Body: v}, err }

func (None) reply() *reply     { return nil }
func (o Out[T]) reply() *reply { return &reply{o.Body} }

// reply is any answer as the router sees it: it is compiled anew, in 25 KB, for each pair of input and answer.
type reply struct{ Body any }

// Handle registers an operation. fn gets the verified caller, nil for public
// operations; I says in its tags what is read of the path, the query and the body.
func Handle[I any, O interface{ reply() *reply }](a *API, op Operation, fn func(ctx context.Context, actor *gatehouse.Principal, in *I) (*O, error)) {
	h := a.operation(op, reflect.TypeFor[I](), reflect.TypeFor[O]())
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*reply, error) {
		p := gatehouse.PrincipalFrom(ctx)
		o, err := fn(ctx, p, in)
		if err != nil {
			return nil, &failure{err, p}
		}
		return (*o).reply(), nil
	})
	if none := h.Responses[strconv.Itoa(http.StatusNoContent)]; none != nil {
		none.Content = nil // the router adds that of a reply
	}
}

// operation is op as the router takes it. It knows the body of an answer by its type,
// which a [reply] does not tell.
func (a *API) operation(op Operation, input, output reflect.Type) huma.Operation {
	body, answers := output.FieldByName("Body")
	if op.Status == 0 {
		op.Status = http.StatusOK
		if !answers {
			op.Status = http.StatusNoContent
		}
	}
	if op.MaxBody == 0 {
		op.MaxBody = SmallBody
	}
	h := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: Prefix + op.Path, Summary: op.Summary,
		Tags: []string{op.Tag}, DefaultStatus: op.Status, MaxBodyBytes: op.MaxBody,
		Responses: a.errors(op, input),
	}
	switch {
	case op.Events != "":
		h.Responses[strconv.Itoa(op.Status)] = &huma.Response{Description: op.Events,
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	case answers:
		schema := huma.SchemaFromField(a.huma.OpenAPI().Components.Schemas, body, op.ID)
		h.Responses[strconv.Itoa(op.Status)] = &huma.Response{Description: http.StatusText(op.Status),
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	a.methods[h.Path] = append(a.methods[h.Path], op.Method)
	if op.MaxBody > MaxBody {
		a.large[h.Path] = op.MaxBody
	}
	h.Security = []map[string][]string{} // said, so that no reader has to guess
	if !op.Public {
		h.Security = []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"basic": {}}}
		h.Middlewares = huma.Middlewares{a.authenticate}
	}
	h.Middlewares = append(h.Middlewares, a.queries(input))
	if op.takesWait() {
		a.waits(&h)
	}
	return h
}

// Flow writes an answer that lasts. again verifies the credential of the request anew,
// as it is now.
type Flow func(w http.ResponseWriter, r *http.Request, again func() (*gatehouse.Principal, error))

// HandleFlow registers an operation whose answer is a stream of events. fn refuses, or
// returns what writes the stream; that is then called once.
func HandleFlow[I any](a *API, op Operation, fn func(ctx context.Context, actor *gatehouse.Principal, in *I) (Flow, error)) {
	h := a.operation(op, reflect.TypeFor[I](), reflect.TypeFor[huma.StreamResponse]())
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		if a.c.Again == nil {
			return nil, &failure{gatehouse.ErrInternal, nil}
		}
		p := gatehouse.PrincipalFrom(ctx)
		flow, err := fn(ctx, p, in)
		if err != nil {
			return nil, &failure{err, p}
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			flow(w, r, func() (*gatehouse.Principal, error) { return a.c.Again(r) })
		}}, nil
	})
}

// errors lists the problem responses that an operation can give.
func (a *API) errors(op Operation, input reflect.Type) map[string]*huma.Response {
	statuses := []int{http.StatusBadRequest, http.StatusTooManyRequests, http.StatusInternalServerError}
	if !op.Public {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	}
	if input.NumField() > 0 {
		statuses = append(statuses, http.StatusUnprocessableEntity, http.StatusNotFound)
	}
	if _, body := input.FieldByName("Body"); body {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.Refusable {
		statuses = append(statuses, http.StatusUnprocessableEntity)
	}
	if op.Conflicts {
		statuses = append(statuses, http.StatusConflict)
	}
	if op.Secret {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	out := map[string]*huma.Response{}
	for _, s := range statuses {
		out[strconv.Itoa(s)] = a.problem(s)
	}
	return out
}

// problem describes the problem response of a status: one for all operations, which together are a quarter of a megabyte else.
func (a *API) problem(status int) *huma.Response {
	if a.problems[status] == nil {
		schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[web.Problem](), true, "Problem")
		a.problems[status] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
	return a.problems[status]
}

// queries refuses query parameters that have no value, come twice, or are numbers in
// another spelling than the plain one ("+5", "05"): each reader would take its own.
func (a *API) queries(input reflect.Type) func(huma.Context, func(huma.Context)) {
	numbers := map[string]bool{}
	for _, f := range reflect.VisibleFields(input) {
		if name := f.Tag.Get("query"); name != "" {
			numbers[name] = f.Type.Kind() == reflect.Int || f.Type.Kind() == reflect.Int64
		}
	}
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		e := *kernel.ErrInput
		e.Fields = map[string]string{}
		for name, values := range r.URL.Query() {
			what := ""
			switch n, err := strconv.ParseInt(values[0], 10, 64); {
			case len(values) > 1:
				what = "is there more than once"
			case values[0] == "":
				what = "is empty; leave it out"
			case numbers[name] && (err != nil || strconv.FormatInt(n, 10) != values[0]):
				what = "is not a whole number"
			}
			if place := "query." + name; what != "" && plainPlace(place) {
				e.Fields[place] = what
			}
		}
		if len(e.Fields) > 0 {
			a.c.Problems.Write(w, r, &e)
			return
		}
		next(ctx)
	}
}

// authenticate verifies the caller before the body is read: whoever has no
// credential gets no parser to play with.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	p, err := a.c.Authenticate(r)
	if err == nil && !p.Authenticated() {
		err = authn.ErrNone
	}
	if err != nil {
		if gatehouse.KindOf(err) == gatehouse.Unauthenticated {
			err = web.WithHeader(err, http.Header{"Www-Authenticate": a.c.Challenges(r)})
		}
		a.c.Problems.Write(w, r, err)
		return
	}
	next(huma.WithContext(ctx, gatehouse.WithPrincipal(ctx.Context(), p)))
}
