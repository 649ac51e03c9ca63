package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) adminCommand() *cobra.Command {
	c := &cobra.Command{Use: "admin", Short: "Get an administrator back when all credentials are lost"}
	var config string
	recover := &cobra.Command{
		Use:   "recover [USERNAME]",
		Short: "Make an administrator on the server's own machine (the server must not run)",
		Long: `Makes USERNAME ("admin" when absent) an administrator of realm main and prints an API key for that account, once. It takes
the database and the master key of the configuration, and a server that is stopped: it owns the database alone.

An account of that name that exists is taken over: it is enabled and gets the role, and its password, its second
factors, its logins and its other keys are ended. Other accounts stay as they are. The audit log has the event admin.recover.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			username := "admin"
			if len(args) == 1 {
				username = args[0]
			}
			cfg, err := a.loadConfig(config)
			if err != nil {
				return err
			}
			got, err := server.Recover(c.Context(), cfg, username)
			if gatehouse.CodeOf(err) == "store_locked" {
				return fmt.Errorf("the server runs on this database; stop it first (it answers from memory, and would not notice): %w", err)
			}
			if err != nil {
				return err
			}
			return a.print(object{"user": got.User, "api_key": got.APIKey.Reveal(), "expires_at": got.ExpiresAt, "created": got.Created}, func(w io.Writer) {
				was := "is an administrator again; its password, its second factors, its logins and its other keys are ended"
				if got.Created {
					was = "is a new administrator"
				}
				fmt.Fprintf(w, `%s %s. This key is shown only now, and ends on %s:

  %s

Next:
  %[5]s serve --config %[6]s   # start the server again
  %[5]s login                  # asks for the key
  %[5]s user reset %[1]s
  %[5]s audit list --kind admin.
`, printable(got.User.Username), was, got.ExpiresAt.Local().Format("2006-01-02 15:04 MST"), got.APIKey.Reveal(), a.name(), config)
			})
		},
	}
	recover.Flags().StringVar(&config, "config", "gatehouse.yaml", "configuration file")
	c.AddCommand(recover)
	return c
}
