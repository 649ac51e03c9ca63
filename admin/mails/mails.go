package mails

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errUnknown = gatehouse.E(gatehouse.NotFound, "mail_not_found", "There is no such message.")
	errLimited = gatehouse.E(gatehouse.Unprocessable, "mail_limited", "The address, or the realm, has had as many messages in this hour as it may get.")
)

// view is a message as it may be seen by whoever may see addresses. What it says is not in
// it: that may be a secret.
func (s *Service) view(r mail.Record) Mail {
	v := Mail{ID: r.ID, Realm: r.Realm, Message: string(r.Kind), State: string(r.State), Tries: r.Tries, Error: r.Error,
		CreatedAt: r.CreatedAt, NextAt: r.DueAt, EndsAt: r.EndsAt, DoneAt: r.DoneAt}
	if to, err := s.c.Queue.To(r); err == nil {
		v.To = to
	}
	return v
}

// List lists the messages of all realms by id, which is in the order of their making; with a
// state, those of it.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, state, after string, limit int) (kernel.Page[Mail], error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminMail, gatehouse.MainRealm, ""); err != nil {
		return kernel.Page[Mail]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Mails.Mails(ctx, mail.State(state), after, limit+1)
	if err != nil {
		return kernel.Page[Mail]{}, err
	}
	return kernel.Paged(list, limit, func(r mail.Record) string { return r.ID }, s.view), nil
}

// Get reads one message. Errors: mail_not_found.
func (s *Service) Get(ctx context.Context, actor *gatehouse.Principal, id string) (Mail, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminMail, gatehouse.MainRealm, id); err != nil {
		return Mail{}, err
	}
	r, err := s.c.Mails.Mail(ctx, id)
	if errors.Is(err, gatehouse.NotFound) {
		err = errUnknown
	}
	if err != nil {
		return Mail{}, err
	}
	return s.view(r), nil
}

// Test queues a test message to any address. Errors: input_invalid, mail_off, mail_limited.
func (s *Service) Test(ctx context.Context, actor *gatehouse.Principal, in NewMail) (Mail, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminMail, gatehouse.MainRealm, ""); err != nil {
		return Mail{}, err
	}
	f := kernel.Faults{}
	if _, err := mail.Address(in.To); err != nil {
		f.Add("to", "must be %s", err)
	}
	if err := f.Err(); err != nil {
		return Mail{}, err
	}
	if !s.c.Queue.On() {
		return Mail{}, mail.ErrOff
	}
	id := ""
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) (err error) {
		id, err = s.c.Queue.Put(ctx, tx, mail.Message{Kind: mail.KindTest, Realm: gatehouse.MainRealm, To: in.To, Data: mail.Data{By: actor.Name}})
		if err != nil {
			return err
		}
		if id == "" {
			return errLimited
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, gatehouse.MainRealm, audit.KindMailTest, "mail", id))
	})
	if err != nil {
		return Mail{}, err
	}
	r, err := s.c.Mails.Mail(ctx, id)
	if err != nil {
		return Mail{}, err
	}
	return s.view(r), nil
}
