package main

import (
	"errors"
	"io/fs"

	"github.com/gatehouse-auth/gatehouse/server"
)

// loadConfig reads the configuration at path; where there is none, it says how to get one.
func (a *app) loadConfig(path string) (server.Config, error) {
	cfg, err := server.LoadConfig(path, a.environ)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cfg, usagef("%s: there is no such file; `gatehouse init` makes one, and --config names another", path)
	case err != nil:
		return cfg, usagef("%v", err)
	}
	return cfg, nil
}
