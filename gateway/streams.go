package gateway

import (
	"mime"
	"net/http"
	"strings"
)

// streamTypes are media types of answers that have no natural end: they may be
// silent for long and go on for as long as the caller listens.
var streamTypes = map[string]bool{
	"text/event-stream": true,
	// One JSON value after the other, under the names that are in use.
	"application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true, "application/x-jsonl": true,
	"application/jsonlines": true, "application/x-jsonlines": true, "application/json-seq": true, "application/stream+json": true,
	"application/x-json-stream": true, "application/json-stream": true, "text/x-ndjson": true, "application/geo+json-seq": true,
	// One picture or part after the other.
	"multipart/x-mixed-replace": true,
	"application/grpc":          true, "application/grpc-web": true, "application/grpc-web-text": true,
}

// streamPrefixes are of types with a suffix for the encoding of what they carry.
var streamPrefixes = [...]string{"application/grpc+", "application/grpc-web+", "application/grpc-web-text+", "application/connect+"}

// streams tells answers that have no natural end: by their type, or by a parameter
// that says so (Kubernetes answers a watch with "application/json;stream=watch").
func (g *Gateway) streams(h http.Header) bool {
	v := h.Get("Content-Type")
	if v == "application/json" && len(g.streamTypes) == 0 {
		return false // nearly always; the parser allocates
	}
	t, params, _ := mime.ParseMediaType(v)
	if streamTypes[t] || g.streamTypes[t] || params["stream"] != "" {
		return true
	}
	for _, p := range streamPrefixes {
		if strings.HasPrefix(t, p) {
			return true
		}
	}
	return false
}
