package client

import "testing"

// TestLogoutURIs: where the server calls, and what browsers load in a page of ours, is judged when it is registered.
func TestLogoutURIs(t *testing.T) {
	for uri, good := range map[string]bool{"https://app.example/out?a=b": true, "http://127.0.0.1:8080/out": true, "http://app.example/out": false, "https://app.example:8443/out": false, "https://evil.example/out": false,
		"https://app.example/out#x": false, "https://app.example/out?iss=x": false, "com.example.app:/out": false, "https://u@app.example/out": false, "https://app.example;script-src/": false, "javascript:alert(1)": false} {
		m := Metadata{Flow: Flow{RedirectURIs: []string{"https://app.example/back", "http://127.0.0.1:8080/back", "com.example.app:/back"}}}
		m.FrontchannelURI = uri
		wrong := ""
		m.checkLogout(func(_, text string) { wrong = text })
		if (wrong == "") != good {
			t.Errorf("%s: %q", uri, wrong)
		}
	}
	for uri, private := range map[string]map[bool]bool{"https://app.example/out": {false: true, true: true}, "http://127.0.0.1/out": {false: false, true: true}, "ftp://app.example": {true: false}, "https://app.example/#x": {false: false}, "/out": {false: false}} {
		for private, good := range private {
			m := Metadata{AllowPrivateAddress: private}
			m.BackchannelURI = uri
			wrong := ""
			m.checkLogout(func(_, text string) { wrong = text })
			if (wrong == "") != good {
				t.Errorf("%s, %v: %q", uri, private, wrong)
			}
		}
	}
}
