package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // look/tokens.css, look/pages.css, look/mark.svg, look/passkey.js, look/answer.js
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

//go:embed look/tokens.css
var tokens string // read-only

//go:embed look/pages.css
var parts string // read-only

// Tokens are the colours, sizes and letters of the pages as CSS, for a page elsewhere that looks like them.
func Tokens() string { return tokens }

//go:embed look/mark.svg
var mark []byte // read-only

//go:embed look/passkey.js
var passkeyScript []byte // read-only

//go:embed look/answer.js
var answerScript []byte // read-only

// look is what pages load: files whose names hold the hash of what is in them, so that
// browsers may keep them for ever.
type look struct {
	css, icon string // their paths
	passkey   string
	answer    string // the script that posts an answer to a client
	files     map[string]http.Handler
}

func newLook() (*look, error) {
	l := &look{files: map[string]http.Handler{}}
	add := func(name, ext, contentType string, content []byte) (string, error) {
		sum := sha256.Sum256(content)
		path := "/ui/" + name + "." + hex.EncodeToString(sum[:8]) + ext
		var small bytes.Buffer
		z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			return "", err
		}
		if _, err := z.Write(content); err != nil {
			return "", err
		}
		if err := z.Close(); err != nil {
			return "", err
		}
		l.files[path] = asset{contentType, content, small.Bytes()}
		return path, nil
	}
	var err error
	if l.css, err = add("pages", ".css", "text/css; charset=utf-8", []byte(tokens+parts)); err != nil {
		return nil, err
	}
	if l.icon, err = add("mark", ".svg", "image/svg+xml", mark); err != nil {
		return nil, err
	}
	if l.answer, err = add("answer", ".js", "text/javascript; charset=utf-8", answerScript); err != nil {
		return nil, err
	}
	l.passkey, err = add("passkey", ".js", "text/javascript; charset=utf-8", passkeyScript)
	return l, err
}

// registerLook adds what pages load to mux.
func (h *Handler) registerLook(mux *http.ServeMux) {
	for path, f := range h.look.files {
		mux.Handle("GET "+path, f)
	}
	mux.Handle("GET "+pathTheme+"{realm}/{file}", h.c.Problems.Handler(h.serveTheme))
}

// asset is a file, plain and compressed.
type asset struct {
	contentType  string
	plain, small []byte
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, body := w.Header(), a.plain
	h["Content-Type"] = []string{a.contentType}
	h["Cache-Control"] = []string{"public, max-age=31536000, immutable"}
	h["Vary"] = []string{"Accept-Encoding"}
	if takesGzip(r) {
		h["Content-Encoding"], body = []string{"gzip"}, a.small
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; nothing is left to do
	}
}

// takesGzip reports whether r asks for gzip by name, and not with weight 0.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return !strings.HasPrefix(strings.ReplaceAll(params, " ", ""), "q=0") || strings.Trim(params, " q=0.") != ""
		}
	}
	return false
}
