package web_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// TestExactOrigins: what browsers send for an origin, letter for letter, and which
// origin somebody meant who wrote it otherwise ("" where there is none).
func TestExactOrigins(t *testing.T) {
	for in, meant := range map[string]string{
		"https://az09.example": "https://az09.example", "http://a-b_c.d": "http://a-b_c.d", "https://z": "https://z", "https://a": "https://a", "http://0": "http://0", "http://9": "http://9",
		"https://app.example:1": "https://app.example:1", "https://app.example:65535": "https://app.example:65535",
		"https://app.example:80": "https://app.example:80", "http://app.example:443": "http://app.example:443", // not their own ports
		"http://[2001:db8::1]": "http://[2001:db8::1]", "https://[2001:DB8::1]:443": "https://[2001:db8::1]",
		"https://.example": "", "https://a!b.example": "", "https://a.example:x": "", "https://a.example:-1": "",
		"http://[fe80::1%25eth0]": "", "http://[fe80::1%2525eth0]": "", "http://[v1.x]": "", "http://u:p@a.example": "", "https:/a.example": "", "https:a.example": "", "https:///": "",
		"ws://app.example": "", "file:///etc": "", "://": "",
	} {
		got, ok := web.Origin(in)
		if got != meant || ok != (meant == in) {
			t.Errorf("%s: %q, %v, want %q", in, got, ok, meant)
		}
	}
}
