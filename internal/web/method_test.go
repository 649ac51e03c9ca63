package web

import (
	"strings"
	"testing"
)

func TestServableMethod(t *testing.T) {
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH", "A", "Z", "-",
		"UPDATEREDIRECTREF", strings.Repeat("A", 32), "TRACER", "CONNECTED"} {
		if !ServableMethod(m) {
			t.Errorf("%s is refused", m)
		}
	}
	for _, m := range []string{"", "TRACE", "CONNECT", strings.Repeat("A", 33), "get", "Get", "GEt", "gET", "GET1", "GET ", " GET",
		"G@T", "G[T", "G`T", "GET\x00", "GET,POST", "G_T", "GÉT", "G.T", "G,T"} {
		if ServableMethod(m) {
			t.Errorf("%q passes", m)
		}
	}
}
