package web

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// target reads a request target as net/http does.
func target(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return u
}

func TestAmbiguousURL(t *testing.T) {
	for _, s := range []string{
		"/", "/a", "/a/", "/a/b", "/.a", "/..a", "/...", "/a.", "/a..", "/a./b", "/a../b", "/a.b", "/a/.b/..c", "/~a", "/a:b@c", "/a,b",
		"/a%20b", "/a+b", "/a!b", "/%C3%BC", "/a%7Eb", "/a%25", "/a%25b", "/100%25/x", "/a%254", "/a%25%34x",
		"/a%254g", "/a%25g4", "/a%25%2B1",
		"/a?", "/a?b=c&d=/../x;y//z\\%2f%00%", "/a?!", "/a?~", "/a?b=\xc3\xbc", "/a?b=\xff",
	} {
		if AmbiguousURL(target(t, s), false) || AmbiguousURL(target(t, s), true) {
			t.Errorf("%q is taken for ambiguous", s)
		}
	}
	for s, why := range map[string]string{
		"//a":          "an empty segment, or a host",
		"/a//b":        "a doubled slash",
		"/a//":         "a doubled slash at the end",
		"/.":           "a dot segment",
		"/..":          "a dot segment",
		"/./":          "a dot segment",
		"/../":         "a dot segment",
		"/a/.":         "a dot segment at the end",
		"/a/..":        "a dot segment at the end",
		"/a/./b":       "a dot segment",
		"/a/../b":      "a dot segment",
		"/a/%2e/b":     "an encoded dot segment",
		"/a/%2E%2e/b":  "an encoded dot segment",
		"/a/.%2e/b":    "a dot segment, half encoded",
		"/a%2eb":       "a dot has no reason to be encoded",
		"/a;b":         "a path parameter",
		"/a;/b":        "a path parameter",
		"/a;":          "a path parameter",
		"/a%3bb":       "an encoded path parameter",
		"/a%3Bb":       "an encoded path parameter",
		"/a\\b":        "a backslash",
		"/a%5cb":       "an encoded backslash",
		"/a%5Cb":       "an encoded backslash",
		"/a%00":        "NUL",
		"/a%01b":       "a control character",
		"/a%0ab":       "a line feed",
		"/a%0Db":       "a carriage return",
		"/a%1fb":       "the last of the control characters below the space",
		"/a%1Fb":       "the same",
		"/a%7fb":       "DEL",
		"/a%3fb":       "an encoded question mark",
		"/a%3Fb":       "an encoded question mark",
		"/a%23b":       "an encoded number sign",
		"/%ff":         "no UTF-8",
		"/%c3":         "half a character",
		"/a%2541":      "encoded twice",
		"/a%252fb":     "a slash that is encoded twice",
		"/%252e%252e/": "dots that are encoded twice",
		"/a%25%34%31":  "encoded twice, in another spelling",
		"/a%25Ffx":     "encoded twice, with the last of the digits",
		"/a%2500":      "NUL that is encoded twice",
	} {
		if !AmbiguousURL(target(t, s), false) || !AmbiguousURL(target(t, s), true) {
			t.Errorf("%q passes: %s", s, why)
		}
	}
	// What no request line of HTTP/1.1 can carry, and HTTP/2 or a program can.
	for why, u := range map[string]*url.URL{
		"no path":                    {},
		"no path, a query":           {RawQuery: "a=b"},
		"not from the root":          {Path: "a/b"},
		"the server itself":          {Path: "*"},
		"another target than a path": {Opaque: "//other/x", Path: "/a"},
		"a space in the query":       {Path: "/a", RawQuery: "b= c"},
		"a line in the query":        {Path: "/a", RawQuery: "b\r\nc"},
		"NUL in the query":           {Path: "/a", RawQuery: "b\x00"},
		"DEL in the query":           {Path: "/a", RawQuery: "b\x7f"},
		"a control character":        {Path: "/a\x01"},
		"DEL":                        {Path: "/a\x7fb"},
		"a backslash":                {Path: `/a\b`},
		"a raw path of its own":      {Path: "/a", RawPath: "/%"},
		"half an escape, decoded":    {Path: "/a%41"},
	} {
		// A raw path that is not this path's is not looked at, here nor where it is sent.
		if want := why != "a raw path of its own"; AmbiguousURL(u, false) != want || AmbiguousURL(u, true) != want {
			t.Errorf("%s: want %v", why, want)
		}
	}
}

// An encoded slash is let through where it was asked for, and what stands between two
// slashes of any kind is a segment there.
func TestAmbiguousURLWithEncodedSlashes(t *testing.T) {
	for _, s := range []string{"/a%2fb", "/a%2Fb", "/%2f", "/a%2f", "/a%2Fb%2fc", "/a%2f.b", "/a%2f%2fb", "/https:%2F%2Fhost/x"} {
		if !AmbiguousURL(target(t, s), false) {
			t.Errorf("%q passes where nobody asked for encoded slashes", s)
		}
		if AmbiguousURL(target(t, s), true) {
			t.Errorf("%q is refused where encoded slashes were asked for", s)
		}
	}
	for _, s := range []string{"/a%2f..", "/a%2F../b", "/a%2f.", "/a/..%2fb", "/a/.%2Fb", "/..%2f", "/a%2f%2e%2e", "/a%2fb;c", "/a%2fb%5c", "/a%2fb%00",
		"/a%2fb//c", "/a%2f%252e", "/a%252fb"} {
		if !AmbiguousURL(target(t, s), true) {
			t.Errorf("%q passes where encoded slashes were asked for", s)
		}
	}
}

func TestEncodesSlash(t *testing.T) {
	for s, want := range map[string]bool{"/a%2fb": true, "/a%2Fb": true, "%2f": true, "/a%2f": true, "/%2e%2f": true, "/%%2f": true,
		"": false, "/": false, "/a/b": false, "/%2": false, "/%": false, "/%2e": false, "/%3f": false, "/2f": false, "/a%25": false, "/%2\x06": false, "/%2&": false} {
		if got := EncodesSlash(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// Two digits are read as the standard library reads them, for all pairs of bytes.
func TestUnhex(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			text := string([]byte{byte(a), byte(b)})
			want, err := strconv.ParseUint(text, 16, 8)
			if strings.ContainsAny(text, "_+-") {
				err = strconv.ErrSyntax
			}
			got, ok := unhex(byte(a), byte(b))
			if ok != (err == nil) || ok && uint64(got) != want {
				t.Fatalf("%q: %#x %v, want %#x (%v)", text, got, ok, want, err)
			}
		}
	}
}
