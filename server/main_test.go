package server_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/server"
)

// postgres runs for the whole test binary; why tells what is missing when it is
// nil.
var (
	postgres *testpg.Server
	why      string
)

// chromium shows pages to all tests that want one.
var chromium testbrowser.Browser

func TestMain(m *testing.M) {
	var err error
	if postgres, err = testpg.Start(); err != nil {
		if why = err.Error(); !errors.Is(err, testpg.ErrMissing) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	chromium.Close()
	if postgres != nil {
		postgres.Stop()
	}
	os.Exit(code)
}

func postgresStore(t *testing.T) server.StoreConfig {
	t.Helper()
	switch {
	case postgres != nil:
	case os.Getenv("GATEHOUSE_TEST_STRICT") == "1":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
	return server.StoreConfig{Driver: "postgres", DSN: postgres.DSN(t)}
}
