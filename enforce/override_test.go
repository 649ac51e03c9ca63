package enforce

import (
	"net/http"
	"testing"
)

// TestOverridesUnescape: the name of a query parameter is decoded as the most lenient
// frameworks do, at each digit's boundary.
func TestOverridesUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a+b": "a b", "a%2Bb": "a+b", "%4a%4A": "JJ", "%5f": "_", "%5F": "_", "%af%fA": "\xaf\xfa", "%09%90": "\t\x90",
		"%": "%", "%4": "%4", "a%4": "a%4", "%41": "A", "%4g": "%4g", "%g4": "%g4", "%%41": "%A", "%/0": "%/0", "%0:": "%0:", "%@1": "%@1", "%1`": "%1`", "%G1": "%G1",
		"%1G": "%1G", "%41%": "A%", "%4142": "A42", "+": " ",
	} {
		if got := unescapeName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestOverrideNames: each name from which some framework takes the method, in each
// spelling that one of them folds into it, and what is near to it but none.
func TestOverrideNames(t *testing.T) {
	for _, name := range []string{"_method", "_METHOD", "  _method", ".method", "-method", "_method[0]", "_method\x00x",
		"x_http_method", "X-Http-Method", "x.http method", "x_method_override", "X-Method.Override", "x_http_method_override", "X-HTTP-Method-Override[]"} {
		if !namesMethodOverride(name) {
			t.Errorf("%q is taken for another name", name)
		}
	}
	for _, name := range []string{"", "method", "__method", "_methods", "_metho", "x_http_methods", "xx_http_method", "x_method_overrid", "x_http_method_overridee",
		"\x00_method", "[_method", "_m[ethod", "_meth\x00d", "xmethod_override", "x_http_other_"} {
		if namesMethodOverride(name) {
			t.Errorf("%q is refused", name)
		}
	}
	// A header line and a query parameter are named for the record, and nothing else of them.
	for want, r := range map[string]*http.Request{
		"":                                     request("POST", "/x?a=1&b&c=_method", "", "X-Custom-Method-Override-Me", "a", "X-Http-Metho", "b", "X-Other-Header-Of-Size22", "c"),
		"by the header line X-Method-Override": request("POST", "/x", "", "X-Method-Override", "PUT"),
		"by the query parameter %5Fmethod":     request("POST", "/x?a=1;%5Fmethod=PUT", ""),
	} {
		if got := overridesMethod(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
