package server

import "github.com/gatehouse-auth/gatehouse/server/config"

// The configuration is a package of its own, which knows no database, so that
// everything that reads it can be fuzzed. Whoever starts a server needs only
// these names.
type (
	// Config is gatehouse.yaml.
	Config = config.Config
	// StoreConfig says where everything is stored.
	StoreConfig = config.Store
	// ListenConfig says where Gatehouse listens.
	ListenConfig = config.Listen
	// ListenerConfig is one listener.
	ListenerConfig = config.Listener
	// LogConfig sets the operator's log.
	LogConfig = config.Log
	// AuditConfig sets the audit log.
	AuditConfig = config.Audit
	// PasswordConfig bounds the cost of password hashing.
	PasswordConfig = config.Passwords
	// LimitsConfig bounds what the auth listener answers.
	LimitsConfig = config.Limits
	// UpstreamConfig is an API behind the gateway.
	UpstreamConfig = config.Upstream
	// RouteConfig is one rule of the gateway.
	RouteConfig = config.Route
	// ResourceConfig builds the resource that the policies judge.
	ResourceConfig = config.Resource
	// ListFilterConfig drops elements of a JSON list answer.
	ListFilterConfig = config.ListFilter
	// CORSConfig says which browser origins may call.
	CORSConfig = config.CORS
	// Duration is a time.Duration that is written "15m" in files.
	Duration = config.Duration
)

// LoadConfig reads a configuration file, overlays the environment and checks
// the whole.
func LoadConfig(path string, environ []string) (Config, error) { return config.Load(path, environ) }

// ParseConfig is LoadConfig on bytes; relative paths stay as they are.
func ParseConfig(data []byte, environ []string) (Config, error) { return config.Parse(data, environ) }
