package system

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/keydiff"
)

// Me is who the caller is, as Gatehouse sees him.
type Me struct {
	Realm        string    `json:"realm"`
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`
	Name         string    `json:"name,omitempty"`
	Scheme       string    `json:"scheme"`
	Scopes       []string  `json:"scopes"`
	Roles        []string  `json:"roles" doc:"In effect, inherited ones included"`
	CredentialID string    `json:"credential_id,omitempty"`
	GrantID      string    `json:"grant_id,omitempty"`
	ACR          string    `json:"acr,omitempty"`
	AMR          []string  `json:"amr"`
	AuthTime     time.Time `json:"auth_time,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
}

// Backup is a finished copy of the database.
type Backup struct {
	Name string `json:"name" doc:"Where on the server it lies"`
	Size int64  `json:"size" doc:"Bytes"`
}

// Reload is what came of reading the configuration anew.
type Reload struct {
	File     string              `json:"file" doc:"Where on the server the configuration lies"`
	Changes  []keydiff.KeyChange `json:"changes" doc:"What is in force now and was not before"`
	Restart  []keydiff.KeyChange `json:"restart" doc:"What differs and waits for a restart; without values, which may be secrets"`
	Warnings []string            `json:"warnings" doc:"What is allowed and somebody should look at"`
}
