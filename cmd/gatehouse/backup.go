package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup",
		Short: "Write a consistent backup while the server runs",
		Long: `Asks the running server to write a backup into DATA/backups and prints where it is. Nobody waits for it. Secrets in it
are hashed or sealed; to use it you also need the master key, which is not in it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var out object
			if err := a.call(c.Context(), "POST", "/backup", nil, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
}

func (a *app) restoreCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Load a backup into an empty store (the server must not run)",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := server.LoadConfig(config, a.environ)
			if err != nil {
				return usagef("%v", err)
			}
			if err := server.Restore(c.Context(), cfg, args[0]); err != nil {
				return err
			}
			return a.print(object{"ok": true}, func(w io.Writer) { fmt.Fprintln(w, "restored") })
		},
	}
	c.Flags().StringVar(&config, "config", "gatehouse.yaml", "configuration file")
	return c
}
