package authorize

import (
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestFrames: the pages of those clients of a session that have one, with issuer and session, and their origins for the content policy.
func TestFrames(t *testing.T) {
	b, s := newBooks(t)
	for id, uri := range map[string]string{"framed": "https://app.example/out", "other": "https://other.example:8443/out?of=a&b", "off": "https://off.example/out"} {
		c := client.Client{Realm: "main", ID: id, Disabled: id == "off"}
		c.Metadata.FrontchannelURI = uri
		b.clients["main "+id] = c
	}
	const about = "iss=https%3A%2F%2Fid.example&sid=ses_1"
	f, err := s.Frames(t.Context(), "main", "ses_1")
	if err != nil || !slices.Equal(f.URLs, []string{"https://app.example/out?" + about, "https://other.example:8443/out?of=a&b&" + about}) || f.Origins != "https://app.example https://other.example:8443" {
		t.Errorf("%+v %v", f, err)
	}
	if f, err := s.Frames(t.Context(), "main", "ses_2"); err != nil || len(f.URLs) != 0 || f.Origins != "" {
		t.Errorf("%+v %v", f, err)
	}
}
