package web

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// post is a request with a body of this length told, or -1.
func post(body string, told int64, contentType ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.ContentLength = told
	if len(contentType) > 0 {
		r.Header["Content-Type"] = contentType
	}
	return r
}

func TestLimitBody(t *testing.T) {
	for _, c := range []struct {
		body    string
		told    int64
		refused bool // before anything is read
		broken  bool // while it is read
	}{
		{"12345", 5, false, false},
		{"123456", 6, true, true},
		{"12345", -1, false, false},
		{"123456", -1, false, true},
		{"", 0, false, false},
	} {
		r := post(c.body, c.told)
		err := LimitBody(httptest.NewRecorder(), r, 5)
		if (err != nil) != c.refused || err != nil && StatusOf(err) != 413 {
			t.Errorf("%q of %d: %v", c.body, c.told, err)
		}
		if c.refused {
			continue
		}
		if _, err := io.ReadAll(r.Body); (err != nil) != c.broken || err != nil && StatusOf(err) != 413 {
			t.Errorf("%q of %d, read: %v", c.body, c.told, err)
		}
	}
	// That there is no body can be told from the request afterwards.
	for _, none := range []io.ReadCloser{nil, http.NoBody} {
		r := &http.Request{Body: none}
		if err := LimitBody(nil, r, 5); err != nil || r.Body != none {
			t.Errorf("%v became %v (%v)", none, r.Body, err)
		}
	}
}

// broken is a body that ends in the middle.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err == nil {
		return n, nil
	}
	return 0, io.ErrUnexpectedEOF
}
func (broken) Close() error { return nil }

func TestReadBody(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		body string
		told int64
		code string
	}{
		{"", 0, ""}, {"a", 1, ""}, {"a", -1, ""}, {long, 5000, ""}, {long, -1, ""},
		{long + "x", 5001, "body_too_large"}, {long + "x", -1, "body_too_large"},
	} {
		got, err := ReadBody(httptest.NewRecorder(), post(c.body, c.told), 5000)
		if c.code == "" && (err != nil || string(got) != c.body) || c.code != "" && (gatehouse.CodeOf(err) != c.code || len(got) > 0) {
			t.Errorf("%d bytes told as %d: %d %v", len(c.body), c.told, len(got), err)
		}
	}
	if got, err := ReadBody(nil, &http.Request{}, 5); err != nil || len(got) > 0 {
		t.Errorf("no body: %q %v", got, err)
	}
	// What broke off is not taken for the whole.
	r := post("", -1)
	r.Body = broken{strings.NewReader("half")}
	got, err := ReadBody(nil, r, 5000)
	if gatehouse.CodeOf(err) != "body_unreadable" || StatusOf(err) != 400 || len(got) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a body: %q %v", got, err)
	}
}

func TestContentTypes(t *testing.T) {
	padded := "application/" + strings.Repeat("x", 256-len("application/+json")) + "+json"
	for _, c := range []struct {
		lines []string
		json  bool     // good for JSONContentType
		as    []string // good for ContentType with each of these
	}{
		{[]string{"application/json"}, true, []string{"application/json", "Application/JSON", "application/*", "*/*"}},
		{[]string{"APPLICATION/JSON"}, true, []string{"application/json", "application/*", "*/*"}},
		{[]string{"application/json;charset=utf-8"}, true, []string{"application/json", "*/*"}},
		{[]string{`application/json; charset="UTF-8"`}, true, []string{"application/json", "*/*"}},
		{[]string{"application/json; charset=utf-7"}, false, nil},
		{[]string{"application/json; charset=latin1"}, false, nil},
		{[]string{"application/json; charset="}, false, nil},
		{[]string{"application/json; profile=utf-8"}, false, []string{"application/json", "*/*"}},
		{[]string{"application/json; charset=utf-8; profile=x"}, false, []string{"application/json"}},
		{[]string{"application/json; charset*=utf-8''utf-8"}, false, []string{"application/json"}},
		{[]string{"application/json; charset=utf-8; charset=utf-7"}, false, nil}, // both at once
		{[]string{"application/merge-patch+json"}, true, []string{"application/merge-patch+json", "application/*"}},
		{[]string{"application/jsonp"}, false, []string{"application/jsonp"}},
		{[]string{"json"}, false, []string{"json"}},
		{[]string{"text/json"}, false, []string{"text/json", "text/*"}},
		{[]string{"text/plain"}, false, []string{"text/*", "*/*", "text/plain"}},
		{[]string{"textual/plain"}, false, []string{"*/*", "textual/*"}},
		{[]string{padded}, true, []string{padded, "application/*"}}, // 256 bytes
		{[]string{padded[:12] + "x" + padded[12:]}, false, nil},     // and one more
		{[]string{"application/json", "application/json"}, false, nil},
		{[]string{"application/json, text/plain"}, false, nil},
		{[]string{""}, false, nil},
		{[]string{"/"}, false, nil},
		{nil, false, nil},
	} {
		r := post("", 0, c.lines...)
		if err := JSONContentType(r); (err == nil) != c.json || err != nil && StatusOf(err) != 415 {
			t.Errorf("%q as JSON: %v", c.lines, err)
		}
		for _, accept := range []string{"application/json", "text/*", "*/*", "image/png"} {
			if err := ContentType(r, accept); err == nil && c.as == nil || err != nil && StatusOf(err) != 415 {
				t.Errorf("%q as %s: %v", c.lines, accept, err)
			}
		}
		for _, accept := range c.as {
			if err := ContentType(r, "image/png", accept); err != nil {
				t.Errorf("%q as %s: %v", c.lines, accept, err)
			}
		}
	}
	// What is not named is not accepted.
	for _, c := range []struct{ contentType, accept string }{
		{"text/plain", "application/json"}, {"text/plain", "application/*"}, {"textual/plain", "text/*"}, {"text/plain", "text"}, {"text/plain", "*"},
		{"text/plain", "text/"}, {"text/plain", "*/plain"}, {"text/plain", "text/plainer"}, {"text/plain", ""},
	} {
		if ContentType(post("", 0, c.contentType), c.accept) == nil {
			t.Errorf("%s is taken for %s", c.contentType, c.accept)
		}
	}
	if ContentType(post("", 0, "text/plain")) == nil {
		t.Error("nothing is accepted, and text/plain is")
	}
}

func TestDecodeJSONEncodings(t *testing.T) {
	for _, c := range []struct {
		lines []string
		good  bool
	}{
		{nil, true}, {[]string{"identity"}, true}, {[]string{"Identity"}, true},
		{[]string{"gzip"}, false}, {[]string{"identity", "identity"}, false}, {[]string{"identity, gzip"}, false},
		{[]string{"identity", "gzip"}, false}, {[]string{""}, false},
	} {
		r := post(`{"a":1}`, 7, "application/json")
		if c.lines != nil {
			r.Header["Content-Encoding"] = c.lines
		}
		var dst struct {
			A int `json:"a"`
		}
		err := DecodeJSON(nil, r, &dst, 7)
		if c.good && (err != nil || dst.A != 1) || !c.good && gatehouse.CodeOf(err) != "content_encoding_unsupported" {
			t.Errorf("%q: %v", c.lines, err)
		}
	}
}

// Nothing but application/json is decoded, and numbers come through exactly: a float64
// would make two of these one.
func TestDecodeJSONExactly(t *testing.T) {
	var dst map[string]any
	err := DecodeJSON(nil, post(`{"a":9007199254740993,"b":9007199254740992}`, -1, "application/json"), &dst, 100)
	if err != nil || fmt.Sprint(dst["a"]) != "9007199254740993" || fmt.Sprint(dst["b"]) != "9007199254740992" {
		t.Errorf("%v %v", dst, err)
	}
	for _, other := range []string{"application/merge-patch+json", "text/json", "application/jsonp", "text/plain"} {
		if err := DecodeJSON(nil, post(`{}`, -1, other), &dst, 100); gatehouse.CodeOf(err) != "content_type_unsupported" {
			t.Errorf("%s: %v", other, err)
		}
	}
	if err := DecodeJSON(nil, post(`{}`, -1, "application/json"), &dst, 0); gatehouse.CodeOf(err) != "body_too_large" {
		t.Errorf("a bound of 0: %v", err)
	}
}

// The server closes a connection on which more came than is read, rather than to take the
// rest of the body for the next request, or to read all of it.
func TestOverlongBodyEndsTheConnection(t *testing.T) {
	srv := httptest.NewServer((*Problems)(nil).Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, err := ReadBody(w, r, 5)
		return err
	}))
	defer srv.Close()
	for body, closed := range map[string]bool{"12345": false, "123456": true} {
		// A reader of no known type: its length is not told.
		res, err := srv.Client().Post(srv.URL, "text/plain", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.Close != closed || (res.StatusCode == 413) != closed {
			t.Errorf("%d bytes of 5: %d, closed %v", len(body), res.StatusCode, res.Close)
		}
	}
}

// percent says in its own words what it wants; secretive has none to say.
type (
	percent   int
	secretive int
)

func (*percent) UnmarshalJSON([]byte) error {
	return gatehouse.E(gatehouse.Invalid, "x", "is a whole number from 0 to 100")
}

func (*secretive) UnmarshalJSON([]byte) error {
	return gatehouse.E(gatehouse.Invalid, "x", "").With(errors.New("secret"))
}

// An error points at the member that is meant, where its name can be shown, and never at
// more than that.
func TestUnmarshalStrictFields(t *testing.T) {
	type doc struct {
		Name  string    `json:"name"`
		Age   int       `json:"age"`
		Share percent   `json:"share"`
		Own   secretive `json:"own"`
		In    struct {
			List []int `json:"list"`
		} `json:"in"`
	}
	for _, c := range []struct {
		body, code string
		fields     map[string]string
	}{
		{`{"name":"a","in":{"list":[1,2]}}`, "", nil},
		{`{"age":"x"}`, "json_invalid", map[string]string{"/age": "has not the form that is expected"}},
		{`{"in":{"list":[1,"x"]}}`, "json_invalid", map[string]string{"/in/list/1": "has not the form that is expected"}},
		{`{"share":101}`, "json_invalid", map[string]string{"/share": "is a whole number from 0 to 100"}},
		{`{"own":1}`, "json_invalid", map[string]string{"/own": "has not the form that is expected"}},
		{`{"Name":"a"}`, "json_unknown_member", map[string]string{"/Name": "is not known"}},
		{`{"in":{"x":1}}`, "json_unknown_member", map[string]string{"/in/x": "is not known"}},
		{`{"name":"a","name":"b"}`, "json_invalid", map[string]string{"/name": "is not valid JSON"}},
		{`{"in":{"list":[1,}}`, "json_invalid", map[string]string{"/in/list": "is not valid JSON"}},
		{`{"<script>":1}`, "json_unknown_member", nil},
		{`{"` + strings.Repeat("x", 99) + `":1}`, "json_unknown_member", map[string]string{"/" + strings.Repeat("x", 99): "is not known"}},
		{`{"` + strings.Repeat("x", 100) + `":1}`, "json_unknown_member", nil},
		{`[]`, "json_invalid", nil},
		{`{`, "json_invalid", nil},
		{``, "json_invalid", nil},
	} {
		err := UnmarshalStrict([]byte(c.body), &doc{})
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.body, err)
			}
			continue
		}
		e := Classify(err)
		if e.Code != c.code || e.Kind != gatehouse.Invalid || !maps.Equal(e.Fields, c.fields) || e.Cause == nil {
			t.Errorf("%s: %s %v %v, want %s %v", c.body, e.Code, e.Fields, e.Cause, c.code, c.fields)
		}
	}
}

func TestFieldAt(t *testing.T) {
	for pointer, shown := range map[string]bool{
		"/a": true, "/a/0/b-c_d.e": true, "/!": true, "/a~1b": true, "/=": true, "/'": true,
		strings.Repeat("a", 100): true, strings.Repeat("a", 101): false,
		"": false, "/a b": false, "/a\n": false, "/a\x00": false, "/a\x1f": false, "/a\x7f": false, "/\u00fc": false, "/<": false, "/>": false, `/"`: false,
	} {
		got := fieldAt(pointer, "is wrong")
		if shown && (len(got) != 1 || got[pointer] != "is wrong") || !shown && len(got) != 0 {
			t.Errorf("%q: %v", pointer, got)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	if err := WriteJSON(w, 201, map[string]int{"b": 2, "a": 1}); err != nil {
		t.Fatal(err)
	}
	h := w.Header()
	if w.Code != 201 || w.Body.String() != `{"a":1,"b":2}` || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
	w = httptest.NewRecorder()
	w.Header().Set("Cache-Control", "max-age=60") // a key set, which may be kept
	if err := WriteJSON(w, 200, 1); err != nil || w.Header().Get("Cache-Control") != "max-age=60" {
		t.Errorf("%v %v", err, w.Header())
	}
	w = httptest.NewRecorder()
	if err := WriteJSON(w, 200, func() {}); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("what is no JSON began an answer: %v %v", err, w.Header())
	}
}
