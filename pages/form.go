package pages

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

var (
	errForm    = gatehouse.E(gatehouse.Invalid, "form_invalid", "The form that arrived is not the one that was shown.")
	errExpired = gatehouse.E(gatehouse.Denied, "form_expired", "The form was shown in another session of the browser, or its cookie is missing.")
)

// form is what was sent, each field once.
type form map[string]string

// readForm reads the body. In this order: the limit of the address, the site that sent
// it, and then the body, once.
func (v *visit) readForm() error {
	if err := v.allowed(); err != nil {
		return err
	}
	if err := v.h.origin.Check(v.r); err != nil && !v.elsewhere { // by Sec-Fetch-Site, else by Origin
		return web.ErrCrossOrigin.With(fmt.Errorf("the page's Origin %.120q, Sec-Fetch-Site %.40q", v.r.Header.Get("Origin"), v.r.Header.Get("Sec-Fetch-Site")))
	}
	if err := web.ContentType(v.r, "application/x-www-form-urlencoded"); err != nil {
		return err
	}
	body, err := web.ReadBody(v.w, v.r, maxForm)
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return errForm // the text of err would quote what was typed
	}
	if v.elsewhere { // it is not of our making, and whoever takes it judges it
		v.posted = values
		return nil
	}
	v.form, err = formOf(values)
	return err
}

// formOf is a form in which each field is there once.
func formOf(values url.Values) (form, error) {
	out := make(form, len(values))
	for name, all := range values {
		if len(all) != 1 || !utf8.ValidString(all[0]) {
			return nil, errForm
		}
		out[name] = all[0]
	}
	return out, nil
}

// sentFrom checks that the form was shown by page, to this browser, in this session, and
// that it has these fields and no others.
func (v *visit) sentFrom(page string, fields ...string) error {
	for name := range v.form {
		if name != "form" && !slices.Contains(fields, name) {
			return errForm
		}
	}
	key, ok := v.hasFormKey()
	want := formToken(key, v.realm.Name, page, v.session())
	if !ok || subtle.ConstantTimeCompare([]byte(want), []byte(v.form["form"])) != 1 {
		return errExpired
	}
	return nil
}

// one is a value of the query, or "" when it is there more than once or is long.
func one(r *http.Request, name string) string {
	return oneOf(r, name, 2048)
}

// returnOf is where somebody wants to go after a page: as long as an address of ours can be.
func returnOf(r *http.Request) string { return ownReturn(oneOf(r, "return", markup.MaxPath)) }

func oneOf(r *http.Request, name string, most int) string {
	all := r.URL.Query()[name]
	if len(all) != 1 || len(all[0]) > most || strings.ContainsRune(all[0], 0) {
		return ""
	}
	return all[0]
}
