package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestOperands(t *testing.T) {
	a := &app{}
	root := a.command()
	for in, want := range map[string]string{
		"realm signing-key remove -L7ESPabc":                                   "realm signing-key remove -- -L7ESPabc",
		"realm signing-key remove --L7ESPabcdefghijklmnopqrstuvwxyzABCDEFGHIJ": "realm signing-key remove -- --L7ESPabcdefghijklmnopqrstuvwxyzABCDEFGHIJ",
		"realm signing-key retire --realm acme -hxyz --json":                   "realm signing-key retire --realm acme --json -- -hxyz",
		"--realm -x role assign -bob editor --url http://h":                    "--realm -x role assign --url http://h -- -bob editor",
		"key create --name n --expires -24h":                                   "key create --name n --expires -24h",
		"key create --expires=-24h":                                            "key create --expires=-24h",
		"key show -- -x --json":                                                "key show -- -x --json",
		"key list --json -h":                                                   "key list --json -h",
		"realm set main -":                                                     "realm set main -",
		"user create --no-such-flag bob":                                       "user create --no-such-flag bob",
		"key leaked -v":                                                        "key leaked -v",
	} {
		if got := strings.Join(operands(root, strings.Fields(in)), " "); got != want {
			t.Errorf("%s: %s; want %s", in, got, want)
		}
	}
}

// TestNoShortFlags: a flag of one letter would make some ids unreachable.
func TestNoShortFlags(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		c.InitDefaultVersionFlag()
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Shorthand != "" && !slices.Contains([]string{"help", "version"}, f.Name) {
				t.Errorf("%s has -%s", c.CommandPath(), f.Shorthand)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	a := &app{}
	visit(a.command())
}
