package identity

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// problems returns what is wrong with a new password of u under the rules of
// realm; none means that it may be set. Words of the context are the username,
// the local part of the e-mail address, the display name, name and title of the
// realm, its banned words, and the name of this program.
//
// What breaks no rule is looked up among the breached ones; an error is that of the list.
func (s *Service) problems(ctx context.Context, realm gatehouse.Realm, u User, password gatehouse.Secret) ([]credential.Problem, error) {
	local, _, _ := strings.Cut(u.Email, "@")
	words := append([]string{u.Username, u.UsernameKey, local, u.DisplayName, realm.Name, realm.Title, "gatehouse"}, realm.Settings.BannedWords...)
	problems := s.cfg.Policy.Check(password, realm.Settings.PasswordMinLength, words)
	for _, list := range []BreachedList{s.breachedList(), s.cfg.Online} {
		if len(problems) > 0 || list == nil {
			continue
		}
		known, err := list.Known(ctx, password)
		if err != nil {
			return nil, errBreachedList.With(err)
		}
		if known {
			s.breachedNew.Add(1)
			problems = append(problems, credential.PasswordBreached)
		}
	}
	return problems, nil
}

// NewPasswordHash checks a new password against the rules and returns the hash
// to store. Errors: password_refused, whose Fields["password"] holds the texts
// of all problems ([ProblemsOf]); breached_list_unreadable;
// password_queue_full; and those of ctx.
func (s *Service) NewPasswordHash(ctx context.Context, realm gatehouse.Realm, u User, password gatehouse.Secret) (string, error) {
	problems, err := s.problems(ctx, realm, u, password)
	if err != nil {
		return "", err
	}
	if len(problems) == 0 && u.Initial() && u.PasswordHash != "" {
		// Whoever made it for the person would go on knowing it (ASVS 6.4.1).
		same, _, err := s.cfg.Passwords.Verify(ctx, u.PasswordHash, password)
		if err != nil {
			return "", err
		}
		if same {
			problems = append(problems, credential.PasswordInitial)
		}
	}
	if len(problems) > 0 {
		e := errPassword.With(problemsError(problems))
		texts := make([]string, len(problems))
		for i, p := range problems {
			texts[i] = p.Text()
		}
		e.Fields = map[string]string{"password": strings.Join(texts, " ")}
		return "", e
	}
	return s.cfg.Passwords.Hash(ctx, password)
}

// ProblemsOf are the rules that a new password broke which [Service.NewPasswordHash] refused
// with err; none for another error.
func ProblemsOf(err error) []credential.Problem {
	if p, ok := errors.AsType[problemsError](err); ok {
		return p
	}
	return nil
}

// problemsError is the list of rules that a new password breaks.
type problemsError []credential.Problem

func (e problemsError) Error() string {
	out := make([]string, len(e))
	for i, p := range e {
		out[i] = string(p)
	}
	return strings.Join(out, ", ")
}

// CheckPassword verifies the current password of u, as a log-in from the address
// in ctx, in the browser of [WithDevice], would be: with throttle and event. Errors: those of
// [Service.VerifyPassword].
func (s *Service) CheckPassword(ctx context.Context, u User, password gatehouse.Secret) error {
	got, err := s.VerifyPassword(ctx, Attempt{Realm: u.Realm, Username: u.Username, Password: password, Address: gatehouse.AddressFrom(ctx), Device: deviceFrom(ctx)})
	if err == nil && got.ID != u.ID {
		return credential.ErrInvalidCredentials
	}
	return err
}
