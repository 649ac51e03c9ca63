package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// logoutCommand ends what `gatehouse login ISSUER` began.
func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout [ISSUER]",
		Short: "End the sign-in at an issuer, with all tokens that came of it",
		Long:  "Ends at ISSUER, or where you signed in last, what `gatehouse login ISSUER` began, and forgets its tokens.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			kept, err := a.holdSignIns(c.Context())
			if err != nil {
				return err
			}
			defer kept.close()
			at, err := kept.of(firstOf(args))
			if err != nil {
				return err
			}
			issuer := kept.list[at].Issuer
			if err := kept.end(c.Context(), at); err != nil {
				return err
			}
			return a.done("signed out at %s", issuer)
		},
	}
}

// tokenGet prints an access token of a sign-in.
func (a *app) tokenGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get [ISSUER]",
		Short: "Print an access token of your sign-in, renewed where it must be, for scripts",
		Long: "Prints an access token of `gatehouse login ISSUER`, or of the last one, and nothing beside it. It is renewed where it ends within half a minute;\n" +
			"of several commands that do so at once, one does, and all print what it got.",
		Example: `  curl -H "Authorization: Bearer $(gatehouse token get)" https://api.example/documents`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			kept, err := a.holdSignIns(c.Context())
			if err != nil {
				return err
			}
			defer kept.close()
			at, err := kept.of(firstOf(args))
			if err != nil {
				return err
			}
			text, err := kept.fresh(c.Context(), at)
			if err != nil {
				return err
			}
			return a.print(object{"access_token": text.Reveal(), "expires_at": kept.list[at].ExpiresAt}, func(w io.Writer) { fmt.Fprintln(w, text.Reveal()) })
		},
	}
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
