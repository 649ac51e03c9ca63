package apps

import "time"

// App is a client that a person lets have something, as the API shows it.
type App struct {
	ClientID   string   `json:"client_id"`
	ClientName string   `json:"client_name,omitempty" doc:"Absent for a client that is not registered any more"`
	Hosts      []string `json:"hosts" doc:"Where browsers are sent with an answer to it; none for a program on a device"`
	FirstParty bool     `json:"first_party" doc:"It is the realm's own: people are not asked"`
	Unverified bool     `json:"unverified" doc:"It registered itself: nobody looked at it"`
	Access     []Access `json:"access" doc:"What it may do"`
	// Remembered is by what a person is not asked.
	Remembered bool      `json:"remembered" doc:"The person is not asked again when it asks for that"`
	Grants     int       `json:"grants" doc:"How many logins of it are open: it holds tokens while there is one"`
	Since      time.Time `json:"since" doc:"When the person first let it have something of this"`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When it last got or renewed tokens; absent while it has none"`
}

// Access is what an app may do at one resource.
type Access struct {
	Resource string   `json:"resource" doc:"The audience of its tokens"`
	Scopes   []string `json:"scopes"`
}

// Page is the apps of one person: all of them.
type Page struct {
	Items []App `json:"items"`
}

// Revoked is what an app had.
type Revoked struct {
	Grants int `json:"grants" doc:"How many logins of it ended, with all their tokens"`
}
