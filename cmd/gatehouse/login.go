package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
)

// loginKeyTTL is how long a key lasts that a password was exchanged for.
const loginKeyTTL = 30 * 24 * time.Hour

const askCode = "Code of the authenticator app, or a recovery code"

// loginCommand saves an API key for the other commands: one that the caller has, one
// that a password is exchanged for, or that of the first administrator.
func (a *app) loginCommand() *cobra.Command {
	var bootstrap bool
	var username string
	var at signInFlags
	c := &cobra.Command{
		Use:   "login [ISSUER]",
		Short: "Save a key for the other commands; with ISSUER, sign in there in a browser; --bootstrap makes the first administrator",
		Long: `Reads an API key from the terminal or standard input, checks it, and saves it readable by you only.

With --username it reads that person's password instead (realm main), and a code where the account has a second factor,
makes an API key that lasts 30 days, and saves the key; the password is kept nowhere.

With --bootstrap it reads the one-time secret that the first start of the server printed, then the password that the
first administrator shall have, and saves the key that the server made for that administrator.

With ISSUER, which is the address of a Gatehouse or of a realm, it opens your browser to sign in there, or shows a code to type in one elsewhere, and
keeps the tokens for ` + "`gatehouse token get`" + `; ` + "`gatehouse logout`" + ` ends them. The other commands go on with the key that they have.

Whoever lost every administrator's credentials gets one back on the server's machine: gatehouse admin recover.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.signIn(c.Context(), args[0], at)
			}
			for _, name := range []string{"client", "scope", "device"} {
				if c.Flags().Changed(name) {
					return usagef("--%s goes with ISSUER: %s login ISSUER --%[1]s …", name, a.name())
				}
			}
			key, err := a.keyToSave(c.Context(), bootstrap, username)
			if err != nil {
				return err
			}
			cl, err := client.New(a.server(), key)
			if err != nil {
				return a.badServer(err)
			}
			me := "/me"
			if a.realmName() != gatehouse.MainRealm {
				me = a.realmPath("me")
			}
			var out object
			if err := cl.Do(c.Context(), "GET", me, nil, &out); err != nil {
				return err // what was saved before stays
			}
			path, err := a.saveLogin(login{URL: a.server(), Token: key.Reveal()})
			if err != nil {
				return err
			}
			message := fmt.Sprintf("logged in to %s; the key is in %s", a.server(), path)
			text, _ := out["expires_at"].(string) // absent: it does not end
			if end, err := time.Parse(time.RFC3339, text); err == nil {
				message += fmt.Sprintf("; it ends on %s: log in with your password before then (%s login --username NAME), or make one that lasts (%s key create)",
					end.Local().Format("2006-01-02 15:04 MST"), a.name(), a.name())
			}
			return a.done("%s", message)
		},
	}
	at.add(c)
	c.Flags().BoolVar(&bootstrap, "bootstrap", false, "make the first administrator with the one-time secret")
	c.Flags().StringVar(&username, "username", "", "log in with this person's password; with --bootstrap, the first administrator's name (admin)")
	return c
}

// keyToSave asks for what login was told to use, and returns the API key.
func (a *app) keyToSave(ctx context.Context, bootstrap bool, username string) (gatehouse.Secret, error) {
	if !bootstrap && username == "" {
		return a.readPassword("API key")
	}
	if !bootstrap {
		return a.exchangePassword(ctx, username)
	}
	if username == "" {
		username = "admin"
	}
	secret, err := a.readPassword("One-time secret")
	if err != nil {
		return "", err
	}
	password, err := a.readPassword("Password for " + username)
	if err != nil {
		return "", err
	}
	var out struct {
		APIKey string `json:"api_key"`
	}
	body := object{"secret": secret.Reveal(), "username": username, "password": password.Reveal()}
	err = a.callPublic(ctx, "POST", "/bootstrap", body, &out)
	return gatehouse.Secret(out.APIKey), err
}

// exchangePassword makes an API key of the person whose password it reads.
func (a *app) exchangePassword(ctx context.Context, username string) (gatehouse.Secret, error) {
	if a.realmName() != gatehouse.MainRealm {
		return "", usagef("passwords administer from realm %s only; log in to realm %s with an API key", gatehouse.MainRealm, a.realmName())
	}
	password, err := a.readPassword("Password for " + username)
	if err != nil {
		return "", err
	}
	cl, err := client.NewWithPassword(a.server(), username, password)
	if err != nil {
		return "", usagef("%v", err)
	}
	var out struct {
		Text string `json:"text"`
	}
	body := object{"name": "gatehouse login", "scopes": []string{gatehouse.ScopeAll}, "expires_at": time.Now().Add(loginKeyTTL).UTC().Format(time.RFC3339)}
	err = cl.Do(ctx, "POST", a.realmPath("keys"), body, &out)
	if gatehouse.CodeOf(err) != gatehouse.ErrSecondFactor.Code {
		return gatehouse.Secret(out.Text), err
	}
	code, err := a.readPassword(askCode)
	if err != nil {
		return "", err
	}
	if cl, err = cl.Login(ctx, code); err != nil {
		return "", err
	}
	if err = cl.Do(ctx, "POST", a.realmPath("keys"), body, &out); err != nil {
		return "", err
	}
	return gatehouse.Secret(out.Text), cl.Logout(ctx) // nothing but the key stays
}

// saveLogin writes the login so that nobody else can read it, not even for a
// moment, and never half.
func (a *app) saveLogin(l login) (string, error) {
	path, err := a.loginPath()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	return path, writePrivate(path, b)
}

// writePrivate writes a file of credentials, see [app.saveLogin].
func writePrivate(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".login-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(append(b, '\n')); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
