package main

import (
	"github.com/spf13/cobra"
)

func (a *app) userFactors() *cobra.Command {
	c := &cobra.Command{Use: "factors", Short: "Second factors of a user: authenticator apps and recovery codes"}
	c.AddCommand(
		&cobra.Command{Use: "list USER", Short: "List the second factors of a user, without secrets", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "factors"), nil, "id", "kind", "name", "confirmed", "codes_left", "created_at", "last_used_at")
		}},
		&cobra.Command{Use: "remove USER FACTOR", Short: "Remove a factor of a user who has lost it (administrators)", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			if err := a.post(c.Context(), a.realmPath("users", args[0], "factors", args[1], "remove"), object{}, nil); err != nil {
				return err
			}
			return a.done("factor %s of %s is removed", args[1], args[0])
		}},
	)
	return c
}
