package adminhttp

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// operation describes one operation for the router and the document.
type operation struct {
	method, path string // path without Prefix
	id, summary  string
	tag          string
	status       int   // of success; 200 by default, 204 without a body
	public       bool  // takes no credential
	maxBody      int64 // smallBody by default
	conflicts    bool  // can answer 409
}

// none is an input or an answer without members.
type none struct{}

// given is what an optional body holds, or the zero value.
func given[T any](body *T) T {
	if body == nil {
		var zero T
		return zero
	}
	return *body
}

// out is an answer with a body.
type out[T any] struct{ Body T }

func answer[T any](v T, err error) (*out[T], error) { return &out[T]{Body: v}, err }

// handle registers an operation. fn gets the verified caller, nil for public
// operations.
func handle[I, O any](a *api, op operation, fn func(ctx context.Context, actor *gatehouse.Principal, in *I) (*O, error)) {
	if op.status == 0 {
		op.status = http.StatusOK
		if _, body := reflect.TypeFor[O]().FieldByName("Body"); !body {
			op.status = http.StatusNoContent
		}
	}
	if op.maxBody == 0 {
		op.maxBody = smallBody
	}
	h := huma.Operation{
		OperationID: op.id, Method: op.method, Path: Prefix + op.path, Summary: op.summary,
		Tags: []string{op.tag}, DefaultStatus: op.status, MaxBodyBytes: op.maxBody,
		Responses: a.errors(op, reflect.TypeFor[I]()),
	}
	a.methods[h.Path] = append(a.methods[h.Path], op.method)
	if op.maxBody > maxBody {
		a.large[h.Path] = op.maxBody
	}
	h.Security = []map[string][]string{} // said, so that no reader has to guess
	if !op.public {
		h.Security = []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"basic": {}}}
		h.Middlewares = huma.Middlewares{a.authenticate}
	}
	h.Middlewares = append(h.Middlewares, a.queries(reflect.TypeFor[I]()))
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*O, error) {
		o, err := fn(ctx, gatehouse.PrincipalFrom(ctx), in)
		if err != nil {
			return nil, &failure{err}
		}
		return o, nil
	})
}

// errors lists the problem responses that an operation can give.
func (a *api) errors(op operation, input reflect.Type) map[string]*huma.Response {
	statuses := []int{http.StatusBadRequest, http.StatusTooManyRequests, http.StatusInternalServerError}
	if !op.public {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	}
	if input.NumField() > 0 {
		statuses = append(statuses, http.StatusUnprocessableEntity, http.StatusNotFound)
	}
	if _, body := input.FieldByName("Body"); body {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.conflicts {
		statuses = append(statuses, http.StatusConflict)
	}
	if op.id == "bootstrap" {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[web.Problem](), true, "Problem")
	out := map[string]*huma.Response{}
	for _, s := range statuses {
		out[strconv.Itoa(s)] = &huma.Response{
			Description: http.StatusText(s),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
	return out
}

// queries refuses query parameters that have no value, come twice, or are numbers in
// another spelling than the plain one ("+5", "05"): each reader would take its own.
func (a *api) queries(input reflect.Type) func(huma.Context, func(huma.Context)) {
	numbers := map[string]bool{}
	for _, f := range reflect.VisibleFields(input) {
		if name := f.Tag.Get("query"); name != "" {
			numbers[name] = f.Type.Kind() == reflect.Int || f.Type.Kind() == reflect.Int64
		}
	}
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		e := *admin.ErrInput
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
func (a *api) authenticate(ctx huma.Context, next func(huma.Context)) {
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
