package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Checked is what a check found of a configuration that can be started.
type Checked struct {
	Config Config
	// Database says what stands there, and what a start would make of it.
	Database string
	// Warnings are what a start allows and somebody should look at.
	Warnings []string

	unknown []unknownName
}

// CheckConfig does what a start does, short of listening, of taking the database for
// itself, and of changing anything: a server may be running on it meanwhile. What is
// wrong comes as [*config.Problems], all at once, and a start refuses it in the same
// words. Beyond a start, roles and scopes that routes name and their realm does not
// have are refused: a start only warns of them, since it may be the first.
func CheckConfig(ctx context.Context, path string, environ []string) (Checked, error) {
	cfg, err := LoadConfig(path, environ)
	var found *config.Problems
	if err != nil && !errors.As(err, &found) {
		return Checked{}, err
	}
	if found != nil && cfg.Unread() {
		return Checked{}, found
	}
	out, problems := check(ctx, cfg)
	if all := cfg.With(found, problems...); all != nil {
		return Checked{}, all
	}
	var sure []config.Problem
	for _, u := range out.unknown {
		if u.sure {
			sure = append(sure, u.Problem)
		} else {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s: %v", u.Key, u.Err))
		}
	}
	if all := cfg.With(nil, sure...); all != nil {
		return Checked{}, all
	}
	out.Warnings = append(out.Warnings, enforce.Warnings(cfg.Routes)...)
	return out, nil
}

// LoadToStart is [LoadConfig] for a start: a file that is refused is told together with
// what else a start would refuse, as [CheckConfig] does.
func LoadToStart(ctx context.Context, path string, environ []string) (Config, error) {
	cfg, err := LoadConfig(path, environ)
	var found *config.Problems
	if errors.As(err, &found) {
		if _, all := CheckConfig(ctx, path, environ); all != nil {
			err = all
		}
	}
	return cfg, err
}

// refusal is what a check says of a configuration with which a start failed: all that
// is wrong, each in its place. When the check finds nothing, it was something that a
// check does not try, and err says it.
func refusal(ctx context.Context, cfg Config, err error) error {
	_, problems := check(ctx, cfg)
	if all := cfg.With(nil, problems...); all != nil {
		return all
	}
	return err
}

// check tells what a start would refuse.
func check(ctx context.Context, cfg Config) (Checked, []config.Problem) {
	p, problems := prepare(cfg, nil, nil)
	if p.upstreams != nil {
		defer p.upstreams.Close()
	}
	out := Checked{Config: cfg}
	if cfg.Store.Driver == store.DriverSQLite && slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Key == "data" }) {
		return out, problems // said once
	}
	view, err := store.Look(ctx, storeConfig(cfg, p.log.Logger))
	if err != nil {
		return out, append(problems, config.Problem{Key: "store", Err: plain(err)})
	}
	defer view.Close()
	switch {
	case view.Version == 0:
		out.Database = "is not made yet; a start makes it"
	case view.Version < view.Newest:
		out.Database = fmt.Sprintf("has schema version %d; a start makes %d of it, and there is no way back", view.Version, view.Newest)
	default:
		out.Database = fmt.Sprintf("has schema version %d", view.Version)
	}
	if p.box != nil && view.Version > 0 {
		if err := opens(ctx, view, p.box); err != nil {
			problems = append(problems, config.Problem{Key: "master_key_file", Err: fmt.Errorf("is not the key of this database: %w", err)})
		}
	}
	if view.Version == view.Newest {
		out.unknown, err = unknownNames(ctx, view, cfg.Routes)
		if err != nil {
			problems = append(problems, config.Problem{Key: "store", Err: plain(err)})
		}
	}
	return out, problems
}

// opens fails when a master key does not open what a database holds sealed.
func opens(ctx context.Context, view *store.View, box *seal.Box) error {
	for _, secret := range []struct {
		name string
		size int
	}{{settingAuditKey, ed25519.SeedSize}, {settingAccountKey, accountKeySize}, {settingFactorKey, factorKeySize}, {settingPasskeyKey, passkey.KeySize}, {settingProviderKey, providerKeySize}, {settingSuccessorKey, successorKeySize}, {settingNonceKey, proof.NonceKeySize},
		{settingCountersKey, countersKeySize}, {settingPersonalKey, personal.SecretSize},
		{settingBootstrapKey, bootstrapKeySize}} {
		if err := secrets.Check(ctx, view.Setting, box, secret.name, secret.size); err != nil {
			return err
		}
	}
	if view.Version != view.Newest {
		return nil
	}
	ring, err := keyring.New(keyring.Config{Store: view, Box: box,
		Run: func(context.Context, func(context.Context, keyring.Tx) error) error { return errors.New("only read") }})
	if err != nil {
		return err
	}
	return ring.Load(ctx)
}

// plain is an error of ours as it is shown to an operator: its text, code and cause.
func plain(err error) error {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return err
	}
	return &shown{e}
}

type shown struct{ err *gatehouse.Error }

func (s *shown) Unwrap() error { return s.err }

func (s *shown) Error() string {
	text := fmt.Sprintf("%s (%s)", s.err.Public, s.err.Code)
	if s.err.Cause != nil {
		text += ": " + s.err.Cause.Error()
	}
	return text
}
