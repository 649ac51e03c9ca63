package web

import (
	"strings"
	"testing"
)

func TestCheckBaseURL(t *testing.T) {
	for _, s := range []string{"http://a", "https://a", "http://a.example/b", "https://a/b/c", "http://127.0.0.1:3000", "http://[::1]:3000", "http://[::1]",
		"http://a:1", "http://a:65535", "http://a:0", "HTTP://a", "http://a/b%20c"} {
		if err := CheckBaseURL(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	const (
		absolute = "absolute http:// or https:// URL"
		bare     = "no query, fragment or user name"
		slash    = "no trailing slash"
		port     = "a port from 1 to 65535"
	)
	for s, want := range map[string]string{
		"":                        "needed",
		"a":                       absolute,
		"a.example/b":             absolute,
		"//a":                     absolute,
		"/a":                      absolute,
		"ftp://a":                 absolute,
		"http:a":                  absolute,
		"http://":                 absolute,
		"http:///b":               absolute,
		"https://:443":            absolute,
		"http://a b":              absolute,
		"http://%zz":              absolute,
		"http://a:port":           "the port is a number",
		"http://secret@a":         bare,
		"http://user:secret@a":    bare,
		"http://a?":               bare,
		"http://a?secret=1":       bare,
		"http://a/b?secret=1":     bare,
		"http://a#":               bare,
		"http://a#secret":         bare,
		"http://a/b#":             bare,
		"http://a/":               slash,
		"http://a/b/":             slash,
		"http://a:":               "no colon without a port",
		"http://[::1]:":           "no colon without a port",
		"http://a:65536":          port,
		"http://a:99999999999999": port,
		"http://a:080":            port,
		"http://a:00":             port,
	} {
		err := CheckBaseURL(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", s, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the URL: %v", err)
		}
	}
}
