package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// Each kind has the status that its name says (RFC 9110 §15), and a title of its own.
func TestStatusOfKinds(t *testing.T) {
	want := map[gatehouse.Kind]int{
		gatehouse.Internal: 500, gatehouse.Invalid: 400, gatehouse.Unauthenticated: 401, gatehouse.Denied: 403, gatehouse.NotFound: 404,
		gatehouse.Conflict: 409, gatehouse.TooLarge: 413, gatehouse.Unsupported: 415, gatehouse.Unprocessable: 422, gatehouse.RateLimited: 429,
		gatehouse.HeaderTooLarge: 431, gatehouse.Unavailable: 503, gatehouse.BadGateway: 502, gatehouse.GatewayTimeout: 504,
		gatehouse.MethodNotAllowed: 405, gatehouse.RequestTimeout: 408,
	}
	titles := map[string]gatehouse.Kind{}
	for k := gatehouse.Internal; k == gatehouse.Internal || k.String() != gatehouse.Internal.String(); k++ {
		if got := StatusOf(k); got != want[k] {
			t.Errorf("%s: %d, want %d", k, got, want[k])
		}
		title := infoOf(k).title
		if other, taken := titles[title]; taken || title == "" {
			t.Errorf("%s and %s are both %q", k, other, title)
		}
		titles[title] = k
	}
	if len(titles) != len(want) {
		t.Errorf("%d kinds, of %d", len(titles), len(want))
	}
}

func TestClassify(t *testing.T) {
	denied := gatehouse.E(gatehouse.Denied, "no_permit", "No.")
	for _, c := range []struct {
		err  error
		kind gatehouse.Kind
		code string
	}{
		{denied, gatehouse.Denied, "no_permit"},
		{fmt.Errorf("wrapped: %w", denied), gatehouse.Denied, "no_permit"},
		{denied.With(context.DeadlineExceeded), gatehouse.Denied, "no_permit"}, // our own word comes first
		{context.DeadlineExceeded, gatehouse.Unavailable, "timeout"},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), gatehouse.Unavailable, "timeout"},
		{context.Canceled, gatehouse.Unavailable, "client_gone"},
		{fmt.Errorf("wrapped: %w", context.Canceled), gatehouse.Unavailable, "client_gone"},
		{&http.MaxBytesError{Limit: 1}, gatehouse.TooLarge, "body_too_large"},
		{fmt.Errorf("wrapped: %w", &http.MaxBytesError{Limit: 1}), gatehouse.TooLarge, "body_too_large"},
		{gatehouse.NotFound, gatehouse.NotFound, "not_found"},
		{fmt.Errorf("wrapped: %w", gatehouse.NotFound), gatehouse.NotFound, "not_found"},
		{errors.New("disk on fire"), gatehouse.Internal, "internal"},
		{nil, gatehouse.Internal, "internal"},
	} {
		e := Classify(c.err)
		if e.Kind != c.kind || e.Code != c.code {
			t.Errorf("%v: %s %s, want %s %s", c.err, e.Kind, e.Code, c.kind, c.code)
		}
		if c.err != nil && !errors.Is(e, c.err) && !errors.Is(c.err, e) {
			t.Errorf("%v: the cause is lost: %v", c.err, e)
		}
	}
}

// What is on a problem besides its status: where its page is, whose request it was, which
// members are meant; of an internal one nothing but the request.
func TestProblemOf(t *testing.T) {
	full := gatehouse.E(gatehouse.Invalid, "bad_name", "The name is taken.")
	full.Fields = map[string]string{"/name": "is taken"}
	inner := gatehouse.E(gatehouse.Internal, "store_broken", "disk on fire")
	inner.Fields = map[string]string{"/disk": "on fire"}
	for name, c := range map[string]struct {
		p    *Problems
		err  error
		want Problem
	}{
		"ours": {&Problems{}, full, Problem{Type: DefaultDocsBase + "bad_name", Title: "The request is not valid", Status: 400,
			Detail: "The name is taken.", Code: "bad_name", Fields: full.Fields}},
		"pages elsewhere": {&Problems{DocsBase: "https://docs.test/"}, full, Problem{Type: "https://docs.test/bad_name", Title: "The request is not valid", Status: 400,
			Detail: "The name is taken.", Code: "bad_name", Fields: full.Fields}},
		"without problems": {nil, full, Problem{Type: DefaultDocsBase + "bad_name", Title: "The request is not valid", Status: 400,
			Detail: "The name is taken.", Code: "bad_name", Fields: full.Fields}},
		"internal": {nil, inner, Problem{Type: DefaultDocsBase + "internal", Title: "Something went wrong", Status: 500,
			Detail: "The request id leads the operator to the cause.", Code: "internal"}},
		"without a code": {nil, gatehouse.E(gatehouse.Denied, "", ""), Problem{Type: DefaultDocsBase + "denied", Title: "Not allowed", Status: 403, Code: "denied"}},
	} {
		c.want.RequestID = "req_1"
		got := c.p.ProblemOf(c.err, "req_1")
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

// answer writes err as the answer to a request with this method.
func answer(t *testing.T, p *Problems, method string, err error, before http.Header) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	for name, lines := range before {
		w.Header()[name] = lines
	}
	r := request("", nil)
	r.Method = method
	p.Write(w, r, err)
	if told := w.Header().Get("Content-Length"); method != "HEAD" && told != strconv.Itoa(w.Body.Len()) || told == "0" {
		t.Errorf("%s: Content-Length %s of %d", method, told, w.Body.Len())
	}
	return w
}

func TestProblemWritten(t *testing.T) {
	// HEAD is told what GET would get, without the body.
	get, head := answer(t, nil, "GET", gatehouse.ErrNotFound, nil), answer(t, nil, "HEAD", gatehouse.ErrNotFound, nil)
	if head.Body.Len() != 0 || head.Code != 404 || get.Body.Len() == 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
		t.Errorf("HEAD: %d %v %q", head.Code, head.Header(), head.Body)
	}
	// A 401 has a challenge: its own, or one that is always true.
	unknown := gatehouse.E(gatehouse.Unauthenticated, "credential_missing", "")
	if got := answer(t, nil, "GET", unknown, nil).Header()["Www-Authenticate"]; len(got) != 1 || !strings.HasPrefix(got[0], "Bearer ") {
		t.Errorf("no challenge was set, and sent is %q", got)
	}
	own := http.Header{"Www-Authenticate": {`Basic realm="x"`}}
	if got := answer(t, nil, "GET", unknown, own).Header()["Www-Authenticate"]; len(got) != 1 || got[0] != `Basic realm="x"` {
		t.Errorf("a challenge was set, and sent is %q", got)
	}
	if got := answer(t, nil, "GET", WithHeader(unknown, own), nil).Header()["Www-Authenticate"]; len(got) != 1 || got[0] != `Basic realm="x"` {
		t.Errorf("the error has a challenge, and sent is %q", got)
	}
	for _, err := range []error{gatehouse.ErrNotFound, gatehouse.E(gatehouse.Denied, "x", ""), gatehouse.ErrInternal} {
		if h := answer(t, nil, "GET", err, nil).Header(); len(h["Www-Authenticate"]) != 0 || len(h["Retry-After"]) != 0 {
			t.Errorf("%v: %v", err, h)
		}
	}
	// Lines of an error replace those of the answer, in any spelling.
	spelled := "x-kept"
	err := WithHeader(gatehouse.ErrNotFound, http.Header{spelled: {"new"}})
	if h := answer(t, nil, "GET", err, http.Header{"X-Kept": {"old"}, "X-Other": {"stays"}}).Header(); h.Get("X-Kept") != "new" || h.Get("X-Other") != "stays" || len(h[spelled]) != 0 {
		t.Errorf("%v", h)
	}
	// Lines about a body that is not sent go, and no cache keeps a refusal.
	before := http.Header{"Cache-Control": {"max-age=60"}, "Content-Type": {"image/png"}, "Content-Length": {"9"}}
	for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Range", "Content-Disposition", "Accept-Ranges", "Etag", "Last-Modified", "Expires", "Trailer"} {
		before[name] = []string{"x"}
	}
	h := answer(t, nil, "GET", gatehouse.ErrNotFound, before).Header()
	if len(h) != 4 || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/problem+json" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", h)
	}
}

// A protocol with a form of its own gets it, and what cannot be written as JSON is still
// an answer.
func TestProblemForm(t *testing.T) {
	p := &Problems{Form: func(p Problem) (string, any) {
		return "application/json", map[string]string{"error": p.Code}
	}}
	if w := answer(t, p, "GET", gatehouse.ErrNotFound, nil); w.Body.String() != `{"error":"not_found"}` || w.Header().Get("Content-Type") != "application/json" || w.Code != 404 {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	p.Form = func(Problem) (string, any) { return "application/json", func() {} }
	var got Problem
	if w := answer(t, p, "GET", gatehouse.ErrNotFound, nil); json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Code != "internal" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The log has the error, its own code and the request that it belongs to, once.
func TestProblemLogged(t *testing.T) {
	p, log := loudly()
	r := request("", nil)
	r = r.WithContext(gatehouse.WithRequestID(r.Context(), "req_1"))
	p.Write(httptest.NewRecorder(), r, gatehouse.E(gatehouse.Internal, "store_broken", "").With(errors.New("disk on fire")))
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "req_1") || !strings.Contains(got, "store_broken") || !strings.Contains(got, "disk on fire") {
		t.Errorf("logged: %s", got)
	}
	log.Reset()
	p.Write(httptest.NewRecorder(), r, gatehouse.E(gatehouse.Unavailable, "x", ""))
	if log.Len() != 0 {
		t.Errorf("logged, and is no error of ours: %s", log)
	}
}

func TestRetryAfterIsNeverTooEarly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "1", 0: "1", 1: "1", time.Second - 1: "1", time.Second: "1", time.Second + 1: "2", 2 * time.Second: "2",
		2*time.Second + 1: "3", time.Minute: "60", time.Hour - 1: "3600",
	} {
		if got := RetryAfter(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	// An error that says no time has no line.
	e := gatehouse.E(gatehouse.RateLimited, "rate_limited", "")
	if got := answer(t, nil, "GET", e, nil).Header()["Retry-After"]; got != nil {
		t.Errorf("no time was said, and sent is %q", got)
	}
	e.RetryAfter = time.Nanosecond
	if got := answer(t, nil, "GET", e, nil).Header().Get("Retry-After"); got != "1" {
		t.Errorf("sent is %q", got)
	}
}
