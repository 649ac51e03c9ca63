package main

import (
	"github.com/spf13/cobra"
)

func (a *app) userPasskeys() *cobra.Command {
	c := &cobra.Command{Use: "passkeys", Short: "Passkeys and security keys of a user"}
	c.AddCommand(
		&cobra.Command{Use: "list USER", Short: "List the passkeys of a user", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "passkeys"), nil, "id", "name", "synced", "created_at", "last_used_at")
		}},
		&cobra.Command{Use: "remove USER PASSKEY", Short: "Remove a passkey of a user who has lost it (administrators)", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("users", args[0], "passkeys", args[1]), nil, nil); err != nil {
				return err
			}
			return a.done("passkey %s of %s is removed", args[1], args[0])
		}},
	)
	return c
}
