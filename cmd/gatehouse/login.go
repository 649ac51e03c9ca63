package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// loginCommand saves an API key for the other commands. With --bootstrap it
// uses the one-time secret that the first start printed, and makes the first
// administrator.
func (a *app) loginCommand() *cobra.Command {
	var bootstrap bool
	var username string
	c := &cobra.Command{
		Use:   "login",
		Short: "Save a key for the other commands; --bootstrap makes the first administrator",
		Long: `Reads an API key from the terminal or standard input, checks it, and saves it readable by you only.

With --bootstrap it reads the one-time secret that the first start of the server printed, then the password that the
first administrator shall have, and saves the key that the server made for that administrator.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var key string
			if bootstrap {
				secret, err := a.readPassword("One-time secret")
				if err != nil {
					return err
				}
				password, err := a.readPassword("Password for " + username)
				if err != nil {
					return err
				}
				var out struct {
					APIKey string `json:"api_key"`
				}
				body := object{"secret": secret.Reveal(), "username": username, "password": password.Reveal()}
				if err := a.callPublic(c.Context(), "POST", "/bootstrap", body, &out); err != nil {
					return err
				}
				key = out.APIKey
			} else {
				k, err := a.readPassword("API key")
				if err != nil {
					return err
				}
				key = k.Reveal()
			}
			path, err := a.saveLogin(login{URL: a.server(), Token: key})
			if err != nil {
				return err
			}
			if !bootstrap {
				var me object
				if err := a.call(c.Context(), "GET", "/me", nil, &me); err != nil {
					_ = os.Remove(path)
					return err
				}
			}
			return a.done("logged in to %s; the key is in %s", a.server(), path)
		},
	}
	c.Flags().BoolVar(&bootstrap, "bootstrap", false, "make the first administrator with the one-time secret")
	c.Flags().StringVar(&username, "username", "admin", "name of the first administrator")
	return c
}

// saveLogin writes the login so that nobody else can read it, not even for a
// moment, and never half.
func (a *app) saveLogin(l login) (string, error) {
	path, err := a.loginPath()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".login-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(append(b, '\n')); err != nil {
		f.Close()
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}
