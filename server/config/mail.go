package config

import (
	"errors"
	"net"

	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// Mail says by which server messages to people are sent.
type Mail struct {
	Server       string `json:"server,omitempty" pattern:"^[A-Za-z0-9:._-]{1,253}$" reload:"live" doc:"Host name or address of the SMTP server that takes messages to people. Empty, and without 'outbox': no mail is sent."`
	Port         int    `json:"port,omitempty" minimum:"0" maximum:"65535" reload:"live" doc:"Its port; when 0, 587 for 'required', 465 for 'implicit', 25 for 'none'."`
	TLS          string `json:"tls,omitempty" enum:"required,implicit,none" default:"required" reload:"live" doc:"required begins TLS by STARTTLS and sends nothing without it; implicit has TLS from the first byte; none is for a server on this machine only."`
	CAFile       string `json:"ca_file,omitempty" form:"path" reload:"live" doc:"CA certificates (PEM) that the server is verified with, in place of the system's."`
	User         string `json:"user,omitempty" reload:"live" doc:"Whom to log in as there; nobody when empty."`
	PasswordFile string `json:"password_file,omitempty" form:"path" reload:"live" doc:"File whose first line is the password; read again for each connection."`
	From         string `json:"from,omitempty" reload:"live" doc:"Sender of all messages: 'id@example.com', or 'Example <id@example.com>'. Its domain names the messages."`
	Language     string `json:"language,omitempty" enum:"en,de,fr,es,ja" default:"en" reload:"live" doc:"Of the messages."`
	Outbox       string `json:"outbox,omitempty" form:"path" reload:"live" doc:"Directory that messages are written to, as files, in the place of sending them: for trying things."`
	mail.Bounds
}

func (m Mail) validate(report reporter) {
	on := m.Server != "" || m.Outbox != ""
	switch {
	case m.Server != "" && m.Outbox != "":
		report("mail.outbox", errors.New("takes the place of mail.server: one of the two"))
	case on && m.From == "":
		report("mail.from", errors.New("needed: messages are from somebody"))
	case !on && (m.From != "" || m.User != "" || m.PasswordFile != "" || m.CAFile != ""):
		report("mail.server", errors.New("needed: the rest says how to send"))
	}
	if _, err := mail.ParseSender(m.From); m.From != "" && err != nil {
		report("mail.from", err)
	}
	if (m.User == "") != (m.PasswordFile == "") {
		report("mail.password_file", errors.New("belongs together with mail.user"))
	}
	if mail.TLS(m.TLS) == mail.TLSNone && m.Server != "" {
		if ip := net.ParseIP(m.Server); m.Server != "localhost" && (ip == nil || !ip.IsLoopback()) {
			report("mail.tls", errors.New("none is for a server on this machine: localhost, 127.0.0.1 or ::1"))
		}
		if m.User != "" {
			report("mail.user", errors.New("needs TLS: a password is not sent in the clear"))
		}
	}
}
