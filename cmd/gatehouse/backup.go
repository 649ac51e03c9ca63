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
			if err := a.ask(c.Context(), "/backup", nil, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
}

func (a *app) restoreCommand() *cobra.Command {
	var config string
	var inPlace bool
	c := &cobra.Command{
		Use:   "restore BACKUP | restore --in-place",
		Short: "Load a backup into an empty store (the server must not run)",
		Long: `Loads a backup into an empty store, with the master key that it was made under in place. What was revoked after the
backup was made is not in it, so every token and login that was issued until now is ended, and recorded as such with the
checkpoint that the backup ends with. API keys and passwords are as they were at the time of the backup.

With --in-place nothing is loaded: the database was set back already, by PostgreSQL's own tools or by a copy of the file, and
what follows is done alone.`,
		Args: func(c *cobra.Command, args []string) error {
			if inPlace {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.loadConfig(config)
			if err != nil {
				return err
			}
			var done server.Restored
			if inPlace {
				done, err = server.RestoreInPlace(c.Context(), cfg)
			} else {
				done, err = server.Restore(c.Context(), cfg, args[0])
			}
			if err != nil {
				return err
			}
			return a.print(done, func(w io.Writer) {
				asOf := "the time of the backup"
				if !done.AsOf.IsZero() {
					asOf = done.AsOf.Local().Format("2006-01-02 15:04:05 MST")
				}
				fmt.Fprintf(w, `restored: everything is as of %s
%d logins are ended, and no token that was issued until now is accepted: everybody logs in again.
Take care of what nobody can know any more:
  - API keys that were revoked or reported as leaked since then are good again (%d can be used). Look at
    %s key list, and revoke them again.
  - Passwords, roles, policies and accounts that were changed, disabled or deleted since then are as they were.
  - Programs that check tokens by themselves, without status lists, accept access tokens until they expire.
`, asOf, done.Grants, done.Keys, a.name())
			})
		},
	}
	c.Flags().StringVar(&config, "config", "gatehouse.yaml", "configuration file")
	c.Flags().BoolVar(&inPlace, "in-place", false, "the database was set back already: end what was issued before")
	return c
}
