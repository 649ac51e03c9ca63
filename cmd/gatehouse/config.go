package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, or print what can be in one"}
	c.AddCommand(&cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration, its files and its database as a start does, and change nothing",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := "gatehouse.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			checked, err := server.CheckConfig(c.Context(), path, a.environ)
			if err != nil {
				return a.loadError(path, err)
			}
			cfg, warnings := checked.Config, append([]string{}, checked.Warnings...)
			summary := map[string]any{"ok": true, "file": path, "issuer": cfg.Issuer, "routes": len(cfg.Routes), "upstreams": len(cfg.Upstreams),
				"database": checked.Database, "warnings": warnings}
			return a.print(summary, func(w io.Writer) {
				for _, text := range warnings {
					fmt.Fprintf(w, "warning: %s\n", printable(text))
				}
				fmt.Fprintf(w, "%s is good: issuer %s, %d upstreams, %d routes; the database %s\n",
					path, cfg.Issuer, len(cfg.Upstreams), len(cfg.Routes), checked.Database)
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
