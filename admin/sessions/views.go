package sessions

import "time"

// Session is a sign-in in a browser as the API shows it. Its secret is in nobody's hands but the browser's.
type Session struct {
	ID         string    `json:"id"`
	Realm      string    `json:"realm"`
	UserID     string    `json:"user_id"`
	CreatedAt  time.Time `json:"created_at"`
	AuthTime   time.Time `json:"auth_time" doc:"When the person last proved who he is"`
	AMR        []string  `json:"amr" doc:"By what (RFC 8176)"`
	ACR        string    `json:"acr,omitempty"`
	LastUsedAt time.Time `json:"last_used_at" doc:"Some seconds late"`
	ExpiresAt  time.Time `json:"expires_at" doc:"Absolute end; without use it ends earlier"`
	Address    string    `json:"address,omitempty" doc:"From which the person last proved who he is"`
	UserAgent  string    `json:"user_agent,omitempty" doc:"What the browser said of itself then"`
	Bound      bool      `json:"bound" doc:"It counts only beside the device cookie of its browser"`
	Current    bool      `json:"current" doc:"It is the one with which this is asked"`
	Open       bool      `json:"open" doc:"Its cookie is accepted"`
	EndedAt    time.Time `json:"ended_at,omitzero" doc:"Absent while it is open, and where only the reason is known"`
	EndReason  string    `json:"end_reason,omitempty" doc:"Why it is not open"`
}

// Ended is how many sessions an order has ended.
type Ended struct {
	Sessions int `json:"sessions"`
}
