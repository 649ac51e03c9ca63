package authn

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

func subprotocolReader(t *testing.T, name string) *Reader {
	t.Helper()
	rd, err := NewReader(ReaderConfig{Subprotocol: name})
	if err != nil {
		t.Fatal(err)
	}
	return rd
}

// TestReadSubprotocol: a WebSocket's list carries at most one credential, after the name
// that the route chose and a dot, in any of its lines; it is read as after "Bearer".
func TestReadSubprotocol(t *testing.T) {
	key, access := mint("ghk"), mint("ght")
	const name = "gatehouse.bearer"
	for _, tt := range []struct {
		lines  []string
		more   string // Authorization
		scheme gatehouse.Scheme
		code   string
	}{
		{nil, "", "", ""},
		{[]string{""}, "", "", ""},
		{[]string{"chat, soap"}, "", "", ""},
		{[]string{name}, "", "", ""},                      // the bare name carries nothing
		{[]string{name + "_" + key}, "", "", ""},          // of another name
		{[]string{"x" + name + "." + key}, "", "", ""},    // of another name
		{[]string{"gatehouse.bear.x." + key}, "", "", ""}, // of another name
		{[]string{name + "." + key}, "", "api_key", ""},
		{[]string{"Gatehouse.BEARER." + key}, "", "api_key", ""},
		{[]string{"chat,\t" + name + "." + access + " ,soap"}, "", "opaque", ""},
		{[]string{"chat", name + "." + sampleJWT}, "", "jwt", ""},
		{[]string{name + "." + key + "," + name + "." + key}, "", "", "credentials_conflict"},
		{[]string{name + "." + key, name + "."}, "", "", "credentials_conflict"},
		{[]string{name + "."}, "", "", "token_unrecognized"},
		{[]string{name + ".abc"}, "", "", "token_unrecognized"},
		{[]string{name + ".a b"}, "", "", "token_unrecognized"}, // not "authorization_malformed": that line is fine
		{[]string{name + "." + flip(key)}, "", "api_key", "key_checksum"},
		{[]string{name + "." + mint("ghr")}, "", "", "refresh_token_presented"},
		{[]string{name + "." + strings.Repeat("a", MaxTokenBytes)}, "", "", "token_unrecognized"},
		{[]string{name + "." + strings.Repeat("a", MaxTokenBytes+1)}, "", "", "token_too_large"},
		{[]string{name + "." + key}, "Bearer " + key, "api_key", "credentials_conflict"},
		{[]string{name + ".abc"}, "Bearer " + key, "", "credentials_conflict"},
		{[]string{name}, "Bearer " + key, "api_key", ""},
	} {
		r, _ := http.NewRequest("GET", "/live", nil)
		r.Header["Sec-Websocket-Protocol"] = tt.lines
		if tt.more != "" {
			r.Header["Authorization"] = []string{tt.more}
		}
		p, err := subprotocolReader(t, name).Read(r, true)
		if p.Scheme != tt.scheme || tt.code == "" && err != nil || tt.code != "" && gatehouse.CodeOf(err) != tt.code {
			t.Errorf("%.60q: scheme %q, %v; want %q, %q", tt.lines, p.Scheme, err, tt.scheme, tt.code)
		}
		if !p.None() && tt.more == "" && p.By != BySubprotocol {
			t.Errorf("%.60q: it stood in %d", tt.lines, p.By)
		}
		if err != nil && p.Secret != "" {
			t.Errorf("%.60q: a refused credential was handed on", tt.lines)
		}
		if q, err := standard.Read(r, true); tt.more == "" && (!q.None() || err != nil) {
			t.Errorf("%.60q: read where no route says so: %+v, %v", tt.lines, q, err)
		}
	}
}

// TestTakeSubprotocol: the API sees the rest of the list and nothing of ours, in a header
// that others do not share; and the client is answered something that it offered.
func TestTakeSubprotocol(t *testing.T) {
	const name, cred = "gatehouse.bearer", "gatehouse.bearer.abc"
	for _, tt := range []struct {
		lines, left []string
		answer      string
	}{
		{nil, nil, ""},
		{[]string{"chat"}, []string{"chat"}, ""},
		{[]string{"chat, soap", "x"}, []string{"chat, soap, x"}, ""},
		{[]string{"chat", cred}, []string{"chat"}, ""},
		{[]string{cred}, nil, cred},
		{[]string{name}, nil, name},
		{[]string{name, cred}, nil, name},
		{[]string{cred + ", " + name + ",chat"}, []string{"chat"}, name},
		{[]string{"GateHouse.Bearer.abc"}, nil, "GateHouse.Bearer.abc"},
		{[]string{"GateHouse.Bearer"}, []string{"GateHouse.Bearer"}, ""}, // selected names are compared letter for letter
		{[]string{","}, nil, ""},
	} {
		r, _ := http.NewRequest("GET", "/live", nil)
		r.Header = http.Header{"Other": {"x"}}
		if tt.lines != nil {
			r.Header[fieldSubprotocol] = slices.Clone(tt.lines)
		}
		shared := r.Header
		if got := subprotocolReader(t, name).TakeSubprotocol(r); got != tt.answer {
			t.Errorf("%q: answered %q, want %q", tt.lines, got, tt.answer)
		}
		if _, there := r.Header[fieldSubprotocol]; !slices.Equal(r.Header[fieldSubprotocol], tt.left) || there != (tt.left != nil) {
			t.Errorf("%q: the API sees %q, want %q", tt.lines, r.Header[fieldSubprotocol], tt.left)
		}
		if r.Header.Get("Other") != "x" || !slices.Equal(shared[fieldSubprotocol], tt.lines) {
			t.Errorf("%q: a header that others hold became %v", tt.lines, shared)
		}
		for what, rd := range map[string]*Reader{"no reader": nil, "no name": standard} {
			r.Header = http.Header{fieldSubprotocol: {".abc", ""}}
			if got := rd.TakeSubprotocol(r); got != "" || !slices.Equal(r.Header[fieldSubprotocol], []string{".abc", ""}) {
				t.Errorf("%s: %q, %v", what, got, r.Header)
			}
		}
	}
}
