package mails

import "time"

// Mail is a message in the queue, without what it says.
type Mail struct {
	ID        string    `json:"id"`
	Realm     string    `json:"realm"`
	Message   string    `json:"message" doc:"What it is about, such as key_expires"`
	To        string    `json:"to" doc:"The address; empty when it cannot be opened any more"`
	State     string    `json:"state" enum:"waiting,sent,failed"`
	Tries     int64     `json:"tries"`
	Error     string    `json:"error,omitempty" doc:"What the last try was answered"`
	CreatedAt time.Time `json:"created_at"`
	NextAt    time.Time `json:"next_at,omitzero" doc:"When it is tried next, at the earliest"`
	EndsAt    time.Time `json:"ends_at" doc:"When it is given up"`
	DoneAt    time.Time `json:"done_at,omitzero" doc:"When it was sent or given up"`
}

// NewMail asks for a test message.
type NewMail struct {
	To string `json:"to" maxLength:"254" doc:"The address, alone: ann@example.com"`
}
