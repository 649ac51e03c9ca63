package server

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/writable"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	settingMailKey = "mail.address_key"
	mailKeySize    = 32
)

// mailSettings is how messages are sent, and the key of what is wrong with it.
func mailSettings(c config.Mail) (set mail.Settings, key string, err error) {
	if c.Server == "" && c.Outbox == "" {
		return set, "", nil
	}
	set = mail.Settings{Outbox: c.Outbox, Language: c.Language, Bounds: c.Bounds,
		SMTP: mail.SMTP{Host: c.Server, Port: c.Port, TLS: mail.TLS(c.TLS), User: c.User, PasswordFile: c.PasswordFile}}
	if set.From, err = mail.ParseSender(c.From); err != nil {
		return set, "mail.from", err
	}
	if c.CAFile != "" {
		if set.SMTP.Roots, err = gateway.ReadRoots(c.CAFile); err != nil {
			return set, "mail.ca_file", err
		}
	}
	if c.PasswordFile != "" {
		if _, err = mail.ReadPassword(c.PasswordFile); err != nil {
			return set, "mail.password_file", err
		}
	}
	if c.Outbox != "" {
		err = writable.Directory(c.Outbox)
	}
	return set, "mail.outbox", err
}

// wireMail makes the queue of messages to people, and who sends them.
func (s *Server) wireMail(ctx context.Context) error {
	key, err := s.secret(ctx, settingMailKey, mailKeySize)
	if err != nil {
		return err
	}
	s.mail = mail.NewQueue(mail.Config{Box: s.box, Key: key, Logger: s.log, Now: s.now, Settings: func() mail.Settings {
		if l := s.live.Load(); l != nil {
			return l.mail
		}
		return mail.Settings{}
	}})
	settling, err := store.Run[mail.Settling](s.db)
	if err != nil {
		return err
	}
	outgoing, err := store.Run[mail.Outgoing](s.db)
	if err != nil {
		return err
	}
	s.sender = mail.NewSender(mail.SenderConfig{Queue: s.mail, Store: s.db, Run: settling, Issuer: s.realmIssuer})
	reminders := &mail.Reminders{Queue: s.mail, Keys: s.db, Run: outgoing}
	s.jobs = append(s.jobs, job{name: "mail", lease: "mail", run: s.sender.Work},
		job{name: "reminders of keys", lease: "reminders of keys", run: reminders.Work})
	return nil
}
