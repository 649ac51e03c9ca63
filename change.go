package gatehouse

// Change tells caches and live views what a committed transaction changed. The
// store calls its subscribers after the commit and before the writer is told,
// so a revocation has taken effect everywhere in the process when the call that
// made it returns.
type Change struct {
	Topic Topic
	Realm string
	ID    string // what changed; "" means anything of that topic in the realm
	// Value is the new record, where a subscriber can use it directly.
	Value any
}

// Topic of a [Change].
type Topic string

const (
	TopicRealm      Topic = "realm"
	TopicUser       Topic = "user"
	TopicKey        Topic = "key" // API key
	TopicRole       Topic = "role"
	TopicPolicy     Topic = "policy" // policies and the schema
	TopicEntity     Topic = "entity"
	TopicSigningKey Topic = "signing_key"
	TopicGrant      Topic = "grant"
	TopicRevocation Topic = "revocation"
	TopicSession    Topic = "session"     // a browser session; its ID is the public part of its secret
	TopicClient     Topic = "client"      // a registered client
	TopicStatusList Topic = "status_list" // the signed copy of a list; its ID is the number
)
