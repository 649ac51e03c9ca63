package config

import (
	"strings"
	"testing"
)

// TestMail: what says how mail is sent is whole, and sends neither a password nor a message
// in the clear to another machine.
func TestMail(t *testing.T) {
	for name, c := range map[string]struct {
		mail Mail
		want string // "": nothing is wrong
	}{
		"off":                          {Mail{}, ""},
		"by STARTTLS":                  {Mail{Server: "smtp.example.com", From: "Example <id@example.com>", User: "u", PasswordFile: "p"}, ""},
		"in the clear, here":           {Mail{Server: "::1", TLS: "none", From: "id@example.com"}, ""},
		"outbox":                       {Mail{Outbox: "out", From: "id@example.com"}, ""},
		"in the clear, elsewhere":      {Mail{Server: "smtp.example.com", TLS: "none", From: "id@example.com"}, "mail.tls: none is for"},
		"a password in the clear":      {Mail{Server: "localhost", TLS: "none", From: "id@example.com", User: "u", PasswordFile: "p"}, "mail.user: needs TLS"},
		"from nobody":                  {Mail{Server: "smtp.example.com"}, "mail.from: needed"},
		"from two":                     {Mail{Server: "smtp.example.com", From: "a@example.com, b@example.com"}, "mail.from: "},
		"from two lines":               {Mail{Server: "smtp.example.com", From: "A\r\nBcc: b@example.com <a@example.com>"}, "mail.from: "},
		"a user without a password":    {Mail{Server: "smtp.example.com", From: "id@example.com", User: "u"}, "mail.password_file: "},
		"a server and an outbox":       {Mail{Server: "smtp.example.com", Outbox: "out", From: "id@example.com"}, "mail.outbox: "},
		"a sender without a server":    {Mail{From: "id@example.com"}, "mail.server: needed"},
		"a server with its port":       {Mail{Server: "smtp.example.com/x", From: "id@example.com"}, "mail.server: must match"},
		"a language that is not there": {Mail{Server: "smtp.example.com", From: "id@example.com", Language: "xx"}, "mail.language: "},
	} {
		all := Config{Mail: c.mail}
		all.FillDefaults()
		told := all.Validate().Error() // other keys are missing
		if c.want == "" && strings.Contains(told, "mail.") || !strings.Contains(told, c.want) {
			t.Errorf("%s: %s", name, told)
		}
	}
}
