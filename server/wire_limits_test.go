package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/counters"
	"github.com/gatehouse-auth/gatehouse/internal/testredis"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestLimitServerIsVerified: the server that counts for all nodes is reached by TLS only when
// an authority that counts has signed its certificate, whatever the configuration says.
func TestLimitServerIsVerified(t *testing.T) {
	r := testredis.Start(t, testredis.Options{TLS: true})
	for name, c := range map[string]struct {
		redis config.Redis
		there bool
	}{
		"its authority":     {config.Redis{URL: "rediss://" + r.Address, CAFile: r.CAFile}, true},
		"those of the host": {config.Redis{URL: "rediss://" + r.Address}, false},
		"no TLS":            {config.Redis{URL: "redis://" + r.Address}, false},
	} {
		verified, err := countersTLS(c.redis, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := counters.New(counters.Config{Address: r.Address, TLS: verified, Prefix: "gatehouse:", Timeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		if s.Connect(t.Context()) != c.there {
			t.Errorf("%s: away %v", name, s.Away())
		}
	}
	if tls, err := countersTLS(config.Redis{}, nil); tls != nil || err != nil {
		t.Errorf("%v %v", tls, err)
	}
}

// TestLimitServerAsksWhoComes: one that wants a certificate of its clients is shown ours, the one that is on disk now.
func TestLimitServerAsksWhoComes(t *testing.T) {
	r := testredis.Start(t, testredis.Options{TLS: true, Clients: true})
	strange, strangeKey := selfSigned(t)
	now := time.Now()
	files := [2]string{filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	write := func(cert, key string) {
		for i, from := range []string{cert, key} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(files[i], b, 0o600)
			}
			if err == nil {
				err = os.Chtimes(files[i], now, now)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(strange, strangeKey)
	ours, err := newCertificates(files[0], files[1], func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	connects := func(ours *certificates) bool {
		out.Reset()
		shows, err := countersTLS(config.Redis{URL: "rediss://" + r.Address, CAFile: r.CAFile}, ours)
		if err != nil {
			t.Fatal(err)
		}
		s := counters.New(counters.Config{Address: r.Address, TLS: shows, Prefix: "gatehouse:", Timeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		return s.Connect(t.Context())
	}
	// Its words, or the end of the connection, whichever is read first.
	if connects(nil) || !strings.Contains(out.String(), "is away") {
		t.Errorf("without one: %s", out.String())
	}
	if connects(ours) || !strings.Contains(out.String(), "is away") {
		t.Errorf("with one of nobody's: %s", out.String())
	}
	now = now.Add(certCheckInterval)
	write(r.CAFile, r.KeyFile) // an authority's own is one that it knows
	if !connects(ours) {
		t.Errorf("after a renewal: %s", out.String())
	}
}
