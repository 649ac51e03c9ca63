package gateway

import (
	"errors"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// Options are the bounds of a Gateway and what it adds to or takes from every
// exchange. The zero value has the defaults that the tags name. They are also the
// keys of `gateway` in gatehouse.yaml (see server/config).
type Options struct {
	IdleTimeout     time.Duration     `json:"idle_timeout,omitempty" minimum:"0s" default:"60s" reload:"live" doc:"How long an exchange may stand still: the wait for the API's answer, and each pause in what comes from the caller or the API. What flows is not cut by it; streams are excepted."`
	Timeout         time.Duration     `json:"timeout,omitempty" minimum:"0s" reload:"live" doc:"Bound of a whole exchange, whether it flows or not, streams excepted; none when empty."`
	MaxBodyBytes    int64             `json:"max_body_bytes,omitempty" minimum:"1" default:"10485760" reload:"live" doc:"Bytes of a request's body."`
	MaxHeaderBytes  int               `json:"max_header_bytes,omitempty" minimum:"1" maximum:"65536" default:"32768" reload:"live" doc:"Bytes of a request's header."`
	MaxHeaderLines  int               `json:"max_header_lines,omitempty" minimum:"1" maximum:"1000" default:"100" reload:"live" doc:"Lines of a request's header."`
	MaxListBytes    int64             `json:"max_list_bytes,omitempty" minimum:"1" default:"8388608" reload:"live" doc:"Bytes of an answer whose list is filtered."`
	StreamLifetime  time.Duration     `json:"stream_lifetime,omitempty" minimum:"0s" default:"1h" reload:"live" doc:"Longest life of a WebSocket or other stream."`
	StreamCheck     time.Duration     `json:"stream_check,omitempty" minimum:"0s" default:"5s" reload:"live" doc:"How often what is still open is judged again."`
	StreamTypes     []string          `json:"stream_types,omitempty" reload:"live" doc:"Media types of answers without a natural end, beside those that are known as such (server-sent events, gRPC, JSON lines and the like): application/vnd.log."`
	StripHeaders    []string          `json:"strip_headers,omitempty" reload:"live" doc:"Further request headers that callers may not set, in any spelling."`
	Origins         []string          `json:"origins,omitempty" reload:"live" doc:"Origins under which browsers reach the gateway: 'https://app.example'. People who sign in are sent back to these and to no others; routes that accept sessions need one."`
	ResponseHeaders map[string]string `json:"response_headers,omitempty" reload:"live" doc:"Set on forwarded answers that lack them, header: value."`
}

// Validate returns everything that is wrong with o.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, v := range o.bounds() {
		if v.Int() < 0 {
			bad("%s: must not be negative", name)
		}
	}
	for _, t := range o.StreamTypes {
		if mediaType, _, err := mime.ParseMediaType(t); err != nil || !strings.Contains(mediaType, "/") {
			bad("stream_types: %q is no media type such as application/vnd.log", t)
		}
	}
	if err := checkOrigins(o.Origins); err != nil {
		bad("origins: %w", err)
	}
	for _, name := range o.StripHeaders {
		if !headerName.MatchString(name) || neededHeader(name) {
			bad("strip_headers: %q cannot be stripped", name)
		}
	}
	for name, value := range o.ResponseHeaders {
		if !headerName.MatchString(name) || hopByHop(http.CanonicalHeaderKey(name)) || reservedAnswerHeader(name) {
			bad("response_headers: %q cannot be set", name)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			bad("response_headers: the value of %q holds a character that a header line cannot have", name)
		}
	}
	return errors.Join(errs...)
}

// neededHeader reports request headers without which a request is not the same.
func neededHeader(name string) bool {
	switch normalName(name) {
	case "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer":
		return true
	}
	return false
}

// reservedAnswerHeader reports answer headers that frame the answer, or that we set.
func reservedAnswerHeader(name string) bool {
	n := normalName(name)
	return n == "content-length" || n == "content-encoding" || n == "x-request-id" || n == "date" || strings.HasPrefix(n, "access-control-")
}

// bounds are the numbers and durations of o by their key, with the default of each.
func (o *Options) bounds() iter.Seq2[string, bound] {
	return func(yield func(string, bound) bool) {
		v := reflect.ValueOf(o).Elem()
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if v.Field(i).CanInt() && !yield(name, bound{v.Field(i), f.Tag.Get("default")}) {
				return
			}
		}
	}
}

type bound struct {
	reflect.Value
	byDefault string
}

// fillDefaults gives every bound that is 0 the default of its tag.
func (o *Options) fillDefaults() error {
	for name, b := range o.bounds() {
		if b.Int() != 0 || b.byDefault == "" {
			continue
		}
		n, err := strconv.ParseInt(b.byDefault, 10, 64)
		if _, ok := b.Interface().(time.Duration); ok {
			var d time.Duration
			d, err = duration.Parse(b.byDefault)
			n = int64(d)
		}
		if err != nil {
			return fmt.Errorf("gateway: default of %s: %w", name, err)
		}
		b.SetInt(n)
	}
	return nil
}

// answerLines are the lines that all answers share: adding to one of the lists makes
// another, so that no answer writes into what the next one reads.
func (o *Options) answerLines() http.Header {
	out := make(http.Header, len(o.ResponseHeaders))
	for name, value := range o.ResponseHeaders {
		out[http.CanonicalHeaderKey(name)] = []string{value}
	}
	return out
}
