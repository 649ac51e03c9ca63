package server

import (
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

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
	// Route is one rule of the gateway.
	Route = enforce.Route
)

// LoadConfig reads a configuration file, overlays the environment and checks
// the whole.
func LoadConfig(path string, environ []string) (Config, error) { return config.Load(path, environ) }

// ParseConfig is LoadConfig on bytes; relative paths stay as they are.
func ParseConfig(data []byte, environ []string) (Config, error) { return config.Parse(data, environ) }

// ConfigSchema returns the JSON Schema of gatehouse.yaml, for editors.
func ConfigSchema() ([]byte, error) { return config.Schema() }

// ConfigReference returns the page about every key of gatehouse.yaml, in Markdown.
func ConfigReference() string { return config.Reference() }
