package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Look into a token, check it, end it; get one of your sign-in"}
	c.PersistentFlags().SortFlags = false
	verb := func(use, short, long string, do func(c *cobra.Command, out object) error) *cobra.Command {
		return &cobra.Command{Use: use + " [FILE]", Short: short, Long: long + "\n\nThe token is read from FILE or standard input, never from the command line.",
			Args: cobra.MaximumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
				file := "-"
				if len(args) == 1 {
					file = args[0]
				}
				b, err := a.readFileOrStdin(file, 64<<10)
				if err != nil {
					return err
				}
				var out object
				post := a.ask
				if use == "revoke" {
					post = a.post
				}
				if err := post(c.Context(), a.realmPath("tokens", use), object{"token": trimLine(b)}, &out); err != nil {
					return err
				}
				return do(c, out)
			}}
	}
	c.AddCommand(a.tokenGet(),
		verb("inspect", "Show what a token says, without believing it", "Decodes the token. Nothing is verified: what it says may be a lie.",
			func(_ *cobra.Command, out object) error { return a.show(out) }),
		verb("verify", "Check a token as the gateway would; exit code 3 when it is refused", "Checks the token through the verifier that guards requests, revocation included.",
			func(_ *cobra.Command, out object) error {
				if err := a.show(out); err != nil {
					return err
				}
				if active, _ := out["active"].(bool); !active {
					return &silentError{exitDenied}
				}
				return nil
			}),
		verb("revoke", "End a token and the grant it came from, now", "Ends the grant that the token belongs to: every checker refuses it from then on.",
			func(_ *cobra.Command, out object) error {
				return a.print(out, func(w io.Writer) { fmt.Fprintln(w, "ended") })
			}),
	)
	return c
}
