package token_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/gatehouse-auth/gatehouse/token"
)

// deviations are the vectors whose label we do not follow, with the reason. A
// vector listed here that stops deviating fails the test, so the table stays true.
var deviations = map[string]map[int]string{
	"json_web_signature_test.json": {
		346: "the key says PS256 and the header PS384; a key is for one algorithm",
		350: "the key says PS256 and the header PS384; a key is for one algorithm",
		347: "the key says ES521, which is no algorithm",
		351: "the key says ES521, which is no algorithm",
		367: "octet for octet the valid vector 357, yet labelled invalid",
		370: "octet for octet the valid vector 357, yet labelled invalid",
		372: "a question mark in the header is not base64url, yet labelled valid",
		373: "a question mark in the payload is not base64url, yet labelled valid",
	},
	"json_web_key_test.json":    {},
	"json_web_crypto_test.json": {},
}

type vectorFile struct {
	TestGroups []struct {
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID     int             `json:"tcId"`
			JWS    json.RawMessage `json:"jws"` // nil: an encrypted token, which is not ours to read
			Result string          `json:"result"`
			Note   string          `json:"comment"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func TestWycheproof(t *testing.T) {
	for name, want := range map[string]int{"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 25} {
		t.Run(name, func(t *testing.T) {
			raw, err := fs.ReadFile(wycheproof.TestVectors, name)
			if err != nil {
				t.Fatal(err)
			}
			var file vectorFile
			if err := json.Unmarshal(raw, &file); err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, g := range file.TestGroups {
				// A verifier holds the public half where there is one.
				key := g.Public
				if key == nil {
					key = g.Private
				}
				member := "jwk"
				var probe struct{ Keys json.RawMessage }
				if json.Unmarshal(key, &probe) == nil && probe.Keys != nil {
					member = "jwks"
				}
				for _, c := range g.Tests {
					if c.JWS == nil {
						continue
					}
					seen++
					line := fmt.Appendf(nil, `{%q:%s,"jws":%s}`, member, key, c.JWS)
					valid, reason := token.VerifyVector(line)
					why, listed := deviations[name][c.ID]
					switch agrees := valid == (c.Result == "valid"); {
					case agrees && listed:
						t.Errorf("tc%d (%s) is listed as a deviation (%s) but agrees", c.ID, c.Note, why)
					case !agrees && !listed:
						t.Errorf("tc%d (%s): valid=%v (%s), labelled %s", c.ID, c.Note, valid, reason, c.Result)
					}
					if valid == (reason != "") {
						t.Errorf("tc%d: valid=%v with reason %q", c.ID, valid, reason)
					}
				}
			}
			if seen < want {
				t.Errorf("ran %d vectors, want at least %d", seen, want)
			}
		})
	}
}
