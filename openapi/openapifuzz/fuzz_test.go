package openapifuzz

import (
	"reflect"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/openapi"
)

// FuzzOpenAPI: each route that a document gives says who may call it, once, and the
// same document always gives the same routes.
func FuzzOpenAPI(f *testing.F) {
	f.Add([]byte("openapi: 3.1.0\npaths:\n  /a/{b-c}:\n    get: {security: []}\n"))
	f.Add([]byte(`{"openapi":"3.0.0","paths":{"/{x}/":{"put":{}}}}`))
	f.Add([]byte("openapi: 3.1.0\nsecurity: [{a: [x, y]}, {b: [x]}]\npaths:\n  /a:\n    x-gatehouse: {roles: [r], type: T, id: '{id}'}\n    post: {requestBody: {content: {application/json: {}}}}\n"))
	f.Add([]byte("openapi: 3.1.0\npaths: {/a: &a {get: {x-gatehouse: {public: true}}}, /b: *a}\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		api, err := openapi.Read(doc, openapi.Options{})
		if err != nil {
			return
		}
		if err := enforce.CheckRoutes(api.Routes); err != nil {
			t.Errorf("routes that cannot be: %v", err)
		}
		for _, r := range api.Routes {
			if r.Anonymous && (len(r.Scopes) > 0 || len(r.AnyOf) > 0 || len(r.Roles) > 0) || !r.Anonymous && !r.Authenticated && !r.Closed {
				t.Errorf("a route that says two things: %+v", r)
			}
		}
		if again, err := openapi.Read(doc, openapi.Options{}); err != nil || !reflect.DeepEqual(api, again) {
			t.Errorf("%+v\n%+v (%v)", api, again, err)
		}
	})
}
