package main

import (
	"context"
	"fmt"
	"maps"

	"github.com/spf13/cobra"
)

func (a *app) userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "People and services: create, import, list, change, disable"}
	c.AddCommand(a.userCreate(), a.userImport(), a.userSet(), a.userPassword(), a.userReset(), a.userExport(), a.userVerify(), a.userInvite(), a.userInvitations(), a.userFactors(), a.userPasskeys(), a.userLinks(), a.userApps(),
		&cobra.Command{Use: "list", Short: "List users", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("users"), nil, "id", "username", "kind", "roles", "disabled")
		}},
		&cobra.Command{Use: "show USER", Short: "Show a user, by name or id", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.get(c.Context(), a.realmPath("users", args[0]))
		}},
		&cobra.Command{Use: "delete USER", Short: "Delete a user and end everything they hold", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("users", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("user %s is deleted", args[0])
		}},
		&cobra.Command{Use: "revoke USER", Short: "End every token of a user, now", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "POST", a.realmPath("users", args[0], "revoke"), nil, nil); err != nil {
				return err
			}
			return a.done("every token of %s is ended", args[0])
		}},
		&cobra.Command{Use: "grants USER", Short: "List what a user has logged in to", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "grants"), nil, "id", "client_id", "scopes", "created_at", "expires_at", "ended_at")
		}},
		a.userSessions(),
	)
	return c
}

// userFlags are what create and set have in common.
type userFlags struct {
	display, email, attributes string
	verified                   bool
	roles, groups              []string
}

func (f *userFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.display, "display-name", "", "name for people")
	c.Flags().StringVar(&f.email, "email", "", "e-mail address")
	c.Flags().BoolVar(&f.verified, "email-verified", false, "the e-mail address is known to be the person's")
	c.Flags().StringSliceVar(&f.roles, "role", nil, "role; may be repeated")
	c.Flags().StringSliceVar(&f.groups, "group", nil, "group; may be repeated")
	c.Flags().StringVar(&f.attributes, "attributes", "", `attributes for policies, as a JSON object: {"managed_teams":["blue"]}`)
}

// body returns the members that were given.
func (f *userFlags) body(c *cobra.Command) (object, error) {
	out := object{}
	for flag, v := range map[string]any{"display-name": f.display, "email": f.email, "email-verified": f.verified, "role": f.roles, "group": f.groups} {
		if c.Flags().Changed(flag) {
			out[map[string]string{"display-name": "display_name", "email": "email", "email-verified": "email_verified", "role": "roles", "group": "groups"}[flag]] = v
		}
	}
	if c.Flags().Changed("attributes") {
		attrs, err := jsonObject("--attributes", []byte(f.attributes))
		if err != nil {
			return nil, err
		}
		out["attributes"] = attrs
	}
	return out, nil
}

func (a *app) userCreate() *cobra.Command {
	var f userFlags
	var service, askPassword, generate, chosen bool
	var hashFile string
	c := &cobra.Command{
		Use:   "create USERNAME",
		Short: "Create a user, who chooses the first password by a link: sent, or shown once where there is no address to send it to",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := f.body(c)
			if err != nil {
				return err
			}
			body["username"] = args[0]
			switch {
			case chosen && !askPassword:
				return usagef("--chosen goes with --password")
			case service:
				body["kind"] = "service"
			case hashFile != "":
				b, err := a.readFileOrStdin(hashFile, 4096)
				if err != nil {
					return err
				}
				body["password_hash"] = trimLine(b)
			case askPassword:
				p, err := a.readPassword("Password for " + args[0])
				if err != nil {
					return err
				}
				body["password"], body["password_initial"] = p.Reveal(), !chosen
			case generate:
				body["generate_password"] = true
			}
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("users"), body, &out); err != nil {
				return err
			}
			if generate && !a.json {
				return a.initialPassword(args[0], out)
			}
			if service || askPassword || generate || hashFile != "" {
				return a.showSecret(out, "user", "password")
			}
			return a.firstLink(c.Context(), args[0], out)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&service, "service", false, "a program: it has API keys, and no password")
	c.Flags().BoolVar(&askPassword, "password", false, "ask for a password (or read it from standard input), in the place of which the person chooses another one at the first sign-in")
	c.Flags().BoolVar(&chosen, "chosen", false, "with --password: the person types it, and keeps it")
	c.Flags().BoolVar(&generate, "generate-password", false, "make a random password and show it once; the person chooses another one at the first sign-in")
	c.Flags().StringVar(&hashFile, "password-hash-file", "", "import an existing hash: PHC argon2id, bcrypt, scrypt or PBKDF2 (- is standard input)")
	c.MarkFlagsMutuallyExclusive("service", "password", "generate-password", "password-hash-file")
	return c
}

// initialPassword shows a password that was made for a person, and what it is good for.
func (a *app) initialPassword(name string, made object) error {
	shown, _ := made["user"].(object)
	if err := a.show(shown); err != nil {
		return err
	}
	text, _ := made["password"].(string)
	fmt.Fprintf(a.out, "\n%s\n\n", printable(text))
	fmt.Fprintf(a.errOut, "Hand this password to %s now: it cannot be shown again, and is good for choosing another one in a browser, within 72 hours.\n", printable(name))
	return nil
}

// firstLink has the person of a new account choose its first password: one that somebody else has seen would be theirs for
// as long as it stays (ASVS 6.4.1).
func (a *app) firstLink(ctx context.Context, name string, made object) error {
	var link object
	if err := a.call(ctx, "POST", a.realmPath("users", name, "password", "reset-link"), object{"end": false}, &link); err != nil {
		fmt.Fprintf(a.errOut, "%s is there, and has no password yet: 'gatehouse user reset' makes the link.\n", printable(name))
		return err
	}
	if a.json {
		maps.Copy(link, made)
		return a.printJSON(link)
	}
	shown, _ := made["user"].(object)
	if err := a.show(shown); err != nil {
		return err
	}
	text, _ := link["link"].(string)
	if text == "" {
		return a.done("a link to choose the first password is on its way to %s", name)
	}
	fmt.Fprintf(a.out, "\n%s\n\n", printable(text))
	fmt.Fprintf(a.errOut, "Hand this link to %s now: whoever opens it chooses the password, once, within the hour; it cannot be shown again.\n", printable(name))
	return nil
}

func (a *app) userSet() *cobra.Command {
	var f userFlags
	var disable, enable bool
	c := &cobra.Command{
		Use:   "set USER",
		Short: "Change a user; what is not named stays as it is",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := f.body(c)
			if err != nil {
				return err
			}
			if disable || enable {
				body["disabled"] = disable
			}
			if len(body) == 0 {
				return errNothing
			}
			var out object
			if err := a.call(c.Context(), "PATCH", a.realmPath("users", args[0]), body, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&disable, "disable", false, "refuse every credential of the user from now on")
	c.Flags().BoolVar(&enable, "enable", false, "let the user in again")
	c.MarkFlagsMutuallyExclusive("disable", "enable")
	return c
}

func (a *app) userPassword() *cobra.Command {
	return &cobra.Command{
		Use:   "password USER",
		Short: "Change your own password; for somebody else: user reset",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			current, err := a.readPassword("Current password")
			if err != nil {
				return err
			}
			next, err := a.readPassword("New password")
			if err != nil {
				return err
			}
			if err := a.call(c.Context(), "PUT", a.realmPath("users", args[0], "password"), object{"current": current.Reveal(), "new": next.Reveal()}, nil); err != nil {
				return err
			}
			return a.done("the password of %s is changed; every other session is ended", args[0])
		},
	}
}

func (a *app) userReset() *cobra.Command {
	var end bool
	c := &cobra.Command{
		Use:   "reset USER",
		Short: "Have a user set a new password by a link: sent to the user, or shown once where there is no address to send it to",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("users", args[0], "password", "reset-link"), object{"end": end}, &out); err != nil {
				return err
			}
			old := "the old one counts until then"
			if end {
				old = "the old one is ended"
			}
			link, _ := out["link"].(string)
			if link == "" {
				return a.done("a link to set a new password is on its way to %s; %s", args[0], old)
			}
			if a.json {
				return a.printJSON(out)
			}
			fmt.Fprintf(a.out, "\n%s\n\n", printable(link))
			fmt.Fprintf(a.errOut, "Hand this link to %s now: whoever opens it sets the password, once, within the hour; %s.\n", printable(args[0]), old)
			return nil
		},
	}
	c.Flags().BoolVar(&end, "end", false, "end the password of now, and every login, at once")
	return c
}

func (a *app) userInvite() *cobra.Command {
	var roles []string
	c := &cobra.Command{Use: "invite ADDRESS", Short: "Send a person a link to make an account by, within a week", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		var out object
		if err := a.call(c.Context(), "POST", a.realmPath("invitations"), object{"email": args[0], "roles": roles}, &out); err != nil {
			return err
		}
		return a.show(out)
	}}
	c.Flags().StringSliceVar(&roles, "role", []string{}, "role of the account; may be repeated")
	return c
}

func (a *app) userInvitations() *cobra.Command {
	c := &cobra.Command{Use: "invitations", Short: "Invitations that wait: list, take back"}
	c.AddCommand(&cobra.Command{Use: "list", Short: "List invitations that wait", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return a.list(c.Context(), a.realmPath("invitations"), nil, "id", "email", "roles", "invited_by", "expires_at")
	}},
		&cobra.Command{Use: "revoke INVITATION", Short: "Take an invitation back", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("invitations", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("invitation %s is taken back", args[0])
		}})
	return c
}

func (a *app) userVerify() *cobra.Command {
	return &cobra.Command{Use: "verify USER", Short: "Send a link to the e-mail address of a user, who verifies it so", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if err := a.call(c.Context(), "POST", a.realmPath("users", args[0], "email", "link"), nil, nil); err != nil {
			return err
		}
		return a.done("a link to verify the address is on its way to %s", args[0])
	}}
}

// showSecret shows what was made, with the secret that is shown now and never
// again. about names the member that holds the object itself, if there is one.
func (a *app) showSecret(out object, about, secret string) error {
	if a.json {
		return a.printJSON(out)
	}
	shown := out
	if inner, ok := out[about].(object); ok {
		shown = maps.Clone(inner)
	}
	text, _ := out[secret].(string)
	delete(shown, secret)
	if err := a.show(shown); err != nil || text == "" {
		return err
	}
	fmt.Fprintf(a.out, "\n%s\n\n", printable(text))
	fmt.Fprintln(a.errOut, "Keep this now: it is stored as a hash only and cannot be shown again.")
	return nil
}

func trimLine(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return string(b)
}
