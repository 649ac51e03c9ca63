package gatehouse

import "time"

// Session is a person's sign-in in one browser.
type Session struct {
	ID     string // "ses_…"; it stays the same when the secret changes
	Realm  string
	UserID string
	// SecretID is the public part of the text in the browser's cookie, and SecretHash the
	// SHA-256 of all of it.
	SecretID   string
	SecretHash []byte
	CreatedAt  time.Time
	AuthTime   time.Time // when the person last proved who he is
	AMR        []string  // RFC 8176
	ACR        string
	LastUsedAt time.Time // written some seconds late
	ExpiresAt  time.Time // absolute end, however much it is used
	// Host is the host of the gateway whose cookie SecretID and SecretHash belong to; "": they are
	// those of the host where the person signed in, which every session has.
	Host string
	// DeviceHash is the SHA-256 of the device cookie of the browser; nil: it had none.
	DeviceHash []byte
	Address    string // from which it was opened, or last got a new secret
	UserAgent  string // likewise
	EndedAt    time.Time
	EndReason  string
}
