package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/store"
)

// signedIn is a sign-in at an issuer by a client for people at a terminal, as it is kept: readable by its owner only.
type signedIn struct {
	Issuer       string    `json:"issuer"`
	Client       string    `json:"client_id"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	ExpiresAt    time.Time `json:"expires_at"` // of the access token
}

// tokenAnswer is what the token endpoint gives (RFC 6749 §5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
}

// take puts an answer in the place of what there was.
func (s *signedIn) take(t tokenAnswer) {
	s.AccessToken, s.ExpiresAt = t.AccessToken, time.Now().Add(time.Duration(t.ExpiresIn)*time.Second)
	if t.RefreshToken != "" {
		s.RefreshToken = t.RefreshToken
	}
}

// leftToUse is how much longer a token must live to be given to a script, which has yet to use it.
const leftToUse = 30 * time.Second

// lockWait is how long a command waits for another one that renews.
const lockWait = time.Minute

// signIns are those that are kept, the last one first, and held for one command: a refresh token works once, and two that
// renew at a time would end it.
type signIns struct {
	path string
	held io.Closer
	list []signedIn
}

func (a *app) holdSignIns(ctx context.Context) (*signIns, error) {
	dir, err := a.configDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &signIns{path: filepath.Join(dir, "tokens.json")}
	if s.held, err = store.Lock(ctx, s.path, lockWait); err != nil {
		return nil, fmt.Errorf("%s is in use by another command, or cannot be written", s.path)
	}
	b, err := os.ReadFile(s.path)
	if err == nil {
		err = exactjson.Unmarshal(b, &s.list)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = s.held.Close()
		return nil, unreadable(s.path, err)
	}
	return s, nil
}

func (s *signIns) close() { _ = s.held.Close() }

// of finds the one at an issuer, or the last one without a name.
func (s *signIns) of(issuer string) (int, error) {
	at := slices.IndexFunc(s.list, func(one signedIn) bool { return issuer == "" || one.Issuer == issuer })
	if at < 0 {
		return 0, errNotLoggedIn
	}
	return at, nil
}

// put keeps one, as the last.
func (s *signIns) put(one signedIn) error {
	s.list = slices.DeleteFunc(s.list, func(o signedIn) bool { return o.Issuer == one.Issuer })
	s.list = slices.Insert(s.list, 0, one)
	return s.save()
}

func (s *signIns) save() error {
	b, err := json.Marshal(s.list)
	if err != nil {
		return err
	}
	return writePrivate(s.path, b)
}

// fresh is an access token that can be used for a while: the one that is kept, or another one for its refresh token.
func (s *signIns) fresh(ctx context.Context, at int) (gatehouse.Secret, error) {
	one := &s.list[at]
	if time.Until(one.ExpiresAt) > leftToUse {
		return gatehouse.Secret(one.AccessToken), nil
	}
	if one.RefreshToken == "" {
		return "", errNotLoggedIn
	}
	m, err := issuerAt(ctx, one.Issuer)
	if err != nil {
		return "", err
	}
	var t tokenAnswer
	err = sent(ctx, m.Token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {one.RefreshToken}, "client_id": {one.Client}}, &t)
	if gatehouse.CodeOf(err) == "invalid_grant" {
		return "", errNotLoggedIn.With(err)
	}
	if err != nil {
		return "", err
	}
	one.take(t)
	return gatehouse.Secret(one.AccessToken), s.save() // before anybody has it: the one before is used up
}

// end ends one at its issuer, with all that came of it (RFC 7009), and forgets it.
func (s *signIns) end(ctx context.Context, at int) error {
	one := s.list[at]
	m, err := issuerAt(ctx, one.Issuer)
	if err != nil {
		return err
	}
	text := one.RefreshToken
	if text == "" {
		text = one.AccessToken
	}
	err = sent(ctx, m.Revocation, url.Values{"token": {text}, "client_id": {one.Client}}, nil)
	if err != nil && gatehouse.CodeOf(err) != "invalid_client" { // a client that is gone has taken everything with it
		return err
	}
	s.list = slices.Delete(s.list, at, at+1)
	return s.save()
}
