package server

import (
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
	// LogConfig sets the operator's log.
	LogConfig = config.Log
)

// LoadConfig reads a configuration file, overlays the environment and checks
// the whole.
func LoadConfig(path string, environ []string) (Config, error) { return config.Load(path, environ) }

// ConfigSchema returns the JSON Schema of gatehouse.yaml, for editors.
func ConfigSchema() ([]byte, error) { return config.Schema() }

// ConfigReference returns the page about every key of gatehouse.yaml, in Markdown.
func ConfigReference() string { return config.Reference() }
