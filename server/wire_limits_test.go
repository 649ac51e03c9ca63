package server

import (
	"log/slog"
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
		verified, err := countersTLS(c.redis)
		if err != nil {
			t.Fatal(err)
		}
		s := counters.New(counters.Config{Address: r.Address, TLS: verified, Prefix: "gatehouse:", Timeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		if s.Connect(t.Context()) != c.there {
			t.Errorf("%s: away %v", name, s.Away())
		}
	}
	if tls, err := countersTLS(config.Redis{}); tls != nil || err != nil {
		t.Errorf("%v %v", tls, err)
	}
}
