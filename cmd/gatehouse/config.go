package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/system"
	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, put it in force, or print what can be in one"}
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
	}, a.configReloadCommand(), &cobra.Command{
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

func (a *app) configReloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running server read its configuration anew, all of it or nothing",
		Long: `Asks the server at --url to read its configuration file anew, as SIGHUP does, and prints what changed. Requests that run
keep what they began with, and no connection is closed. A configuration with a mistake changes nothing: each mistake is told
with its line, and the exit code is 2.

Some keys take a restart (docs/configuration.md says which). When such a key differs, everything else is taken, the key is
named, and the exit code is 5: not all that the file says is in force.

Only the server that answers reloads. Behind a load balancer, name each by --url. It takes the role gatehouse-admin.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var out system.Reload
			if err := a.ask(c.Context(), "/config/reload", nil, &out); err != nil {
				return err
			}
			if err := a.print(out, func(w io.Writer) { printReload(w, out) }); err != nil {
				return err
			}
			if len(out.Restart) > 0 {
				return &silentError{exitConflict}
			}
			return nil
		},
	}
}

func printReload(w io.Writer, r system.Reload) {
	for _, text := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", printable(text))
	}
	if len(r.Changes) == 0 {
		fmt.Fprintf(w, "%s: nothing else is in force than before\n", printable(r.File))
	} else {
		fmt.Fprintf(w, "%s is in force; changed:\n", printable(r.File))
	}
	for _, c := range r.Changes {
		fmt.Fprintf(w, "  %s\n", printable(c.String()))
	}
	if len(r.Restart) > 0 {
		fmt.Fprintln(w, "not in force before a restart:")
	}
	for _, c := range r.Restart {
		fmt.Fprintf(w, "  %s\n", printable(c.String()))
	}
}
