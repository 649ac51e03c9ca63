package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestMain lets scripts run "gatehouse" as a user would: a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": main})
}

// TestScripts runs the commands against a server with the people of the demo.
// Each script has GATEHOUSE_URL, GATEHOUSE_TOKEN, GATEWAY, and the passwords and
// keys of bob.
func TestScripts(t *testing.T) {
	demo, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { demo.Close(context.Background()) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			bob := demo.Users["bob"]
			env.Setenv("GATEHOUSE_URL", demo.Issuer)
			env.Setenv("GATEHOUSE_TOKEN", demo.AdminToken)
			env.Setenv("GATEWAY", demo.Gateway)
			env.Setenv("BOB_PASSWORD", bob.Password)
			env.Setenv("BOB_KEY", bob.APIKey)
			env.Setenv("CAROL_PASSWORD", demo.Users["carol"].Password)
			env.Setenv("HOME", env.WorkDir)
			return os.WriteFile(filepath.Join(env.WorkDir, "bob.key"), []byte(bob.APIKey+"\n"), 0o600)
		},
	})
}
