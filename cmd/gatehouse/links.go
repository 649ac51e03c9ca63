package main

import (
	"github.com/spf13/cobra"
)

// userLinks is about the accounts at providers that open the account of a user.
func (a *app) userLinks() *cobra.Command {
	c := &cobra.Command{Use: "links", Short: "Accounts elsewhere that open the account of a user"}
	c.AddCommand(
		&cobra.Command{Use: "list USER", Short: "List the accounts elsewhere that open the account of a user", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "links"), nil, "id", "provider", "subject", "opens", "created_at", "last_used_at")
		}},
		&cobra.Command{Use: "remove USER LINK", Short: "Remove such a link, with the roles and groups that it gave (administrators)", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("users", args[0], "links", args[1]), nil, nil); err != nil {
				return err
			}
			return a.done("link %s of %s is removed", args[1], args[0])
		}},
	)
	return c
}
