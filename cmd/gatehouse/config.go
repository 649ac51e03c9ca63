package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, or print what can be in one"}
	c.AddCommand(&cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration without starting anything",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "gatehouse.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			cfg, err := a.loadConfig(path)
			if err != nil {
				return err
			}
			summary := map[string]any{"ok": true, "file": path, "issuer": cfg.Issuer, "routes": len(cfg.Routes), "upstreams": len(cfg.Upstreams)}
			warnings := append([]string{}, enforce.Warnings(cfg.Routes)...)
			summary["warnings"] = warnings
			return a.print(summary, func(w io.Writer) {
				for _, text := range warnings {
					fmt.Fprintf(w, "warning: %s\n", printable(text))
				}
				fmt.Fprintf(w, "%s is good: issuer %s, %d upstreams, %d routes\n", path, cfg.Issuer, len(cfg.Upstreams), len(cfg.Routes))
			})
		},
	}, &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of gatehouse.yaml, for your editor",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := server.ConfigSchema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s\n", b)
			return err
		},
	}, &cobra.Command{
		Use:   "reference",
		Short: "Print the page about every key, in Markdown",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, server.ConfigReference())
			return err
		},
	})
	return c
}
