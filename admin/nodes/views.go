package nodes

import "time"

// Node is a process that works on the database.
type Node struct {
	ID           string            `json:"id" doc:"Unlike every other start's"`
	State        string            `json:"state" enum:"live,silent" doc:"Silent: it has said nothing for 5 s or more"`
	Answering    bool              `json:"answering" doc:"It is the one that gives this answer"`
	Host         string            `json:"host" doc:"Name of its machine"`
	Version      string            `json:"version" doc:"Of the program"`
	Addresses    map[string]string `json:"addresses" doc:"Of its listeners, as its machine knows them"`
	StartedAt    time.Time         `json:"started_at" doc:"By its own clock"`
	SeenAt       time.Time         `json:"seen_at" doc:"When it last said that it works, by the database's clock"`
	Silent       int64             `json:"silent_ms" doc:"How long ago that was"`
	Position     string            `json:"position,omitempty" doc:"How far it has applied what others changed: a snapshot of PostgreSQL, xmin:xmax:in progress; absent where no other node can be"`
	Age          *int64            `json:"age_ms,omitempty" doc:"How old its view was then at most; absent before its first reading"`
	MaxStaleness int64             `json:"max_staleness_ms,omitzero" doc:"How old its view gets before it answers no more by it; absent: it goes on"`
	Leases       []string          `json:"leases" doc:"The background work that it holds"`
}
