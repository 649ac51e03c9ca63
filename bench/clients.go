package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
)

// clientForm is what a client asks for a token for itself with.
const clientForm = "grant_type=client_credentials"

// tokenFloor is what a token for a client costs at least: the request is parsed, the secret hashed, the token signed
// (or a random one made and hashed), the answer written. Nothing is looked up, stored or recorded.
func tokenFloor(opaque bool) (http.Handler, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	want := sha256.Sum256([]byte("secret"))
	b64 := base64.RawURLEncoding
	header := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"1","typ":"at+jwt"}`))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		body, err := io.ReadAll(io.LimitReader(r.Body, 16<<10))
		form, err2 := url.ParseQuery(string(body))
		got := sha256.Sum256([]byte(secret))
		if err != nil || err2 != nil || form.Get("grant_type") == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		text := rand.Text() + rand.Text()
		if opaque {
			_ = sha256.Sum256([]byte(text))
		} else {
			now := time.Now()
			claims, _ := json.Marshal(map[string]any{"iss": "http://127.0.0.1", "aud": "http://127.0.0.1", "sub": "cli_1", "client_id": "cli_1", "jti": text, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()})
			input := header + "." + b64.EncodeToString(claims)
			sum := sha256.Sum256([]byte(input))
			rr, ss, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				http.Error(w, "no", http.StatusInternalServerError)
				return
			}
			var sig [64]byte
			rr.FillBytes(sig[:32])
			ss.FillBytes(sig[32:])
			text = input + "." + b64.EncodeToString(sig[:])
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": 60})
	}), nil
}

// clientCases are tokens for registered clients, on durable SQLite with the record on, signed and opaque: each in a realm of its own.
func (b *testbed) clientCases(ctx context.Context) ([]*benchCase, error) {
	api, err := client.New(b.demo.Issuer, gatehouse.Secret(b.demo.AdminToken))
	if err != nil {
		return nil, err
	}
	var cases []*benchCase
	for _, form := range []string{"signed", "opaque"} {
		name, floor := "client-"+form, "client-"+form+"-floor"
		if !b.wants(name) && !b.wants(floor) {
			continue
		}
		p, err := b.role(ctx, floor, "")
		if err != nil {
			return nil, err
		}
		if err := api.Do(ctx, "POST", "/realms", map[string]any{"name": name, "settings": map[string]any{"token_format": form}}, nil); err != nil {
			return nil, err
		}
		var made struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		body := map[string]any{"client_name": "bench", "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}}
		if err := api.Do(ctx, "POST", "/realms/"+name+"/clients", body, &made); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ask := func(address, path, id, secret string) func(int) *http.Request {
			next := send("POST", address, path, clientForm, "Content-Type", "application/x-www-form-urlencoded")
			return func(i int) *http.Request {
				r := next(i)
				r.SetBasicAuth(id, secret)
				return r
			}
		}
		cases = append(cases,
			&benchCase{name: floor, title: "T: parse, hash, " + map[string]string{"signed": "sign (ES256)", "opaque": "random"}[form] + ", JSON", kind: kindFloor, parts: []part{{"net/http", p}},
				want: http.StatusOK, next: ask(p.line, "/token", "cli_1", "secret"), unflattering: true},
			&benchCase{name: name, title: "Gatehouse, POST /token of a client, " + form + ", SQLite", kind: kindOurs, parts: []part{{"gatehouse", b.gh}},
				want: http.StatusOK, next: ask(b.demo.Issuer, "/realms/"+name+"/token", made.ID, made.Secret), floor: floor, mustMicros: map[string]float64{"signed": 160, "opaque": 110}[form], unflattering: true})
	}
	return cases, nil
}
