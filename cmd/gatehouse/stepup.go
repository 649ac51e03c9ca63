package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// Where scripts have what a challenge for a stronger sign-in is answered by.
const (
	envPassword = "GATEHOUSE_PASSWORD"
	envCode     = "GATEHOUSE_CODE"
)

// with does something by the credential that there is. Where the server asks for a sign-in with more, or for a more recent one
// (RFC 9470), it is done again by such a sign-in, of the same person: what was refused has changed nothing.
func (a *app) with(ctx context.Context, do func(*client.Client) error) error {
	if a.stronger != nil {
		return do(a.stronger)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if err = do(c); gatehouse.CodeOf(err) != authn.CodeStepUp {
		return err
	}
	stronger, failed := a.stepUp(ctx, c)
	if failed != nil {
		return failed
	}
	if stronger == nil {
		return err // nobody is there to be asked
	}
	a.stronger = stronger // lists have many pages: nobody is asked for each
	return do(stronger)
}

// stepUp signs the person of c in anew, by the password and a code of the second factor, which are asked for on the terminal or
// are in the environment; never on standard input, which may be what the command is to read. nil: there is neither.
func (a *app) stepUp(ctx context.Context, c *client.Client) (*client.Client, error) {
	password, code := gatehouse.Secret(a.env(envPassword)), gatehouse.Secret(a.env(envCode))
	if f, ok := a.in.(*os.File); (password == "" || code == "") && (!ok || !term.IsTerminal(int(f.Fd()))) {
		return nil, nil
	}
	var me struct {
		Realm string `json:"realm"`
		Name  string `json:"name"`
	}
	if err := c.Do(ctx, "GET", "/me", nil, &me); err != nil {
		return nil, err
	}
	if me.Realm != gatehouse.MainRealm {
		return nil, nil // passwords administer from realm main only
	}
	var err error
	if password == "" {
		if password, err = a.readPassword("This takes a sign-in with a second factor. Password for " + printable(me.Name)); err != nil {
			return nil, err
		}
	}
	if code == "" {
		if code, err = a.readPassword(askCode); err != nil {
			return nil, err
		}
	}
	next, err := client.NewWithPassword(a.server(), me.Name, password)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return next.Login(ctx, code)
}

// leave ends the sign-in of [app.with], where there was one: nothing of it stays.
func (a *app) leave(ctx context.Context) error {
	if a.stronger == nil {
		return nil
	}
	err := a.stronger.Logout(context.WithoutCancel(ctx))
	if errors.Is(err, gatehouse.Unauthenticated) {
		err = nil // the command itself has ended it
	}
	return err
}
